/* What the board is and how it stands now, as the system tells it. */
#ifndef BOARD_FACTS_H
#define BOARD_FACTS_H

#include "board.h"
#include "text.h"

/* One JSON object: see board_service.facts. */
void facts_write(const struct board *board, struct text *text);
/* The hottest sensor in degrees Celsius, or null. */
void facts_write_temperature(struct text *text);
/* The flags of a Raspberry Pi's firmware; false on other boards. */
bool facts_read_throttled(unsigned long *flags);

#endif
