/* A text that grows; JSON is written with it. */
#ifndef BOARD_TEXT_H
#define BOARD_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
    char *bytes; /* null before anything was added */
    size_t length, room;
    bool failed; /* there was no memory: what was added is gone */
};

void text_add(struct text *text, const char *bytes, size_t length);
__attribute__((format(printf, 2, 3))) void text_format(struct text *text, const char *format, ...);
/* In quotes, as JSON has it. */
void text_quote(struct text *text, const char *value);
void text_free(struct text *text);

#endif
