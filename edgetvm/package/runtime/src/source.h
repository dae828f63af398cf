/* Where a package's bytes are: in a file, or in the caller's memory. */
#ifndef EDGETVM_SOURCE_H
#define EDGETVM_SOURCE_H

#include "error.h"

struct source {
    int file; /* -1: in memory */
    const uint8_t *memory;
    uint64_t size_bytes;
};

edgetvm_status source_open(struct source *source, const char *path, edgetvm_error *error);
struct source source_of_memory(const void *data, size_t size_bytes);
/* Copies all of what is asked for, or fails. Files are never mapped: nobody can change or cut off
   what was checked. */
edgetvm_status source_read(const struct source *source, uint64_t offset, void *buffer,
                           size_t size_bytes, edgetvm_error *error);
void source_close(struct source *source);

#endif
