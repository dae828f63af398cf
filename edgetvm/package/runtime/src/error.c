#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void make_printable(char *text)
{
    for (unsigned char *at = (unsigned char *)text; *at != '\0'; at++) {
        /* U+0080 to U+009F are control characters of terminals, too. */
        bool high = at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0;
        if (*at < 0x20 || *at == 0x7f || high) {
            *at = '?';
            at[high] = '?';
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
