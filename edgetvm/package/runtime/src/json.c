#include "json.h"

#include <string.h>

#include "json_parts.h"

struct json json_begin(char *text, size_t length)
{
    text[length] = '\0';
    return (struct json){.at = text, .end = text + length};
}

void json_fail(struct json *json, const char *failure)
{
    if (json->failure == NULL) {
        json->failure = failure;
        json->at = json->end;
    }
}

/* The next character that is no space, not read yet; NUL at the end. */
static char peek(struct json *json)
{
    for (; json->at < json->end; json->at++) {
        char next = *json->at;
        if (next != ' ' && next != '\n' && next != '\r' && next != '\t') {
            return next;
        }
    }
    return '\0';
}

bool json_take(struct json *json, char wanted)
{
    if (json->at == json->end || peek(json) != wanted) {
        return false;
    }
    json->at++;
    return true;
}

void json_expect(struct json *json, char wanted)
{
    if (!json_take(json, wanted)) {
        json_fail(json, "is not JSON");
    }
}

static bool take_word(struct json *json, const char *word)
{
    size_t length = strlen(word);
    (void)peek(json);
    if ((size_t)(json->end - json->at) < length || memcmp(json->at, word, length) != 0) {
        return false;
    }
    json->at += length;
    return true;
}

static void enter(struct json *json, char opening)
{
    json_expect(json, opening);
    if (json->depth == JSON_MAX_DEPTH) {
        json_fail(json, "is nested too deeply");
        return;
    }
    json->objects &= ~(1u << json->depth);
    json->objects |= (opening == '{' ? 1u : 0u) << json->depth;
    json->depth++;
    json->first = true;
}

/* Whether another value follows in the innermost object or array; leaves it if not. */
static bool more(struct json *json, char closing)
{
    if (json->failure != NULL) {
        return false;
    }
    if (json_take(json, closing)) {
        json->depth--;
        json->first = false;
        return false;
    }
    if (!json->first) {
        json_expect(json, ',');
    }
    json->first = false;
    return json->failure == NULL;
}

void json_object(struct json *json)
{
    enter(json, '{');
}

bool json_key(struct json *json, const char **key)
{
    if (!more(json, '}')) {
        return false;
    }
    *key = json_string(json);
    json_expect(json, ':');
    return json->failure == NULL;
}

void json_array(struct json *json)
{
    enter(json, '[');
}

bool json_item(struct json *json)
{
    return more(json, ']');
}

bool json_boolean(struct json *json)
{
    if (take_word(json, "true")) {
        return true;
    }
    if (!take_word(json, "false")) {
        json_fail(json, "has neither true nor false where one belongs");
    }
    return false;
}

bool json_null(struct json *json)
{
    return take_word(json, "null");
}

bool json_is_string(struct json *json)
{
    return json->at < json->end && peek(json) == '"';
}

static void skip_plain(struct json *json)
{
    char next = json->at < json->end ? peek(json) : '\0';
    if (next == '"') {
        (void)json_string(json);
    } else if (next == 't' || next == 'f') {
        (void)json_boolean(json);
    } else if (next != 'n' || !json_null(json)) {
        (void)json_number(json);
    }
}

void json_skip(struct json *json)
{
    const char *key;
    uint32_t depth = json->depth;
    do {
        char next = json->at < json->end ? peek(json) : '\0';
        if (next == '{') {
            json_object(json);
        } else if (next == '[') {
            json_array(json);
        } else {
            skip_plain(json);
        }
        /* Leave what has ended, and stop before the next value. */
        while (json->depth > depth && json->failure == NULL) {
            bool object = json->objects >> (json->depth - 1) & 1;
            if (object ? json_key(json, &key) : json_item(json)) {
                break;
            }
        }
    } while (json->depth > depth && json->failure == NULL);
}

bool json_finish(struct json *json)
{
    (void)peek(json);
    if (json->at != json->end) {
        json_fail(json, "has something after its end");
    }
    return json->failure == NULL;
}
