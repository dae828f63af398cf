#include "package.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "zip.h"

#define MANIFEST_NAME "manifest.json"
#define SIGNATURE_NAME "signature.json"
enum { MAX_SIGNATURE_BYTES = 4096, CHUNK_BYTES = 16 << 10 };

/* The archive's members must be those of the manifest, in its order; a signature may follow. */
static edgetvm_status match_members(struct package *package, const struct zip *zip,
                                    edgetvm_error *error)
{
    const struct list *members = &package->manifest.members;
    const struct member *all = members->items;
    size_t present = zip->count - 1;
    if (present == members->count + 1) {
        const struct zip_entry *last = &zip->entries[zip->count - 1];
        package->is_signed =
            zip_has_name(last, SIGNATURE_NAME) && last->size_bytes <= MAX_SIGNATURE_BYTES;
        present -= package->is_signed;
    }
    package->offsets = calloc(members->count + 1, sizeof *package->offsets);
    if (package->offsets == NULL) {
        return fail_memory(error, members->count);
    }
    bool same = present == members->count;
    for (size_t i = 0; same && i < members->count; i++) {
        const struct zip_entry *entry = &zip->entries[i + 1];
        same = zip_has_name(entry, all[i].name) && !zip_has_name(entry, MANIFEST_NAME) &&
               package_member(package, all[i].name) == &all[i];
        if (same && entry->size_bytes != all[i].size_bytes) {
            return fail(error, EDGETVM_ALTERED, "its member %.80s was altered (" AGAIN ")",
                        all[i].name);
        }
        package->offsets[i] = entry->offset;
    }
    if (!same) {
        return fail(error, EDGETVM_BAD_ARCHIVE,
                    "its members are not those of its manifest (" AGAIN ")");
    }
    return EDGETVM_OK;
}

static edgetvm_status check_samples(const struct package *package, const char *kind,
                                    const struct list *tensors, edgetvm_error *error)
{
    const edgetvm_tensor *all = tensors->items;
    for (size_t i = 0; i < tensors->count; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "sample/%s-%zu.bin", kind, i);
        const struct member *member = package_member(package, name);
        if (member == NULL || (uint64_t)member->size_bytes != all[i].size_bytes) {
            return fail(error, EDGETVM_BAD_MANIFEST,
                        "its %s is missing, or not of its tensor's size (" ANEW ")", name);
        }
    }
    return EDGETVM_OK;
}

static edgetvm_status check_names(const struct package *package, edgetvm_error *error)
{
    const struct manifest *manifest = &package->manifest;
    const struct target *targets = manifest->targets.items;
    for (size_t i = 0; i < manifest->targets.count; i++) {
        if (package_member(package, targets[i].library) == NULL) {
            return fail(error, EDGETVM_BAD_MANIFEST, "it holds no compiled model for %.60s (" ANEW
                                                     ")", targets[i].profile);
        }
    }
    if (manifest->labels != NULL && package_member(package, manifest->labels) == NULL) {
        return fail(error, EDGETVM_BAD_MANIFEST, "its labels are missing (" ANEW ")");
    }
    edgetvm_status status = check_samples(package, "input", &manifest->signature.inputs, error);
    return status == EDGETVM_OK
               ? check_samples(package, "output", &manifest->signature.outputs, error)
               : status;
}

static edgetvm_status read_all(struct package *package, edgetvm_error *error)
{
    struct zip zip;
    edgetvm_status status = zip_open(&zip, &package->source, error);
    if (status == EDGETVM_OK && (zip.count == 0 || !zip_has_name(&zip.entries[0], MANIFEST_NAME))) {
        status = fail(error, EDGETVM_BAD_ARCHIVE, "it does not begin with a manifest (" ANEW ")");
    }
    if (status == EDGETVM_OK) {
        status = manifest_read(&package->manifest, &package->source, &zip.entries[0], error);
    }
    if (status == EDGETVM_OK) {
        status = match_members(package, &zip, error);
    }
    if (status == EDGETVM_OK) {
        status = check_names(package, error);
    }
    zip_close(&zip);
    return status;
}

/* The first flag that the processor lacks; null where it has all. */
static const char *missing_flag(const struct cpu *cpu, const struct target *target)
{
    for (size_t i = 0; i < target->flag_count; i++) {
        if (!cpu_has(cpu, target->flags[i])) {
            return target->flags[i];
        }
    }
    return NULL;
}

static edgetvm_status fail_choice(const struct package *package, const char *wanted,
                                  const struct target *nearest, edgetvm_error *error)
{
    const struct list *targets = &package->manifest.targets;
    const struct target *first = targets->items;
    if (nearest != NULL) {
        return fail(error, EDGETVM_MISSING_CPU_FEATURE,
                    "it needs the CPU feature %.40s (this CPU lacks it: package it for a profile "
                    "without)",
                    missing_flag(&package->cpu, nearest));
    }
    if (targets->count == 0) {
        return fail(error, EDGETVM_BAD_MANIFEST, "it is for no target (" ANEW ")");
    }
    if (wanted != NULL) {
        return fail(error, EDGETVM_WRONG_ARCHITECTURE,
                    "it holds no target %.40s for " CPU_ARCHITECTURE " (its first is %.40s for "
                    "%.20s)",
                    wanted, first->profile, first->architecture);
    }
    return fail(error, EDGETVM_WRONG_ARCHITECTURE,
                "it is compiled for %.20s (this machine is " CPU_ARCHITECTURE
                ": package it for a profile of that architecture)",
                first->architecture);
}

