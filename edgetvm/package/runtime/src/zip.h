/* The members of a package, as its ZIP archive lists them (PKWARE's APPNOTE.TXT). */
#ifndef EDGETVM_ZIP_H
#define EDGETVM_ZIP_H

#include "error.h"
#include "source.h"

/* Far above any model for a board, and far below what would fill memory by surprise. */
enum { MAX_MEMBERS = 1000, MAX_NAME_BYTES = 255, MAX_DIRECTORY_BYTES = 1 << 20 };
#define MAX_TOTAL_BYTES ((uint64_t)4 << 30)

struct zip_entry {
    const char *name; /* not ended by a NUL */
    uint16_t name_bytes;
    uint32_t crc32;
    uint32_t size_bytes;
    uint64_t offset; /* of its data, in the source */
};

struct zip {
    struct zip_entry *entries;
    size_t count;
    uint8_t *directory;
};

/*
 * Read the list, and check that the archive has the one form that packages have: members stored,
 * one after the other without a gap, each told alike in both places. Then one file has one meaning
 * for all readers. Anything may stand before the archive, and nothing after it.
 */
edgetvm_status zip_open(struct zip *zip, const struct source *source, edgetvm_error *error);
bool zip_has_name(const struct zip_entry *entry, const char *name);
void zip_close(struct zip *zip);

#endif
