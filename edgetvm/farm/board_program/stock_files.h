/* TVM's functions for a session's files. */
#ifndef BOARD_STOCK_FILES_H
#define BOARD_STOCK_FILES_H

#include "board.h"

bool stock_upload(struct board *board, int32_t count);
bool stock_download(struct board *board, int32_t count);
bool stock_remove(struct board *board, int32_t count);
bool stock_list(struct board *board, int32_t count);

/* None, as functions answer that have nothing to say. */
bool stock_answer_nothing(struct board *board);
/* A file's name, into NAME_BYTES. */
bool stock_take_name(struct board *board, char *name);

#endif
