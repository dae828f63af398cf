#include "json.h"

#include <math.h>
#include <string.h>

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

static bool take(struct json *json, char wanted)
{
    if (json->at == json->end || peek(json) != wanted) {
        return false;
    }
    json->at++;
    return true;
}

static void expect(struct json *json, char wanted)
{
    if (!take(json, wanted)) {
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
    expect(json, opening);
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
    if (take(json, closing)) {
        json->depth--;
        json->first = false;
        return false;
    }
    if (!json->first) {
        expect(json, ',');
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
    expect(json, ':');
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

static int hexadecimal(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return -1;
}

/* The four digits after \u. */
static uint32_t code_unit(struct json *json)
{
    uint32_t value = 0;
    if (json->end - json->at < 4) {
        json_fail(json, "has a broken escape in a text");
        return 0;
    }
    for (int i = 0; i < 4; i++) {
        int digit = hexadecimal(*json->at++);
        if (digit < 0) {
            json_fail(json, "has a broken escape in a text");
            return 0;
        }
        value = value << 4 | (uint32_t)digit;
    }
    return value;
}

static uint32_t code_point(struct json *json)
{
    uint32_t unit = code_unit(json);
    if (unit >= 0xd800 && unit < 0xdc00 && json->end - json->at >= 2 && json->at[0] == '\\' &&
        json->at[1] == 'u') {
        json->at += 2;
        uint32_t low = code_unit(json);
        if (low >= 0xdc00 && low < 0xe000) {
            return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    if (unit == 0 || (unit >= 0xd800 && unit < 0xe000)) {
        json_fail(json, "has an escape of no character in a text");
    }
    return unit;
}

/* As UTF-8: never longer than its escape was. */
static char *put_code_point(char *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    } else {
        *to++ = (char)(0xf0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 0x3f));
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    }
    return to;
}

static char *put_escaped(struct json *json, char *to)
{
    static const char ESCAPES[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    char kind = json->at < json->end ? *json->at++ : '\0';
    if (kind == 'u') {
        return put_code_point(to, code_point(json));
    }
    for (const char *known = ESCAPES; *known != '\0'; known += 2) {
        if (*known == kind) {
            *to = known[1];
            return to + 1;
        }
    }
    json_fail(json, "has a broken escape in a text");
    return to;
}

/* Bytes of the UTF-8 character that begins here (RFC 3629); 0 where there is none. */
static size_t character_bytes(const char *text, size_t left)
{
    const unsigned char *at = (const unsigned char *)text;
    unsigned char lead = at[0];
    size_t size = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    if (size == 0 || size > left) {
        return 0;
    }
    unsigned char least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < least || at[1] > most) {
        return 0;
    }
    for (size_t i = 2; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return size;
}

const char *json_string(struct json *json)
{
    expect(json, '"');
    char *text = json->at;
    char *to = text;
    while (json->at < json->end) {
        unsigned char next = (unsigned char)*json->at;
        if (next == '"') {
            json->at++;
            *to = '\0';
            return text;
        }
        if (next < 0x20) {
            break;
        }
        if (next == '\\') {
            json->at++;
            to = put_escaped(json, to);
        } else if (next < 0x80) {
            *to++ = *json->at++;
        } else {
            size_t size = character_bytes(json->at, (size_t)(json->end - json->at));
            if (size == 0) {
                json_fail(json, "has a text that is not UTF-8");
                break;
            }
            memmove(to, json->at, size);
            to += size;
            json->at += size;
        }
    }
    json_fail(json, "has a text without an end");
    return "";
}

static bool is_digit(const struct json *json)
{
    return json->at < json->end && *json->at >= '0' && *json->at <= '9';
}

static const char *const NO_NUMBER = "has no number where one belongs";

int64_t json_integer(struct json *json, int64_t least, int64_t most)
{
    bool negative = take(json, '-');
    if (!is_digit(json)) {
        json_fail(json, "has no whole number where one belongs");
        return least;
    }
    bool zero = *json->at == '0';
    const char *begin = json->at;
    int64_t value = 0;
    bool over = false;
    for (; is_digit(json); json->at++) {
        int digit = *json->at - '0';
        over |= __builtin_mul_overflow(value, 10, &value);
        over |= __builtin_sub_overflow(value, digit, &value);
    }
    /* Summed up below zero: the least number has no positive twin. */
    over |= !negative && __builtin_sub_overflow((int64_t)0, value, &value);
    bool fraction = json->at < json->end && strchr(".eE", *json->at) != NULL;
    if (over || value < least || value > most || (zero && json->at - begin > 1) || fraction) {
        json_fail(json, "has a number that cannot be");
        return least;
    }
    return value;
}

static int exponent(struct json *json)
{
    if (json->at == json->end || (*json->at != 'e' && *json->at != 'E')) {
        return 0;
    }
    json->at++;
    bool negative = json->at < json->end && *json->at == '-';
    if (negative || (json->at < json->end && *json->at == '+')) {
        json->at++;
    }
    if (!is_digit(json)) {
        json_fail(json, NO_NUMBER);
    }
    int value = 0;
    for (; is_digit(json); json->at++) {
        value = value < 10000 ? 10 * value + (*json->at - '0') : value;
    }
    return negative ? -value : value;
}

double json_number(struct json *json)
{
    bool negative = take(json, '-');
    if (!is_digit(json)) {
        json_fail(json, NO_NUMBER);
        return 0;
    }
    double value = 0;
    int scale = 0;
    const char *begin = json->at, *point = NULL;
    for (; is_digit(json) || (*json->at == '.' && point == NULL); json->at++) {
        if (*json->at == '.') {
            point = json->at;
        } else {
            value = 10 * value + (*json->at - '0');
            scale -= point != NULL;
        }
    }
    const char *whole_end = point != NULL ? point : json->at;
    bool padded = *begin == '0' && whole_end - begin > 1;
    bool bare_point = json->at[-1] == '.';
    scale += exponent(json);
    /* In two steps: the power alone may be no number where the product is one. */
    int half = scale / 2;
    value = value * pow(10, half) * pow(10, scale - half);
    if (padded || bare_point || !isfinite(value)) {
        json_fail(json, NO_NUMBER);
    }
    return negative ? -value : value;
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
