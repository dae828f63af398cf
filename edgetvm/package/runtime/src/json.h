/*
 * A JSON text (RFC 8259), read once from its beginning to its end.
 *
 * Nothing is allocated: strings are unescaped where they stand, and end with a NUL. The first
 * failure stays, and every later call fails. So a caller may read on, and ask at the end.
 *
 *     json_object(json);
 *     while (json_key(json, &key)) {
 *         if (strcmp(key, "name") == 0) name = json_string(json);
 *         else json_skip(json);
 *     }
 */
#ifndef EDGETVM_JSON_H
#define EDGETVM_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "names.h"

/* Objects and arrays within one another. */
enum { JSON_MAX_DEPTH = 32 };

struct json {
    char *at;
    char *end;
    const char *failure; /* null while all is well */
    uint32_t depth;
    uint32_t objects; /* one bit for each depth: an object, or an array */
    bool first;       /* no value of the innermost was read */
};

/* text: changed by reading; one more byte after its end is the caller's too. */
struct json json_begin(char *text, size_t length);
/* What follows must be an object; read its keys, with one value after each, until there is none. */
void json_object(struct json *json);
bool json_key(struct json *json, const char **key);
/* What follows must be an array; read one value each time that there is an item. */
void json_array(struct json *json);
bool json_item(struct json *json);

const char *json_string(struct json *json);
/* A whole number from `least` to `most`. */
int64_t json_integer(struct json *json, int64_t least, int64_t most);
/* To within a few units in the last place. */
double json_number(struct json *json);
bool json_boolean(struct json *json);
/* Whether what follows is null; it is read then. */
bool json_null(struct json *json);
bool json_is_string(struct json *json);
void json_skip(struct json *json);
/* Whether all was read, nothing follows and nothing failed. */
bool json_finish(struct json *json);

void json_fail(struct json *json, const char *failure);

#endif