static edgetvm_status choose_target(struct package *package, const char *wanted,
                                    edgetvm_error *error)
{
    const struct list *list = &package->manifest.targets;
    const struct target *targets = list->items, *nearest = NULL;
    for (size_t i = 0; i < list->count && package->target == NULL; i++) {
        const struct target *target = &targets[i];
        if ((wanted != NULL && strcmp(target->profile, wanted) != 0) ||
            strcmp(target->architecture, CPU_ARCHITECTURE) != 0) {
            continue;
        }
        if (missing_flag(&package->cpu, target) == NULL) {
            package->target = target;
        } else if (nearest == NULL) {
            nearest = target;
        }
    }
    if (package->target == NULL) {
        return fail_choice(package, wanted, nearest, error);
    }
    if (strcmp(package->target->executor, "native") != 0) {
        return fail(error, EDGETVM_NEEDS_VM,
                    "its model needs TVM's virtual machine: it has branches, or shapes that are "
                    "not fixed (run it with edgetvm on the board, or import the model with fixed "
                    "shapes)");
    }
    return EDGETVM_OK;
}

edgetvm_status package_open(struct package *package, struct source source, const char *target,
                            edgetvm_error *error)
{
    *package = (struct package){.source = source, .cpu = cpu_read()};
    edgetvm_status status = read_all(package, error);
    return status == EDGETVM_OK ? choose_target(package, target, error) : status;
}

const struct member *package_member(const struct package *package, const char *name)
{
    const struct member *all = package->manifest.members.items;
    for (size_t i = 0; i < package->manifest.members.count; i++) {
        if (strcmp(all[i].name, name) == 0) {
            return &all[i];
        }
    }
    return NULL;
}

static uint64_t offset_of(const struct package *package, const struct member *member)
{
    const struct member *all = package->manifest.members.items;
    return package->offsets[member - all];
}

static edgetvm_status check_hash(struct sha256 *hash, const struct member *member,
                                 edgetvm_error *error)
{
#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    uint8_t digest[SHA256_BYTES];
    sha256_end(hash, digest);
    if (memcmp(digest, member->sha256, SHA256_BYTES) != 0) {
        return fail(error, EDGETVM_ALTERED, "its member %.80s was altered (" AGAIN
                                            ", or package the model anew)", member->name);
    }
#else
    (void)hash, (void)member, (void)error;
#endif
    return EDGETVM_OK;
}

static edgetvm_status verify(const struct package *package, const struct member *member,
                             edgetvm_error *error)
{
    struct sha256 hash = sha256_begin(&package->cpu);
    uint8_t chunk[CHUNK_BYTES];
    uint64_t offset = offset_of(package, member);
    uint64_t left = (uint64_t)member->size_bytes;
    while (left > 0) {
        size_t size = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
        edgetvm_status status = source_read(&package->source, offset, chunk, size, error);
        if (status != EDGETVM_OK) {
            return status;
        }
        sha256_add(&hash, chunk, size);
        offset += size;
        left -= size;
    }
    return check_hash(&hash, member, error);
}

edgetvm_status package_read(const struct package *package, const struct member *member,
                            void *data, edgetvm_error *error)
{
    size_t size = (size_t)member->size_bytes;
    uint64_t offset = offset_of(package, member);
    edgetvm_status status = source_read(&package->source, offset, data, size, error);
    if (status != EDGETVM_OK) {
        return status;
    }
    struct sha256 hash = sha256_begin(&package->cpu);
    sha256_add(&hash, data, size);
    return check_hash(&hash, member, error);
}

edgetvm_status package_load(const struct package *package, struct image *image,
                            edgetvm_error *error)
{
    const struct member *library = package_member(package, package->target->library);
    if ((uint64_t)library->size_bytes > SIZE_MAX / 4) {
        return fail(error, EDGETVM_NO_MEMORY,
                    "its compiled model is too large for this system (run it on a larger one)");
    }
    size_t size = (size_t)library->size_bytes;
    edgetvm_status status = image_reserve(image, size, error);
    if (status == EDGETVM_OK) {
        status = package_read(package, library, image->memory, error);
    }
    return status == EDGETVM_OK ? image_load(image, size, error) : status;
}

edgetvm_status package_verify(const struct package *package, edgetvm_error *error)
{
    const struct member *all = package->manifest.members.items;
    const struct member *library = package_member(package, package->target->library);
    edgetvm_status status = EDGETVM_OK;
    for (size_t i = 0; status == EDGETVM_OK && i < package->manifest.members.count; i++) {
        status = &all[i] != library ? verify(package, &all[i], error) : EDGETVM_OK;
    }
    return status;
}

void package_close(struct package *package)
{
    source_close(&package->source);
    manifest_close(&package->manifest);
    free(package->offsets);
    *package = (struct package){.source = {.file = -1}};
}
