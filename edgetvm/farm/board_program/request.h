/*
 * A request of edgetvm's own functions, and its answer: edgetvm/farm/board_service.py.
 *
 * Both are one message: u32 length of the header, the header as JSON, a payload of arrays.
 */
#ifndef BOARD_REQUEST_H
#define BOARD_REQUEST_H

#include "board.h"
#include "list.h"
#include "text.h"

/* A stream's arrays have one axis more than a tensor. */
enum { MAX_ARRAY_RANK = EDGETVM_MAX_RANK + 1 };

/* An array of the payload; they lie there in this order. */
struct array {
    const char *name;
    edgetvm_dtype dtype;
    uint32_t rank;
    int64_t shape[MAX_ARRAY_RANK];
    size_t size_bytes;
};

struct request {
    char *header; /* that texts lie in */
    const char *file;
    int64_t threads; /* 0: not said */
    int64_t count;
    int64_t runs; /* of the model in a query */
    bool paced;   /* the payload tells when queries arrive */
    double max_s;
    /* Of paced streams: see board_pacing.py. */
    int64_t period_ns, streams, keep;
    bool skip;
    struct list arrays; /* of struct array */
    /* Of the payload, which is still on the wire. */
    uint64_t payload_bytes;
    /* Why it fails, in edgetvm's kinds of errors; null while it does not. */
    const char *kind;
    char what[EDGETVM_ERROR_BYTES];
    char mend[EDGETVM_ERROR_BYTES];
};

/* Read a request's header from the wire. False where the message itself cannot be read, and the
   call is refused; `kind` tells of what can be told in the answer. */
bool request_read(struct board *board, struct request *request);
void request_free(struct request *request);

/* Say why it fails; answers with false. */
__attribute__((format(printf, 4, 5))) bool request_fail(struct request *request, const char *kind,
                                                        const char *mend, const char *what, ...);
/* The same of what the runtime says. */
bool request_fail_status(struct request *request, edgetvm_status status, const char *sentence);

/* Begin an answer: the header, which must be whole, and so many bytes after it. */
bool answer_begin(struct board *board, struct request *request, const struct text *header,
                  uint64_t payload_bytes);

#endif
