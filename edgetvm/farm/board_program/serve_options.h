/* What the user of `edgetvm-board serve` asks for. */
#ifndef BOARD_SERVE_OPTIONS_H
#define BOARD_SERVE_OPTIONS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "account.h"

enum { MAX_KEY_BYTES = 128 };

struct serve_options {
    const char *key;
    char key_read[MAX_KEY_BYTES + 2]; /* from a file: what `key` points to then */
    struct account account;           /* to serve as */
    const char *folder;         /* for files of sessions; null: a new one */
    struct sockaddr_in tracker; /* port 0: none, and clients come with the key itself */
    uint16_t port;              /* 0: whichever is free */
    uint16_t told_port;         /* that clients reach it by; 0: the same */
    uint32_t memory_mb;         /* that a session may have; 0: what is free when it begins */
    uint32_t session_limit_s;
    bool help;
};

extern const char SERVE_HELP[];

/* Null, or what is wrong with the arguments. */
const char *serve_options_read(struct serve_options *options, int count, char **arguments);

#endif
