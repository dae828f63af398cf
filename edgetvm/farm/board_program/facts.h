/* What the board is and how it stands now, as the system tells it. */
#ifndef BOARD_FACTS_H
#define BOARD_FACTS_H

#include "board.h"
#include "text.h"

/* One JSON object: see board_service.facts. */
void facts_write(const struct board *board, struct text *text);

#endif
