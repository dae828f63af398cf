#include "zip.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"

enum { END_BYTES = 22, CENTRAL_BYTES = 46, LOCAL_BYTES = 30 };
enum { END_MAGIC = 0x06054b50, CENTRAL_MAGIC = 0x02014b50, LOCAL_MAGIC = 0x04034b50 };
/* The one flag that says nothing of how data lies: names are UTF-8. */
enum { FLAG_UTF8 = 0x800 };

/* The end record's account of the directory. */
struct end {
    uint64_t begin; /* of the archive, in the source */
    uint32_t directory_offset;
    uint32_t directory_bytes;
    uint16_t count;
};

static edgetvm_status read_end(struct end *end, const struct source *source, edgetvm_error *error)
{
    uint8_t record[END_BYTES];
    if (source->size_bytes < END_BYTES) {
        return fail(error, EDGETVM_NOT_A_PACKAGE, "it is no .edgetvm package (" AGAIN ")");
    }
    uint64_t place = source->size_bytes - END_BYTES;
    edgetvm_status status = source_read(source, place, record, END_BYTES, error);
    if (status != EDGETVM_OK) {
        return status;
    }
    if (le32(record) != END_MAGIC || le16(record + 20) != 0) {
        return fail(error, EDGETVM_NOT_A_PACKAGE,
                    "it is no .edgetvm package, or cut off (" AGAIN ")");
    }
    *end = (struct end){
        .count = le16(record + 10),
        .directory_bytes = le32(record + 12),
        .directory_offset = le32(record + 16),
    };
    uint64_t before = (uint64_t)end->directory_bytes + end->directory_offset;
    if (le32(record + 4) != 0 || le16(record + 8) != end->count || before > place) {
        return fail(error, EDGETVM_BAD_ARCHIVE, "its end contradicts itself (" AGAIN ")");
    }
    end->begin = place - before;
    if (end->count > MAX_MEMBERS || end->directory_bytes > MAX_DIRECTORY_BYTES) {
        return fail(error, EDGETVM_TOO_LARGE, "it claims more members than a package may hold "
                                              "(" ANEW ")");
    }
    return EDGETVM_OK;
}

static bool begins_a_word(char letter)
{
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
           (letter >= '0' && letter <= '9') || letter == '_';
}

/* Words joined by slashes: never absolute, never upwards. */
static bool is_member_name(const char *name, size_t length)
{
    bool begins = true;
    for (size_t i = 0; i < length; i++) {
        bool fits = begins_a_word(name[i]) || (!begins && strchr(".-/", name[i]) != NULL);
        if (!fits || name[i] == '\0') {
            return false;
        }
        begins = name[i] == '/';
    }
    return !begins && length <= MAX_NAME_BYTES;
}

static edgetvm_status fail_entry(edgetvm_error *error, const struct zip_entry *entry,
                                 const char *what)
{
    return fail(error, EDGETVM_BAD_ARCHIVE, "its member %.*s %s (" AGAIN ")", entry->name_bytes,
                entry->name, what);
}

/* What the local header must repeat: flags, method, times left out, checksum and sizes. */
static bool same_facts(const uint8_t *central, const uint8_t *local)
{
    return memcmp(central + 8, local + 6, 4) == 0 && memcmp(central + 16, local + 14, 12) == 0 &&
           memcmp(central + 28, local + 26, 2) == 0;
}

/* offset: in the source, where the local header must be; then, where the member ends. */
static edgetvm_status read_local(struct zip_entry *entry, const uint8_t *central, uint64_t *offset,
                                 const struct source *source, edgetvm_error *error)
{
    uint8_t header[LOCAL_BYTES + MAX_NAME_BYTES];
    size_t header_bytes = (size_t)LOCAL_BYTES + entry->name_bytes;
    edgetvm_status status = source_read(source, *offset, header, header_bytes, error);
    if (status != EDGETVM_OK) {
        return status;
    }
    if (le32(header) != LOCAL_MAGIC || !same_facts(central, header) ||
        memcmp(header + LOCAL_BYTES, entry->name, entry->name_bytes) != 0) {
        return fail_entry(error, entry, "is told in two ways");
    }
    entry->offset = *offset + header_bytes + le16(header + 28);
    *offset = entry->offset + entry->size_bytes;
    return EDGETVM_OK;
}

