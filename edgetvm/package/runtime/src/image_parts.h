/* What the parts of the loader share. */
#ifndef EDGETVM_IMAGE_PARTS_H
#define EDGETVM_IMAGE_PARTS_H

#include "image.h"

#if UINTPTR_MAX > UINT32_MAX
typedef Elf64_Ehdr elf_header;
typedef Elf64_Phdr elf_segment;
typedef Elf64_Dyn elf_dynamic;
typedef Elf64_Sym elf_symbol;
#define ELF_CLASS ELFCLASS64
#define ELF_SYMBOL_TYPE ELF64_ST_TYPE
#define ELF_SYMBOL_BIND ELF64_ST_BIND
#else
typedef Elf32_Ehdr elf_header;
typedef Elf32_Phdr elf_segment;
typedef Elf32_Dyn elf_dynamic;
typedef Elf32_Sym elf_symbol;
#define ELF_CLASS ELFCLASS32
#define ELF_SYMBOL_TYPE ELF32_ST_TYPE
#define ELF_SYMBOL_BIND ELF32_ST_BIND
#endif

/* What PT_DYNAMIC tells of relocations. */
struct relocations {
    size_t place, size_bytes; /* of the first table */
    size_t jump_place, jump_bytes;
};

edgetvm_status fail_image(edgetvm_error *error, const char *what);
/* Whether these bytes are of one segment with these flags. */
bool image_holds(const struct image *image, size_t place, size_t size_bytes, uint32_t flags);
/* Copy what a readable segment holds; false where it does not. */
bool image_copy(const struct image *image, size_t place, void *to, size_t size_bytes);
/* The name of a symbol; null where it has no end. */
const char *image_name(const struct image *image, const elf_symbol *symbol);
bool image_symbol_at(const struct image *image, size_t index, elf_symbol *symbol);

/* Move the file's segments to where they belong. */
edgetvm_status image_place(struct image *image, size_t file_bytes, elf_segment *dynamic,
                           edgetvm_error *error);
edgetvm_status image_read_dynamic(struct image *image, const elf_segment *dynamic,
                                  struct relocations *found, edgetvm_error *error);
edgetvm_status image_relocate(struct image *image, const struct relocations *relocations,
                              edgetvm_error *error);
edgetvm_status image_protect(struct image *image, edgetvm_error *error);
/* As the system has them. */
size_t page_bytes(void);

#endif
