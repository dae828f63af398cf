/*
 * Kernels that were uploaded, by TVM's convention: shared objects that export
 * `int __tvm_ffi_NAME(void *, const any *, int32_t, any *)`, see tvm/ffi/c_api.h and
 * tvm/runtime/c_backend_api.h.
 */
#ifndef BOARD_GUEST_H
#define BOARD_GUEST_H

#include <stdint.h>

#include "image.h"
#include "types.h"

/* TVMFFIAny: 16 bytes on every system. */
struct any {
    int32_t type;
    uint32_t zero;
    union {
        int64_t integer;
        double real;
        void *pointer;
        uint64_t bits;
    };
};

/* DLTensor: the size of pointers is the system's. */
struct dl_tensor {
    void *data;
    int32_t device_type, device_id;
    int32_t rank;
    uint8_t code, bits;
    uint16_t lanes;
    int64_t *shape;
    int64_t *strides; /* null: row-major */
    uint64_t byte_offset;
};

typedef int guest_function(void *self, const struct any *arguments, int32_t count,
                           struct any *result);

struct module {
    struct image image;
    uint32_t holders; /* it stays as long as a handle needs it */
};

/* Load a file of the current folder. */
edgetvm_status module_load(const char *name, struct module **module, edgetvm_error *error);
void module_release(struct module *module);
/* Null where the library has none of that name. */
guest_function *module_function(const struct module *module, const char *name);

/* What kernels said when they failed, since it was last forgotten; "" where they said nothing. */
const char *guest_complaint(void);
void guest_forget_complaint(void);

#endif