static edgetvm_status read_central(struct zip_entry *entry, const uint8_t *record, size_t left,
                                   size_t *record_bytes, edgetvm_error *error)
{
    bool whole = left >= CENTRAL_BYTES && le32(record) == CENTRAL_MAGIC;
    if (whole) {
        *record_bytes =
            (size_t)CENTRAL_BYTES + le16(record + 28) + le16(record + 30) + le16(record + 32);
    }
    if (!whole || *record_bytes > left) {
        return fail(error, EDGETVM_BAD_ARCHIVE, "its list of members is damaged (" AGAIN ")");
    }
    *entry = (struct zip_entry){
        .name = (const char *)record + CENTRAL_BYTES,
        .name_bytes = le16(record + 28),
        .crc32 = le32(record + 16),
        .size_bytes = le32(record + 24),
    };
    if (!is_member_name(entry->name, entry->name_bytes)) {
        return fail(error, EDGETVM_BAD_ARCHIVE,
                    "one of its members has a name that no member may have (" ANEW ")");
    }
    bool plain = (le16(record + 8) & ~FLAG_UTF8) == 0 && le16(record + 10) == 0;
    if (!plain || le32(record + 20) != entry->size_bytes || le16(record + 34) != 0) {
        return fail_entry(error, entry, "is not stored plainly");
    }
    return EDGETVM_OK;
}

static edgetvm_status read_entries(struct zip *zip, const struct end *end,
                                   const struct source *source, edgetvm_error *error)
{
    const uint8_t *record = zip->directory;
    size_t left = end->directory_bytes;
    uint64_t offset = end->begin;
    uint64_t total = 0;
    for (size_t i = 0; i < zip->count; i++) {
        struct zip_entry *entry = &zip->entries[i];
        size_t record_bytes = 0;
        edgetvm_status status = read_central(entry, record, left, &record_bytes, error);
        if (status != EDGETVM_OK) {
            return status;
        }
        total += entry->size_bytes;
        if (total > MAX_TOTAL_BYTES) {
            return fail(error, EDGETVM_TOO_LARGE, "it claims more than a package may hold "
                                                  "(" ANEW ")");
        }
        if (end->begin + le32(record + 42) != offset) {
            return fail_entry(error, entry, "overlaps another, or leaves a gap");
        }
        status = read_local(entry, record, &offset, source, error);
        if (status != EDGETVM_OK) {
            return status;
        }
        record += record_bytes;
        left -= record_bytes;
    }
    if (left != 0 || offset != end->begin + end->directory_offset) {
        return fail(error, EDGETVM_BAD_ARCHIVE, "it holds more than its members (" ANEW ")");
    }
    return EDGETVM_OK;
}

edgetvm_status zip_open(struct zip *zip, const struct source *source, edgetvm_error *error)
{
    *zip = (struct zip){0};
    struct end end = {0};
    edgetvm_status status = read_end(&end, source, error);
    if (status != EDGETVM_OK) {
        return status;
    }
    zip->count = end.count;
    zip->entries = calloc(end.count + (size_t)1, sizeof *zip->entries);
    zip->directory = malloc(end.directory_bytes + (size_t)1);
    if (zip->entries == NULL || zip->directory == NULL) {
        return fail_memory(error, end.directory_bytes);
    }
    status = source_read(source, end.begin + end.directory_offset, zip->directory,
                         end.directory_bytes, error);
    return status == EDGETVM_OK ? read_entries(zip, &end, source, error) : status;
}

bool zip_has_name(const struct zip_entry *entry, const char *name)
{
    return strlen(name) == entry->name_bytes && memcmp(name, entry->name, entry->name_bytes) == 0;
}

void zip_close(struct zip *zip)
{
    free(zip->entries);
    free(zip->directory);
    *zip = (struct zip){0};
}
