/* The package that is open in a session: its runs. */
#ifndef BOARD_OPENED_H
#define BOARD_OPENED_H

#include "pool.h"
#include "request.h"

/* Verify the uploaded package `file`, load it and run its sample once. */
bool opened_open(struct board *board, struct request *request);
/* One run on the arrays of the payload. */
bool opened_run(struct board *board, struct request *request);
/* Run the chunks of the payload back to back, the state carried. */
bool opened_stream(struct board *board, struct request *request);
/* Run the chunks of the payload as they arrive, in several streams that each carry their state. */
bool opened_pace(struct board *board, struct request *request);

/* What these share. Whether a package is open; the request fails where none is. */
bool opened_is(struct board *board, struct request *request);
/* Whether a call of the model went well; the request fails with what it said where not. */
bool opened_told(struct board *board, struct request *request, edgetvm_status status);
/* Have the next runs use fewer threads, or all of them again; answers with the pool of all. Null
   where there is no memory for them. */
struct pool *opened_share_among(struct board *board, uint32_t threads);
/* A tensor's description; with an axis for chunks before the others where there are any. */
void opened_write_tensor(struct text *text, const edgetvm_tensor *tensor, int64_t chunks);

#endif
