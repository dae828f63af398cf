#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 256, MOST_FORMATTED = 200 };

void text_add(struct text *text, const char *bytes, size_t length)
{
    size_t room = text->room > 0 ? text->room : FIRST_ROOM;
    while (room - text->length < length && room <= (size_t)-1 / 4) {
        room *= 2;
    }
    if (room > text->room) {
        char *grown = realloc(text->bytes, room);
        text->failed = text->failed || grown == NULL;
        text->bytes = grown != NULL ? grown : text->bytes;
        text->room = grown != NULL ? room : text->room;
    }
    if (text->failed || text->room - text->length < length) {
        text->failed = true;
        return;
    }
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
}

void text_format(struct text *text, const char *format, ...)
{
    char part[MOST_FORMATTED];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(part, sizeof part, format, arguments);
    va_end(arguments);
    if (length < 0 || length >= MOST_FORMATTED) {
        text->failed = true;
        return;
    }
    text_add(text, part, (size_t)length);
}

void text_quote(struct text *text, const char *value)
{
    text_add(text, "\"", 1);
    for (; *value != '\0'; value++) {
        unsigned char letter = (unsigned char)*value;
        if (letter == '"' || letter == '\\') {
            text_format(text, "\\%c", letter);
        } else if (letter < ' ') {
            text_format(text, "\\u%04x", (unsigned)letter);
        } else {
            text_add(text, value, 1);
        }
    }
    text_add(text, "\"", 1);
}

void text_free(struct text *text)
{
    free(text->bytes);
    *text = (struct text){0};
}
