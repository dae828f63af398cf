/* What shared objects of any linker ask of the runtime's loader, beside what models do. */
#ifndef BOARD_GUEST_IMAGE_H
#define BOARD_GUEST_IMAGE_H

#include "image.h"

struct guest_image {
    struct image_guest asks; /* the first: the loader gives it back */
    size_t gnu_hash;         /* 0: none */
    size_t initialisers, initialisers_bytes;
};

struct guest_image guest_image_begin(void);
/* Run the code that wants to run before its other functions are called. */
edgetvm_status guest_image_initialise(const struct guest_image *guest, const struct image *image,
                                      edgetvm_error *error);

#endif
