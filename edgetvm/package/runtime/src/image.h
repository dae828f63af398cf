/* A compiled model in memory: a loader for the shared objects that edgetvm links, and no others. */
#ifndef EDGETVM_IMAGE_H
#define EDGETVM_IMAGE_H

#include <elf.h>

#include "error.h"

enum { MAX_SEGMENTS = 8 };

struct segment {
    size_t begin; /* from the image's begin */
    size_t size_bytes;
    uint32_t flags; /* PF_R, PF_W, PF_X */
};

/* What a library may ask that is no package's model, such as a kernel of another builder: to run
   code when it is loaded, symbols that need not be there, and more functions. */
struct image_guest {
    /* Asked before the functions that all may call; 0 where there is none of that name. */
    uintptr_t (*find)(const char *name);
};

struct image {
    uint8_t *memory;
    size_t size_bytes; /* of the memory, whole pages */
    size_t segment_count;
    struct segment segments[MAX_SEGMENTS];
    size_t relro_begin, relro_end;
    /* Places of the tables from the image's begin, none of them checked before it is read. */
    size_t symbols, symbol_count, strings, strings_bytes;
    /* Null for a package's model; to be set before it is loaded. */
    const struct image_guest *guest;
    size_t initialisers, initialisers_bytes;
};

/* Memory that a file can be read into. */
edgetvm_status image_reserve(struct image *image, size_t file_bytes, edgetvm_error *error);
/* Make code of the file that was read into its memory, and let no more be written to it. */
edgetvm_status image_load(struct image *image, size_t file_bytes, edgetvm_error *error);
/* Run the code that a guest wants run before its other functions are called. */
edgetvm_status image_initialise(const struct image *image, edgetvm_error *error);
/* The symbol of that name if all its bytes are of a segment with these flags, else null. */
const void *image_symbol(const struct image *image, const char *name, size_t size_bytes,
                         uint32_t flags);
/* Bytes from a place to the end of its segment. */
size_t image_bytes_after(const struct image *image, const void *place);
void image_close(struct image *image);

#endif
