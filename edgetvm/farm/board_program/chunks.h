/* What streams are fed and what they answer: the payload's chunks, and rows of outputs. */
#ifndef BOARD_CHUNKS_H
#define BOARD_CHUNKS_H

#include "request.h"

struct chunks {
    int64_t count;   /* that came: the arrays' first axis */
    size_t rows;     /* of outputs that are kept */
    uint8_t *inputs; /* the payload: array after array, each of all chunks */
    uint8_t *outputs;
};

/* Of one chunk's outputs. */
size_t chunks_row_bytes(const edgetvm_model *model);
/* Take a request's arrays, which were checked, and make room for outputs, zeros until they come. */
bool chunks_take(struct board *board, struct request *request, struct chunks *chunks, size_t rows);
void chunks_free(struct chunks *chunks);
/* Set a chunk's inputs, run, and keep its outputs in a row; beyond all rows they are let go. */
edgetvm_status chunks_run(struct board *board, const struct request *request,
                          const struct chunks *chunks, size_t index, size_t row);

/* Times that are answered after the outputs: int64[count]. */
struct times {
    const char *name;
    const int64_t *values_ns;
    size_t count;
};

bool chunks_answer(struct board *board, struct request *request, const struct chunks *chunks,
                   const struct times *times, size_t times_count);

#endif
