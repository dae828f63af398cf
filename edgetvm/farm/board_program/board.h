/* The board as one client has it: what it allotted, loaded and opened. */
#ifndef BOARD_BOARD_H
#define BOARD_BOARD_H

#include <sched.h>

#include "edgetvm.h"
#include "guest.h"
#include "handles.h"
#include "pool.h"
#include "wire.h"

enum { PROBLEM_BYTES = 4096, NAME_BYTES = 256 };

/* Memory that holds a tensor. */
struct block {
    uint8_t *memory;
    size_t size_bytes;
};

struct board {
    struct wire wire;
    struct handles handles;
    bool greeted; /* the client said which protocol it speaks */
    cpu_set_t cores;
    struct pool *pool; /* null before the first kernel */
    size_t data_bytes; /* that the client allotted */
    size_t most_data_bytes;
    /* The package that is open; null before. */
    edgetvm_model *model;
    struct pool *fewer; /* threads for its runs than it was opened with; null before */
    uint64_t resident_before_bytes;
    /* How the session before this one ended, where it died. */
    bool died_before;
    int32_t exit_code_before;
    /* Why the last call failed, for the client. */
    char problem[PROBLEM_BYTES];
};

/* Write why a call fails; answers with false, as the call does then. */
__attribute__((format(printf, 2, 3))) bool refuse(struct board *board, const char *format, ...);

/* The threads that kernels share, started when they are first needed. */
bool board_needs_pool(struct board *board);

struct request;

/* A function that clients ask for by its name: one of TVM's, which reads its arguments from the
   wire and answers there or refuses, or one of edgetvm's, which takes a request. */
struct board_function {
    const char *name;
    bool (*call)(struct board *board, int32_t count);
    bool (*serve)(struct board *board, struct request *request);
};

/* Null where there is none of that name. */
const struct board_function *stock_function(const char *name);
const struct board_function *service_function(const char *name);
bool service_call(struct board *board, const struct board_function *function, int32_t count);

/* Answer requests until the client leaves. */
void board_serve(struct board *board);

#endif
