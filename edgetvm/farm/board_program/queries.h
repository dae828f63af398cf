/* Queries of the package that is open, each between two stamps. */
#ifndef BOARD_QUERIES_H
#define BOARD_QUERIES_H

#include "request.h"

/* Run `count` queries of `runs` runs for `max_s` at most: see board_service.time_queries. */
bool opened_time_queries(struct board *board, struct request *request);

#endif
