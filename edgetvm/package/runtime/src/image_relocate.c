/* From segments to code that can run: pointers are set, functions of this runtime are found. */
#include <string.h>

#include "bytes.h"
#include "functions.h"
#include "image_parts.h"

#if UINTPTR_MAX > UINT32_MAX
#define SYMBOL_OF(info) ((size_t)ELF64_R_SYM(info))
#define TYPE_OF(info) ((uint32_t)ELF64_R_TYPE(info))
#else
#define SYMBOL_OF(info) ((size_t)ELF32_R_SYM(info))
#define TYPE_OF(info) ((uint32_t)ELF32_R_TYPE(info))
#endif

/* Tables of one kind for each architecture: with addends of their own, or in the place itself. */
#if defined(__arm__)
typedef Elf32_Rel elf_relocation;
enum { WITH_ADDENDS = 0, TABLE = DT_REL, TABLE_BYTES = DT_RELSZ, OTHER_TABLE = DT_RELA };
#else
typedef Elf64_Rela elf_relocation;
enum { WITH_ADDENDS = 1, TABLE = DT_RELA, TABLE_BYTES = DT_RELASZ, OTHER_TABLE = DT_REL };
#endif

enum kind { UNKNOWN, NOTHING, MOVED, SYMBOL, SYMBOL_AND_ADDEND };

static enum kind kind_of(uint32_t type)
{
    switch (type) {
#if defined(__x86_64__)
    case R_X86_64_NONE:
        return NOTHING;
    case R_X86_64_RELATIVE:
        return MOVED;
    case R_X86_64_GLOB_DAT:
    case R_X86_64_JUMP_SLOT:
        return SYMBOL;
    case R_X86_64_64:
        return SYMBOL_AND_ADDEND;
#elif defined(__aarch64__)
    case R_AARCH64_NONE:
        return NOTHING;
    case R_AARCH64_RELATIVE:
        return MOVED;
    case R_AARCH64_GLOB_DAT:
    case R_AARCH64_JUMP_SLOT:
        return SYMBOL;
    case R_AARCH64_ABS64:
        return SYMBOL_AND_ADDEND;
#else
    case R_ARM_NONE:
        return NOTHING;
    case R_ARM_RELATIVE:
        return MOVED;
    case R_ARM_GLOB_DAT:
    case R_ARM_JUMP_SLOT:
        return SYMBOL;
    case R_ARM_ABS32:
        return SYMBOL_AND_ADDEND;
#endif
    default:
        return UNKNOWN;
    }
}

/* Whether an entry of the dynamic section tells of code to run before or after all other. */
static bool is_of_its_begin_or_end(const elf_dynamic *entry)
{
    switch (entry->d_tag) {
    case DT_INIT_ARRAYSZ:
    case DT_FINI_ARRAYSZ:
    case DT_PREINIT_ARRAYSZ:
        return entry->d_un.d_val > 0;
    case DT_INIT:
    case DT_FINI:
        return true;
    default:
        return false;
    }
}

/* What an entry of the dynamic section asks for that this loader does not do; null for others. */
static const char *asked_too_much(const elf_dynamic *entry, const struct image_guest *guest)
{
    if (guest == NULL && is_of_its_begin_or_end(entry)) {
        return "wants to run code while it is loaded";
    }
    switch (entry->d_tag) {
    case DT_TEXTREL:
        return "wants its code changed";
    case DT_FLAGS:
        return entry->d_un.d_val & DF_TEXTREL ? "wants its code changed" : NULL;
    case OTHER_TABLE:
    case DT_RELR:
        return "has relocations of an unknown kind";
    case DT_SYMENT:
        return entry->d_un.d_val != sizeof(elf_symbol) ? "has a damaged table" : NULL;
    default:
        return NULL;
    }
}

static void note(struct image *image, struct relocations *found, size_t *hash,
                 const elf_dynamic *entry)
{
    size_t value = (size_t)entry->d_un.d_val;
    switch (entry->d_tag) {
    case DT_SYMTAB:
        image->symbols = value;
        break;
    case DT_STRTAB:
        image->strings = value;
        break;
    case DT_STRSZ:
        image->strings_bytes = value;
        break;
    case DT_HASH:
        *hash = value;
        break;
    case TABLE:
        found->place = value;
        break;
    case TABLE_BYTES:
        found->size_bytes = value;
        break;
    case DT_JMPREL:
        found->jump_place = value;
        break;
    case DT_PLTRELSZ:
        found->jump_bytes = value;
        break;
    default:
        break;
    }
}

edgetvm_status image_read_dynamic(struct image *image, const elf_segment *dynamic,
                                  struct relocations *found, edgetvm_error *error)
{
    *found = (struct relocations){0};
    size_t hash = 0, entries = (size_t)dynamic->p_memsz / sizeof(elf_dynamic);
    for (size_t i = 0; i < entries; i++) {
        elf_dynamic entry;
        size_t place = 0;
        if (!add_sizes((size_t)dynamic->p_vaddr, i * sizeof entry, &place) ||
            !image_copy(image, place, &entry, sizeof entry)) {
            return fail_image(error, "has a damaged table");
        }
        if (entry.d_tag == DT_NULL) {
            break;
        }
        const char *problem = asked_too_much(&entry, image->guest);
        if (problem != NULL) {
            return fail_image(error, problem);
        }
        note(image, found, &hash, &entry);
        if (image->guest != NULL) {
            image->guest->note(image->guest, (size_t)entry.d_tag, (size_t)entry.d_un.d_val);
        }
    }
    /* The second word of a hash table is the number of symbols. */
    uint32_t counts[2];
    bool counted = hash != 0 && image_copy(image, hash, counts, sizeof counts);
    image->symbol_count = counted ? counts[1] : 0;
    if (!counted && image->guest != NULL) {
        counted = image->guest->count_symbols(image->guest, image, &image->symbol_count);
    }
    if (!counted || !image_holds(image, image->strings, image->strings_bytes, PF_R)) {
        return fail_image(error, "has no table of symbols");
    }
    return EDGETVM_OK;
}

