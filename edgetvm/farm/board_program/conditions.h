/* How the machine and this session stand at one moment: clocks, heat, load, counters. */
#ifndef BOARD_CONDITIONS_H
#define BOARD_CONDITIONS_H

#include "board.h"
#include "text.h"

/* One JSON object: see board_service.conditions. */
void conditions_write(const struct board *board, struct text *text);

#endif
