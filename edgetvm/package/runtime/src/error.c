#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void make_printable(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            *text = '?';
        }
    }
}

edgetvm_status fail(edgetvm_error *error, edgetvm_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    make_printable(error->text);
    return status;
}

void fail_where(edgetvm_error *error, const char *where)
{
    /* A long path must not push out what is wrong. */
    enum { MOST = EDGETVM_ERROR_BYTES / 3 };
    edgetvm_error what = *error;
    size_t length = strlen(where);
    bool cut = length > MOST;
    (void)snprintf(error->text, sizeof error->text, "%s%.*s: %.*s", cut ? "..." : "", MOST,
                   cut ? where + length - MOST : where, EDGETVM_ERROR_BYTES - MOST - 6, what.text);
    make_printable(error->text);
}

edgetvm_status fail_memory(edgetvm_error *error, size_t size_bytes)
{
    return fail(error, EDGETVM_NO_MEMORY, "there is no memory for %zu bytes (free some)",
                size_bytes);
}