static edgetvm_status fail_function(edgetvm_error *error, const char *name)
{
    return fail(error, EDGETVM_MISSING_FUNCTION,
                "its compiled model needs the function %.60s, which this runtime does not have "
                "(update the runtime, or package the model again)",
                name);
}

static uintptr_t find_function(const struct image *image, const char *name)
{
    uintptr_t address = image->guest != NULL ? image->guest->find(name) : 0;
    return address != 0 ? address : function_address(name);
}

/* The address that a symbol stands for. */
static edgetvm_status resolve(const struct image *image, size_t index, uintptr_t *address,
                              edgetvm_error *error)
{
    elf_symbol symbol;
    const char *name = image_symbol_at(image, index, &symbol) ? image_name(image, &symbol) : NULL;
    if (name == NULL) {
        return fail_image(error, "has a damaged table");
    }
    if (symbol.st_shndx == SHN_UNDEF) {
        *address = find_function(image, name);
        bool optional = image->guest != NULL && ELF_SYMBOL_BIND(symbol.st_info) == STB_WEAK;
        return *address != 0 || optional ? EDGETVM_OK : fail_function(error, name);
    }
    unsigned type = ELF_SYMBOL_TYPE(symbol.st_info);
    size_t place = (size_t)symbol.st_value;
    bool plain = type == STT_OBJECT || type == STT_FUNC || type == STT_NOTYPE;
    if (!plain || symbol.st_shndx >= SHN_LORESERVE || !image_holds(image, place, 1, PF_R)) {
        return fail_image(error, "has a symbol that cannot be");
    }
    *address = (uintptr_t)image->memory + place;
    return EDGETVM_OK;
}

static edgetvm_status relocate(struct image *image, const elf_relocation *relocation,
                               edgetvm_error *error)
{
    enum kind kind = kind_of(TYPE_OF(relocation->r_info));
    size_t place = (size_t)relocation->r_offset;
    if (kind == NOTHING) {
        return EDGETVM_OK;
    }
    if (kind == UNKNOWN) {
        return fail_image(error, "has relocations of an unknown kind");
    }
    uintptr_t addend = 0, base = (uintptr_t)image->memory;
    if (!image_holds(image, place, sizeof addend, PF_R | PF_W)) {
        return fail_image(error, "has a relocation where nothing may be written");
    }
#if defined(__arm__)
    memcpy(&addend, image->memory + place, sizeof addend);
#else
    addend = (uintptr_t)relocation->r_addend;
#endif
    if (kind == SYMBOL) {
        addend = 0;
    }
    if (kind != MOVED) {
        edgetvm_status status = resolve(image, SYMBOL_OF(relocation->r_info), &base, error);
        if (status != EDGETVM_OK) {
            return status;
        }
    }
    uintptr_t value = base + addend;
    memcpy(image->memory + place, &value, sizeof value);
    return EDGETVM_OK;
}

static edgetvm_status relocate_all(struct image *image, size_t place, size_t size_bytes,
                                   edgetvm_error *error)
{
    for (size_t done = 0; done + sizeof(elf_relocation) <= size_bytes;
         done += sizeof(elf_relocation)) {
        elf_relocation relocation;
        size_t at = 0;
        if (!add_sizes(place, done, &at) ||
            !image_copy(image, at, &relocation, sizeof relocation)) {
            return fail_image(error, "has a damaged table");
        }
        edgetvm_status status = relocate(image, &relocation, error);
        if (status != EDGETVM_OK) {
            return status;
        }
    }
    return EDGETVM_OK;
}

/* Functions of TVM's runtime are called by way of variables that the loader fills. */
static edgetvm_status fill_pointers(struct image *image, edgetvm_error *error)
{
    static const char PREFIX[] = "__TVM";
    elf_symbol symbol;
    for (size_t i = 0; image_symbol_at(image, i, &symbol); i++) {
        const char *name = image_name(image, &symbol);
        if (name == NULL || strncmp(name, PREFIX, sizeof PREFIX - 1) != 0 ||
            symbol.st_shndx == SHN_UNDEF) {
            continue;
        }
        /* The variable is named as the function, with two underscores before it. */
        uintptr_t address = find_function(image, name + 2);
        size_t place = (size_t)symbol.st_value;
        if (address == 0) {
            return fail_function(error, name + 2);
        }
        if (!image_holds(image, place, sizeof address, PF_R | PF_W)) {
            return fail_image(error, "has a symbol that cannot be");
        }
        memcpy(image->memory + place, &address, sizeof address);
    }
    return EDGETVM_OK;
}

edgetvm_status image_relocate(struct image *image, const struct relocations *relocations,
                              edgetvm_error *error)
{
    edgetvm_status status =
        relocate_all(image, relocations->place, relocations->size_bytes, error);
    if (status == EDGETVM_OK) {
        status = relocate_all(image, relocations->jump_place, relocations->jump_bytes, error);
    }
    return status == EDGETVM_OK ? fill_pointers(image, error) : status;
}
