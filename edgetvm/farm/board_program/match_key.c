#define _GNU_SOURCE

#include "match_key.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

bool match_key_make(struct match_key *key, const char *board_key)
{
    uint8_t secret[16];
    if (getrandom(secret, sizeof secret, 0) != (ssize_t)sizeof secret) {
        return false;
    }
    int put = snprintf(key->text, sizeof key->text, "%s:", board_key);
    for (size_t i = 0; i < sizeof secret; i++) {
        put += snprintf(key->text + put, sizeof key->text - (size_t)put, "%02x", secret[i]);
    }
    return true;
}

bool match_key_is(const struct match_key *key, const char *text, size_t length)
{
    if (length != strlen(key->text)) {
        return false;
    }
    unsigned char differs = 0;
    for (size_t i = 0; i < length; i++) {
        differs |= (unsigned char)(key->text[i] ^ text[i]);
    }
    return differs == 0;
}
