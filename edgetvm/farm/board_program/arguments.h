/* The arguments of a request, one by one. */
#ifndef BOARD_ARGUMENTS_H
#define BOARD_ARGUMENTS_H

#include "board.h"

struct tensor {
    uint64_t handle;
    int32_t device_type, device_id, rank;
    uint8_t code, bits;
    uint16_t lanes;
    uint64_t byte_offset;
    int64_t shape[MAX_RANK];
};

struct argument {
    int32_t type;
    union {
        uint64_t bits; /* a number, a handle; the length of a text, which follows on the wire */
        double real;
        struct tensor tensor;
    };
};

struct argument argument_read(struct board *board);
/* A tensor without the type before it. */
struct tensor tensor_read(struct board *board);

/* Arguments that must be of a kind; false where one is not, and the call is refused. */
bool take_integer(struct board *board, int64_t least, int64_t most, int64_t *value);
/* A text that ends with a NUL then; None is "". */
bool take_text(struct board *board, char *text, size_t room);
/* Bytes that follow on the wire. */
bool take_blob(struct board *board, uint64_t *size_bytes);
bool take_handle(struct board *board, uint64_t *handle);
/* How many arguments there must be. */
bool takes(struct board *board, int32_t count, int32_t wanted);
/* Whether all was on the wire that had to be. */
bool all_came(struct board *board);

#endif
