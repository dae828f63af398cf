/* The package that is open in a session: its runs. */
#ifndef BOARD_OPENED_H
#define BOARD_OPENED_H

#include "request.h"

/* Verify the uploaded package `file`, load it and run its sample once. */
bool opened_open(struct board *board, struct request *request);
/* One run on the arrays of the payload. */
bool opened_run(struct board *board, struct request *request);
/* Run `count` times, on the arrays of the payload or on what was set last, for `max_s` at most. */
bool opened_time_runs(struct board *board, struct request *request);
/* Run the chunks of the payload back to back, the state carried. */
bool opened_stream(struct board *board, struct request *request);

#endif
