/* The manifest: all that may be believed about the other members. */
#ifndef EDGETVM_MANIFEST_H
#define EDGETVM_MANIFEST_H

#include "error.h"
#include "list.h"
#include "sha256.h"
#include "source.h"
#include "zip.h"

enum { FORMAT_VERSION = 1, MAX_MANIFEST_BYTES = 4 << 20, MAX_FLAGS = 64 };

struct member {
    const char *name;
    uint8_t sha256[SHA256_BYTES];
    int64_t size_bytes;
};

struct target {
    const char *profile;
    const char *architecture;
    const char *executor;
    const char *library;
    const char *reference; /* null where nothing was compared */
    double tolerance;
    bool emulated;
    size_t flag_count;
    const char *flags[MAX_FLAGS];
};

struct state {
    const char *input_name;
    const char *output_name;
    double initial;
    size_t input; /* their places in the signature */
    size_t output;
};

struct signature {
    struct list inputs; /* of edgetvm_tensor */
    struct list outputs;
    struct list states; /* of struct state */
};

struct manifest {
    char *text; /* that all names lie in */
    int64_t format_version;
    const char *edgetvm_version;
    const char *name;
    const char *labels; /* null without */
    struct signature signature;
    struct list targets; /* of struct target */
    struct list members; /* of struct member */
};

/* Read and check a manifest that is not trusted. */
edgetvm_status manifest_read(struct manifest *manifest, const struct source *source,
                             const struct zip_entry *entry, edgetvm_error *error);
void manifest_close(struct manifest *manifest);

#endif
