/*
 * The server: hears clients, lets one in at a time, and outlives whatever happens to it.
 *
 * It runs no code of a client's. Each client has a process of its own; this one ends it when its
 * time is over or its client is gone, tells the client, and clears up after it.
 */
#ifndef BOARD_SUPERVISOR_H
#define BOARD_SUPERVISOR_H

#include "serve_options.h"

/* Serve until SIGTERM or SIGINT; answers with the program's exit code. */
int supervise(const struct serve_options *options);

#endif
