#define _GNU_SOURCE

#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest_image.h"

enum { SYMBOL_BYTES = 512 };

static edgetvm_status fail_file(edgetvm_error *error)
{
    return fail(error, EDGETVM_SYSTEM_ERROR, "it cannot be read: %s (upload it first)",
                strerror(errno));
}

/* A library is code for one kind of processor: say so before its parts are looked at. */
static edgetvm_status check_form(const uint8_t *begin, edgetvm_error *error)
{
    if (memcmp(begin, ELFMAG, SELFMAG) != 0) {
        return fail(error, EDGETVM_BAD_LIBRARY,
                    "it is no shared object (export it as one: export_library(…, fcompile=…))");
    }
    uint16_t kind = 0;
    memcpy(&kind, begin + offsetof(Elf32_Ehdr, e_type), sizeof kind);
    if (kind != ET_DYN) {
        return fail(error, EDGETVM_BAD_LIBRARY,
                    "it is not linked, and a board has no linker (export it as a shared object)");
    }
    return EDGETVM_OK;
}

static edgetvm_status read_file(int file, struct image *image, size_t size_bytes,
                                edgetvm_error *error)
{
    for (size_t done = 0; done < size_bytes;) {
        ssize_t got = pread(file, image->memory + done, size_bytes - done, (off_t)done);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return fail_file(error);
        }
        done += (size_t)got;
    }
    return check_form(image->memory, error);
}

/* TVM's virtual machine, constants or code for other devices: nothing of it is here. */
static edgetvm_status check_imports(const struct image *image, edgetvm_error *error)
{
    if (image_symbol(image, "__tvm_ffi__library_bin", 1, PF_R) != NULL) {
        return fail(error, EDGETVM_NEEDS_VM,
                    "it holds modules beside its kernels, which need TVM itself (package the model "
                    "with edgetvm, or serve the board from TVM's own server)");
    }
    return EDGETVM_OK;
}

static edgetvm_status load(int file, struct image *image, edgetvm_error *error)
{
    struct guest_image guest = guest_image_begin();
    struct stat facts;
    if (fstat(file, &facts) != 0) {
        return fail_file(error);
    }
    size_t size = (size_t)facts.st_size;
    edgetvm_status status = image_reserve(image, size, error);
    if (status == EDGETVM_OK) {
        image->guest = &guest.asks;
        status = read_file(file, image, size, error);
    }
    status = status == EDGETVM_OK ? image_load(image, size, error) : status;
    status = status == EDGETVM_OK ? check_imports(image, error) : status;
    image->guest = NULL;
    return status == EDGETVM_OK ? guest_image_initialise(&guest, image, error) : status;
}

edgetvm_status module_load(const char *name, struct module **loaded, edgetvm_error *error)
{
    struct module *module = calloc(1, sizeof *module);
    if (module == NULL) {
        return fail_memory(error, sizeof *module);
    }
    module->holders = 1;
    int file = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    edgetvm_status status = file >= 0 ? load(file, &module->image, error) : fail_file(error);
    if (file >= 0) {
        (void)close(file);
    }
    if (status != EDGETVM_OK) {
        fail_where(error, name);
        module_release(module);
        return status;
    }
    *loaded = module;
    return EDGETVM_OK;
}

void module_release(struct module *module)
{
    if (--module->holders == 0) {
        image_close(&module->image);
        free(module);
    }
}

guest_function *module_function(const struct module *module, const char *name)
{
    char symbol[SYMBOL_BYTES];
    int length = snprintf(symbol, sizeof symbol, "__tvm_ffi_%s", name);
    if (length < 0 || length >= SYMBOL_BYTES) {
        return NULL;
    }
    const void *place = image_symbol(&module->image, symbol, 1, PF_R | PF_X);
    guest_function *address = NULL;
    memcpy(&address, &place, sizeof address);
    return address;
}
