/* Tensors on the board: memory that the client allots, fills, reads and frees. */
#ifndef BOARD_DATA_H
#define BOARD_DATA_H

#include "arguments.h"

/* The memory of a tensor that a client names: all of its bytes are its own. */
bool tensor_memory(struct board *board, const struct tensor *tensor, uint8_t **memory,
                   size_t *size_bytes);

bool data_allocate(struct board *board, int32_t count);
bool data_allocate_scoped(struct board *board, int32_t count);
bool data_free(struct board *board, int32_t count);
bool data_copy_among(struct board *board, int32_t count);
/* Requests without a count of arguments. */
bool data_copy_to(struct board *board);
bool data_copy_from(struct board *board);

#endif
