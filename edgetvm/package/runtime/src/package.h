/* A package file: all of it checked before any of its code is. */
#ifndef EDGETVM_PACKAGE_H
#define EDGETVM_PACKAGE_H

#include "cpu.h"
#include "image.h"
#include "manifest.h"
#include "source.h"

struct package {
    struct source source;
    struct manifest manifest;
    const struct target *target;
    uint64_t *offsets; /* of each member's data, in the source */
    struct cpu cpu;
    bool is_signed;
};

/* Read, check, and choose the target. `source` is the package's from then on. */
edgetvm_status package_open(struct package *package, struct source source, const char *target,
                            edgetvm_error *error);
/* Load the target's library, if its checksum is right. */
edgetvm_status package_load(const struct package *package, struct image *image,
                            edgetvm_error *error);
const struct member *package_member(const struct package *package, const char *name);
/* Copy a member, and check it as it is copied. */
edgetvm_status package_read(const struct package *package, const struct member *member,
                            void *data, edgetvm_error *error);
/* Check the checksums of all members that are not loaded. */
edgetvm_status package_verify(const struct package *package, edgetvm_error *error);
void package_close(struct package *package);

#endif
