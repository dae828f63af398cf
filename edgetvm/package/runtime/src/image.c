#define _GNU_SOURCE 1

#include "image.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bytes.h"
#include "image_parts.h"

size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

edgetvm_status fail_image(edgetvm_error *error, const char *what)
{
    return fail(error, EDGETVM_BAD_LIBRARY, "its compiled model %s (" ANEW ")", what);
}

bool image_holds(const struct image *image, size_t place, size_t size_bytes, uint32_t flags)
{
    for (size_t i = 0; i < image->segment_count; i++) {
        const struct segment *segment = &image->segments[i];
        if ((segment->flags & flags) == flags && place >= segment->begin &&
            within(place - segment->begin, size_bytes, segment->size_bytes)) {
            return true;
        }
    }
    return false;
}

bool image_copy(const struct image *image, size_t place, void *to, size_t size_bytes)
{
    if (!image_holds(image, place, size_bytes, PF_R)) {
        return false;
    }
    memcpy(to, image->memory + place, size_bytes);
    return true;
}

bool image_symbol_at(const struct image *image, size_t index, elf_symbol *symbol)
{
    size_t offset = 0, place = 0;
    return index < image->symbol_count && multiply_sizes(index, sizeof *symbol, &offset) &&
           add_sizes(image->symbols, offset, &place) &&
           image_copy(image, place, symbol, sizeof *symbol);
}

const char *image_name(const struct image *image, const elf_symbol *symbol)
{
    if (symbol->st_name >= image->strings_bytes) {
        return NULL;
    }
    const char *name = (const char *)image->memory + image->strings + symbol->st_name;
    return memchr(name, '\0', image->strings_bytes - symbol->st_name) != NULL ? name : NULL;
}

const void *image_symbol(const struct image *image, const char *name, size_t size_bytes,
                         uint32_t flags)
{
    elf_symbol symbol;
    for (size_t i = 0; image_symbol_at(image, i, &symbol); i++) {
        const char *found = image_name(image, &symbol);
        if (found != NULL && strcmp(found, name) == 0 && symbol.st_shndx != SHN_UNDEF) {
            size_t place = (size_t)symbol.st_value;
            return image_holds(image, place, size_bytes, flags) ? image->memory + place : NULL;
        }
    }
    return NULL;
}

size_t image_bytes_after(const struct image *image, const void *place)
{
    size_t begin = (size_t)((const uint8_t *)place - image->memory);
    for (size_t i = 0; i < image->segment_count; i++) {
        const struct segment *segment = &image->segments[i];
        if (begin >= segment->begin && begin - segment->begin < segment->size_bytes) {
            return segment->size_bytes - (begin - segment->begin);
        }
    }
    return 0;
}

edgetvm_status image_reserve(struct image *image, size_t file_bytes, edgetvm_error *error)
{
    *image = (struct image){0};
    size_t size = 0;
    if (file_bytes < sizeof(elf_header)) {
        return fail_image(error, "is no shared object");
    }
    if (!round_up(file_bytes, page_bytes(), &size)) {
        return fail_memory(error, file_bytes);
    }
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE; /* all of it is read into at once */
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (memory == MAP_FAILED) {
        return fail_memory(error, size);
    }
    image->memory = memory;
    image->size_bytes = size;
    return EDGETVM_OK;
}

edgetvm_status image_load(struct image *image, size_t file_bytes, edgetvm_error *error)
{
    elf_segment dynamic;
    struct relocations relocations;
    edgetvm_status status = image_place(image, file_bytes, &dynamic, error);
    if (status == EDGETVM_OK) {
        status = image_read_dynamic(image, &dynamic, &relocations, error);
    }
    if (status == EDGETVM_OK) {
        status = image_relocate(image, &relocations, error);
    }
    return status == EDGETVM_OK ? image_protect(image, error) : status;
}

void image_close(struct image *image)
{
    if (image->memory != NULL) {
        (void)munmap(image->memory, image->size_bytes);
    }
    *image = (struct image){0};
}
