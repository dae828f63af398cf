/* From a file to segments: checked, moved to their places, and at last protected. */
#define _GNU_SOURCE 1

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "bytes.h"
#include "code.h"
#include "image_parts.h"

#if defined(__x86_64__)
enum { MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { MACHINE = EM_AARCH64 };
#else
enum { MACHINE = EM_ARM };
#endif

enum { MAX_PROGRAM_HEADERS = 16 };

/* A segment of the file, and what must be moved. */
struct load {
    size_t offset; /* in the file */
    size_t file_bytes;
    size_t begin; /* in memory */
    size_t memory_bytes;
};

static edgetvm_status read_headers(const struct image *image, size_t file_bytes,
                                   elf_segment headers[MAX_PROGRAM_HEADERS], size_t *count,
                                   edgetvm_error *error)
{
    elf_header header;
    memcpy(&header, image->memory, sizeof header);
    const unsigned char *identity = header.e_ident;
    bool elf = memcmp(identity, ELFMAG, SELFMAG) == 0 && header.e_type == ET_DYN;
    if (!elf || identity[EI_DATA] != ELFDATA2LSB || identity[EI_VERSION] != EV_CURRENT) {
        return fail_image(error, "is no shared object");
    }
    if (identity[EI_CLASS] != ELF_CLASS || header.e_machine != MACHINE) {
        return fail_image(error, "is not of the architecture that the manifest tells");
    }
    size_t size = header.e_phnum * sizeof *headers;
    if (header.e_phentsize != sizeof *headers || header.e_phnum > MAX_PROGRAM_HEADERS ||
        header.e_phoff > file_bytes || !within((size_t)header.e_phoff, size, file_bytes)) {
        return fail_image(error, "has a damaged list of segments");
    }
    memcpy(headers, image->memory + header.e_phoff, size);
    *count = header.e_phnum;
    return EDGETVM_OK;
}

/* Segments must follow one another in the file and in memory, and need no less room there: then
   they can be moved within one block, from the last to the first. */
static edgetvm_status add_segment(struct image *image, struct load *loads,
                                  const elf_segment *header, size_t file_bytes,
                                  edgetvm_error *error)
{
    size_t count = image->segment_count;
    if (count == MAX_SEGMENTS) {
        return fail_image(error, "has too many segments");
    }
    if ((header->p_flags & (PF_W | PF_X)) == (PF_W | PF_X) || !(header->p_flags & PF_R)) {
        return fail_image(error, "has a segment both to write and to run, or not to read");
    }
    struct load load = {
        .offset = (size_t)header->p_offset,
        .file_bytes = (size_t)header->p_filesz,
        .begin = (size_t)header->p_vaddr,
        .memory_bytes = (size_t)header->p_memsz,
    };
    size_t end = 0, page = page_bytes();
    bool fits = within(load.offset, load.file_bytes, file_bytes) &&
                load.file_bytes <= load.memory_bytes && load.begin >= load.offset &&
                add_sizes(load.begin, load.memory_bytes, &end) && end <= SIZE_MAX / 2;
    if (fits && count > 0) {
        const struct load *last = &loads[count - 1];
        size_t page_end = 0;
        fits = load.offset >= last->offset + last->file_bytes &&
               round_up(last->begin + last->memory_bytes, page, &page_end) &&
               (load.begin & ~(page - 1)) >= page_end;
    }
    if (!fits) {
        return fail_image(error, "has segments that do not fit this system's pages");
    }
    loads[count] = load;
    image->segments[count] = (struct segment){
        .begin = load.begin, .size_bytes = load.memory_bytes, .flags = header->p_flags};
    image->segment_count++;
    return EDGETVM_OK;
}

/* Where code and data are larger than their file. */
static edgetvm_status grow(struct image *image, edgetvm_error *error)
{
    const struct segment *last = &image->segments[image->segment_count - 1];
    size_t size = 0;
    if (!round_up(last->begin + last->size_bytes, page_bytes(), &size)) {
        return fail_memory(error, last->size_bytes);
    }
    if (size <= image->size_bytes) {
        return EDGETVM_OK;
    }
    void *memory = mremap(image->memory, image->size_bytes, size, MREMAP_MAYMOVE);
    if (memory == MAP_FAILED) {
        return fail_memory(error, size);
    }
    image->memory = memory;
    image->size_bytes = size;
    return EDGETVM_OK;
}

/* Memory beyond the file's bytes is zero already: it is left untouched, and takes no room. */
static void zero_file_bytes(struct image *image, size_t begin, size_t end, size_t file_bytes)
{
    end = end < file_bytes ? end : file_bytes;
    if (begin < end) {
        memset(image->memory + begin, 0, end - begin);
    }
}

static void move_segments(struct image *image, const struct load *loads, size_t file_bytes)
{
    size_t end = image->size_bytes;
    for (size_t i = image->segment_count; i-- > 0;) {
        const struct load *load = &loads[i];
        if (load->begin != load->offset) {
            memmove(image->memory + load->begin, image->memory + load->offset, load->file_bytes);
        }
        zero_file_bytes(image, load->begin + load->file_bytes, end, file_bytes);
        end = load->begin;
    }
    zero_file_bytes(image, 0, end, file_bytes);
}

static edgetvm_status read_segments(struct image *image, struct load *loads, size_t file_bytes,
                                    elf_segment *dynamic, edgetvm_error *error)
{
    elf_segment headers[MAX_PROGRAM_HEADERS];
    size_t count = 0;
    edgetvm_status status = read_headers(image, file_bytes, headers, &count, error);
    dynamic->p_type = PT_NULL;
    for (size_t i = 0; status == EDGETVM_OK && i < count; i++) {
        const elf_segment *header = &headers[i];
        if (header->p_type == PT_LOAD && header->p_memsz > 0) {
            status = add_segment(image, loads, header, file_bytes, error);
        } else if (header->p_type == PT_DYNAMIC) {
            *dynamic = *header;
        } else if (header->p_type == PT_GNU_RELRO) {
            image->relro_begin = (size_t)header->p_vaddr;
            image->relro_end = image->relro_begin + (size_t)header->p_memsz;
        } else if (header->p_type == PT_TLS) {
            status = fail_image(error, "keeps data for each thread");
        } else if (header->p_type == PT_GNU_STACK && (header->p_flags & PF_X)) {
            status = fail_image(error, "wants to run code on the stack");
        }
    }
    return status;
}

edgetvm_status image_place(struct image *image, size_t file_bytes, elf_segment *dynamic,
                           edgetvm_error *error)
{
    struct load loads[MAX_SEGMENTS];
    edgetvm_status status = read_segments(image, loads, file_bytes, dynamic, error);
    if (status != EDGETVM_OK) {
        return status;
    }
    if (image->segment_count == 0 || dynamic->p_type != PT_DYNAMIC) {
        return fail_image(error, "has nothing to load");
    }
    status = grow(image, error);
    if (status == EDGETVM_OK) {
        move_segments(image, loads, file_bytes);
    }
    return status;
}

static edgetvm_status fail_protect(edgetvm_error *error)
{
    return fail(error, EDGETVM_SYSTEM_ERROR,
                "the system does not let loaded code run: %s (allow this program executable "
                "memory)",
                strerror(errno));
}

static bool protect(struct image *image, size_t begin, size_t end, int protection)
{
    return begin >= end || mprotect(image->memory + begin, end - begin, protection) == 0;
}

static int protection_of(uint32_t flags)
{
    return PROT_READ | (flags & PF_W ? PROT_WRITE : 0) | (flags & PF_X ? PROT_EXEC : 0);
}

edgetvm_status image_protect(struct image *image, edgetvm_error *error)
{
    size_t page = page_bytes(), done = 0;
    for (size_t i = 0; i < image->segment_count; i++) {
        const struct segment *segment = &image->segments[i];
        size_t begin = segment->begin & ~(page - 1);
        size_t end = (segment->begin + segment->size_bytes + page - 1) & ~(page - 1);
        if (segment->flags & PF_X) {
            code_written(image->memory + segment->begin, segment->size_bytes);
        }
        /* Nothing belongs between the segments. */
        if (!protect(image, done, begin, PROT_NONE) ||
            !protect(image, begin, end, protection_of(segment->flags))) {
            return fail_protect(error);
        }
        done = end;
    }
    size_t begin = image->relro_begin & ~(page - 1), end = image->relro_end & ~(page - 1);
    bool known = image->relro_begin <= image->relro_end &&
                 image_holds(image, image->relro_begin, image->relro_end - image->relro_begin,
                             PF_R | PF_W);
    if ((known && !protect(image, begin, end, PROT_READ)) ||
        !protect(image, done, image->size_bytes, PROT_NONE)) {
        return fail_protect(error);
    }
    return EDGETVM_OK;
}
