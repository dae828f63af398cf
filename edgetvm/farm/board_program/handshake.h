/* The first words of a client, heard in a process of their own: a silent one holds nobody up. */
#ifndef BOARD_HANDSHAKE_H
#define BOARD_HANDSHAKE_H

#include "match_key.h"

/* What the session's process tells the supervisor when a client came with the right key. */
struct arrival {
    double timeout_s; /* that the client allows its session; 0: it does not say */
};

/* Hear the client; false where it has not the key, and was told so. */
bool handshake_hear(int socket, const struct match_key *key, struct arrival *arrival);
/* Let it in, or not. */
void handshake_answer(int socket, const char *board_key, bool welcome);

#endif
