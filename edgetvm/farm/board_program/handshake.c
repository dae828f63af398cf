#define _GNU_SOURCE

#include "handshake.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { MAGIC = 0xFF271, MISMATCH = 0xFF273, MAX_TEXT_BYTES = 1024 };

static bool receive(int socket, void *to, size_t size_bytes)
{
    uint8_t *at = to;
    while (size_bytes > 0) {
        ssize_t got = recv(socket, at, size_bytes, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        at += got;
        size_bytes -= (size_t)got;
    }
    return true;
}

/* What a client gives: the key, or after a name that a tracker knows the board by, NAME:KEY. */
static bool is_key(const struct match_key *key, const char *given)
{
    const char *colon = strrchr(given, ':');
    const char *bare = colon != NULL ? colon + 1 : given;
    return match_key_is(key, given, strlen(given)) || match_key_is(key, bare, strlen(bare));
}

/* "client:KEY -timeout=SECONDS": whether the key is the right one. */
static bool parse(char *text, const struct match_key *key, struct arrival *arrival)
{
    static const char ROLE[] = "client:", TIMEOUT[] = "-timeout=";
    char *rest = NULL;
    char *word = strtok_r(text, " ", &rest);
    if (word == NULL || strncmp(word, ROLE, sizeof ROLE - 1) != 0) {
        return false;
    }
    bool right = is_key(key, word + sizeof ROLE - 1);
    arrival->timeout_s = 0;
    while ((word = strtok_r(NULL, " ", &rest)) != NULL) {
        if (strncmp(word, TIMEOUT, sizeof TIMEOUT - 1) == 0) {
            arrival->timeout_s = strtod(word + sizeof TIMEOUT - 1, NULL);
        }
    }
    return right;
}

bool handshake_hear(int socket, const struct match_key *key, struct arrival *arrival)
{
    int32_t magic = 0, length = 0;
    char text[MAX_TEXT_BYTES + 1];
    if (!receive(socket, &magic, sizeof magic) || magic != MAGIC ||
        !receive(socket, &length, sizeof length) || length < 0 || length > MAX_TEXT_BYTES ||
        !receive(socket, text, (size_t)length)) {
        return false;
    }
    text[length] = '\0';
    bool right = parse(text, key, arrival);
    if (!right) {
        handshake_answer(socket, "", false);
    }
    return right;
}

void handshake_answer(int socket, const char *board_key, bool welcome)
{
    static const char ROLE[] = "server:";
    char message[2 * sizeof(int32_t) + sizeof ROLE + MAX_KEY_BYTES];
    int32_t code = welcome ? MAGIC : MISMATCH;
    size_t key_bytes = strlen(board_key), size = sizeof code;
    int32_t length = (int32_t)(sizeof ROLE - 1 + key_bytes);
    memcpy(message, &code, sizeof code);
    if (welcome) {
        memcpy(message + size, &length, sizeof length);
        size += sizeof length;
        memcpy(message + size, ROLE, sizeof ROLE - 1);
        size += sizeof ROLE - 1;
        memcpy(message + size, board_key, key_bytes);
        size += key_bytes;
    }
    (void)send(socket, message, size, MSG_NOSIGNAL);
}
