/* One sentence for whatever went wrong. */
#ifndef EDGETVM_ERROR_H
#define EDGETVM_ERROR_H

#include "edgetvm.h"
#include "names.h"

#define AGAIN "copy it again"
#define ANEW "package the model again with edgetvm"

/* Put question marks for control characters: texts may come from a package that is not trusted. */
void make_printable(char *text);
/* Write a sentence that is printable, and answer with the status. */
__attribute__((format(printf, 3, 4))) edgetvm_status fail(edgetvm_error *error,
                                                          edgetvm_status status,
                                                          const char *format, ...);
/* Put where it went wrong before the sentence. */
void fail_where(edgetvm_error *error, const char *where);
edgetvm_status fail_memory(edgetvm_error *error, size_t size_bytes);

#endif
