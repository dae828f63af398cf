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

struct image;

/* What a library may ask that is no package's model, such as a kernel of another linker: functions
   of its own, symbols that need not be there, tables that this loader does not read, and code to
   run before all other, which is then left to who loads it. */
struct image_guest {
    /* Asked before the functions that all may call; 0 where there is none of that name. */
    uintptr_t (*find)(const char *name);
    /* Told each entry of the dynamic section. */
    void (*note)(struct image_guest *guest, size_t tag, size_t value);
    /* How many symbols there are, where no plain hash table tells. */
    bool (*count_symbols)(const struct image_guest *guest, const struct image *image,
                          size_t *count);
};

struct image {
    uint8_t *memory;
    size_t size_bytes; /* of the memory, whole pages */
    size_t segment_count;
    struct segment segments[MAX_SEGMENTS];
    size_t relro_begin, relro_end;
    /* Places of the tables from the image's begin, none of them checked before it is read. */
    size_t symbols, symbol_count, strings, strings_bytes;
    struct image_guest *guest; /* null for a package's model; to be set before it is loaded */
};

/* Memory that a file can be read into. */
edgetvm_status image_reserve(struct image *image, size_t file_bytes, edgetvm_error *error);
/* Make code of the file that was read into its memory, and let no more be written to it. */
edgetvm_status image_load(struct image *image, size_t file_bytes, edgetvm_error *error);
/* The symbol of that name if all its bytes are of a segment with these flags, else null. */
const void *image_symbol(const struct image *image, const char *name, size_t size_bytes,
                         uint32_t flags);
/* Bytes from a place to the end of its segment. */
size_t image_bytes_after(const struct image *image, const void *place);
void image_close(struct image *image);

#endif
