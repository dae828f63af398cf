/* Texts of JSON, unescaped where they stand. */
#include <string.h>

#include "json_parts.h"

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
    json_expect(json, '"');
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
