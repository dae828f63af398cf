/* The key that lets one client in. */
#ifndef BOARD_MATCH_KEY_H
#define BOARD_MATCH_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "serve_options.h"

enum { MATCH_KEY_BYTES = MAX_KEY_BYTES + 40 };

struct match_key {
    char text[MATCH_KEY_BYTES];
};

/* A new one: 128 bits that nobody can guess. False where the system gives none. */
bool match_key_make(struct match_key *key, const char *board_key);
/* Takes as long for every text of a length. */
bool match_key_is(const struct match_key *key, const char *text, size_t length);

#endif
