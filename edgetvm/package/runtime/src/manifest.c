#include "manifest.h"

#include <stddef.h>

#include "crc32.h"
#include "dtypes.h"
#include "json.h"
#include "signature.h"

/* Of float32, where the manifest tells none: edgetvm's own. */
#define USUAL_TOLERANCE 1e-3

struct reader {
    struct json json;
    struct manifest *manifest;
    const char *key; /* that was read last */
    bool no_memory;
};

enum kind { TEXT, TEXT_OR_NULL, TRUTH, NUMBER, PART, PART_OR_NULL };

/* A key of an object of the manifest, and where its value goes. */
struct key {
    char name[20]; /* here, for a pointer and its relocation take more */
    uint8_t kind;
    bool optional;
    size_t offset;                               /* in the record, of plain values */
    void (*read)(struct reader *, void *record); /* of parts */
};

static void read_value(struct reader *reader, const struct key *key, void *record)
{
    struct json *json = &reader->json;
    void *place = (char *)record + key->offset;
    bool nullable = key->kind == TEXT_OR_NULL || key->kind == PART_OR_NULL;
    if (nullable && json_null(json)) {
        return;
    }
    switch (key->kind) {
    case TEXT:
    case TEXT_OR_NULL:
        *(const char **)place = json_string(json);
        break;
    case TRUTH:
        *(bool *)place = json_boolean(json);
        break;
    case NUMBER:
        *(double *)place = json_number(json);
        break;
    case PART:
    case PART_OR_NULL:
        key->read(reader, record);
        break;
    }
}

/* An object: keys that the table has, once each, and others, which are skipped. */
static void read_record(struct reader *reader, const struct key *keys, size_t count, void *record)
{
    struct json *json = &reader->json;
    uint32_t seen = 0;
    const char *name;
    json_object(json);
    while (json_key(json, &name)) {
        size_t i = 0;
        while (i < count && strcmp(keys[i].name, name) != 0) {
            i++;
        }
        reader->key = name;
        if (i == count) {
            json_skip(json);
            continue;
        }
        if (seen >> i & 1) {
            json_fail(json, "has a key twice");
        }
        seen |= 1u << i;
        read_value(reader, &keys[i], record);
    }
    for (size_t i = 0; i < count && json->failure == NULL; i++) {
        if (!keys[i].optional && !(seen >> i & 1)) {
            reader->key = keys[i].name;
            json_fail(json, "lacks a key");
        }
    }
}

#define READ_RECORD(reader, keys, record)                                                          \
    read_record(reader, keys, sizeof(keys) / sizeof *(keys), record)

/* One more item of a list; null where there are too many, or no memory. */
static void *add_item(struct reader *reader, struct list *list, size_t item_bytes)
{
    bool fits = list->count < MAX_MEMBERS;
    void *item = fits ? list_add(list, item_bytes) : NULL;
    if (item == NULL) {
        reader->no_memory = fits;
        json_fail(&reader->json, "lists more than a package may hold");
    }
    return item;
}

static void read_format(struct reader *reader, void *record)
{
    struct manifest *manifest = record;
    int64_t version = json_integer(&reader->json, INT64_MIN, INT64_MAX);
    if (reader->json.failure == NULL && version != FORMAT_VERSION) {
        manifest->format_version = version;
        json_fail(&reader->json, "is of another format");
    }
}

static void read_shape(struct reader *reader, void *record)
{
    edgetvm_tensor *tensor = record;
    json_array(&reader->json);
    while (json_item(&reader->json)) {
        if (tensor->rank == EDGETVM_MAX_RANK) {
            json_fail(&reader->json, "has a tensor of too many axes");
            return;
        }
        tensor->shape[tensor->rank++] = json_integer(&reader->json, 0, INT64_MAX);
    }
}

static void read_dtype(struct reader *reader, void *record)
{
    edgetvm_tensor *tensor = record;
    if (!dtype_of_name(json_string(&reader->json), &tensor->dtype)) {
        json_fail(&reader->json, "has a tensor of unknown type");
    }
}

static void read_zero_point(struct reader *reader, void *record)
{
    edgetvm_tensor *tensor = record;
    tensor->zero_point = json_integer(&reader->json, INT64_MIN, INT64_MAX);
}

static void read_quantisation(struct reader *reader, void *record)
{
    static const struct key KEYS[] = {
        {"scale", NUMBER, false, offsetof(edgetvm_tensor, scale), NULL},
        {"zero_point", PART, false, 0, read_zero_point},
    };
    edgetvm_tensor *tensor = record;
    tensor->quantised = true;
    READ_RECORD(reader, KEYS, tensor);
}

static void read_tensors(struct reader *reader, struct list *list)
{
    static const struct key KEYS[] = {
        {"name", TEXT, false, offsetof(edgetvm_tensor, name), NULL},
        {"dtype", PART, false, 0, read_dtype},
        {"shape", PART, false, 0, read_shape},
        {"quantisation", PART_OR_NULL, true, 0, read_quantisation},
    };
    json_array(&reader->json);
    while (json_item(&reader->json)) {
        void *tensor = add_item(reader, list, sizeof(edgetvm_tensor));
        if (tensor != NULL) {
            READ_RECORD(reader, KEYS, tensor);
        }
    }
}

static void read_inputs(struct reader *reader, void *record)
{
    read_tensors(reader, &((struct signature *)record)->inputs);
}

static void read_outputs(struct reader *reader, void *record)
{
    read_tensors(reader, &((struct signature *)record)->outputs);
}

static void read_states(struct reader *reader, void *record)
{
    static const struct key KEYS[] = {
        {"input", TEXT, false, offsetof(struct state, input_name), NULL},
        {"output", TEXT, false, offsetof(struct state, output_name), NULL},
        {"initial", NUMBER, true, offsetof(struct state, initial), NULL},
    };
    struct signature *signature = record;
    json_array(&reader->json);
    while (json_item(&reader->json)) {
        void *state = add_item(reader, &signature->states, sizeof(struct state));
        if (state != NULL) {
            READ_RECORD(reader, KEYS, state);
        }
    }
}

static void read_signature(struct reader *reader, void *record)
{
    static const struct key KEYS[] = {
        {"inputs", PART, false, 0, read_inputs},
        {"outputs", PART, false, 0, read_outputs},
        {"states", PART, true, 0, read_states},
    };
    READ_RECORD(reader, KEYS, &((struct manifest *)record)->signature);
}

static int digit_of(char letter)
{
    static const char DIGITS[] = "0123456789abcdef";
    const char *found = letter == '\0' ? NULL : strchr(DIGITS, letter);
    return found == NULL ? -1 : (int)(found - DIGITS);
}

static void read_sha256(struct reader *reader, void *record)
{
    struct member *member = record;
    const char *text = json_string(&reader->json);
    bool fits = strlen(text) == 2 * (size_t)SHA256_BYTES;
    for (size_t i = 0; fits && i < SHA256_BYTES; i++) {
        int high = digit_of(text[2 * i]), low = digit_of(text[2 * i + 1]);
        fits = high >= 0 && low >= 0;
        member->sha256[i] = (uint8_t)(fits ? high << 4 | low : 0);
    }
    if (!fits) {
        json_fail(&reader->json, "has a checksum that is none");
    }
}

static void read_size(struct reader *reader, void *record)
{
    struct member *member = record;
    member->size_bytes = json_integer(&reader->json, 0, (int64_t)MAX_TOTAL_BYTES);
}

static void read_members(struct reader *reader, void *record)
{
    static const struct key KEYS[] = {
        {"name", TEXT, false, offsetof(struct member, name), NULL},
        {"sha256", PART, false, 0, read_sha256},
        {"size_bytes", PART, false, 0, read_size},
    };
    struct manifest *manifest = record;
    json_array(&reader->json);
    while (json_item(&reader->json)) {
        void *member = add_item(reader, &manifest->members, sizeof(struct member));
        if (member != NULL) {
            READ_RECORD(reader, KEYS, member);
        }
    }
}

static void read_flags(struct reader *reader, void *record)
{
    struct target *target = record;
    json_array(&reader->json);
    while (json_item(&reader->json)) {
        if (target->flag_count == MAX_FLAGS) {
            json_fail(&reader->json, "needs too many CPU features");
            return;
        }
        target->flags[target->flag_count++] = json_string(&reader->json);
    }
}

static void read_correctness(struct reader *reader, void *record)
{
    static const struct key KEYS[] = {
        {"reference", TEXT, false, offsetof(struct target, reference), NULL},
        {"tolerance", NUMBER, false, offsetof(struct target, tolerance), NULL},
    };
    READ_RECORD(reader, KEYS, record);
}

static void read_targets(struct reader *reader, void *record)
{
    static const struct key KEYS[] = {
        {"profile", TEXT, false, offsetof(struct target, profile), NULL},
        {"architecture", TEXT, false, offsetof(struct target, architecture), NULL},
        {"executor", TEXT, false, offsetof(struct target, executor), NULL},
        {"library", TEXT, false, offsetof(struct target, library), NULL},
        {"emulated", TRUTH, false, offsetof(struct target, emulated), NULL},
        {"required_cpu_flags", PART, false, 0, read_flags},
        {"correctness", PART_OR_NULL, true, 0, read_correctness},
    };
    struct manifest *manifest = record;
    json_array(&reader->json);
    while (json_item(&reader->json)) {
        struct target *target = add_item(reader, &manifest->targets, sizeof(struct target));
        if (target != NULL) {
            target->tolerance = USUAL_TOLERANCE;
            READ_RECORD(reader, KEYS, target);
        }
    }
}

static void read_manifest(struct reader *reader)
{
    static const struct key KEYS[] = {
        {"format_version", PART, false, 0, read_format},
        {"edgetvm_version", TEXT, false, offsetof(struct manifest, edgetvm_version), NULL},
        {"name", TEXT, false, offsetof(struct manifest, name), NULL},
        {"labels", TEXT_OR_NULL, true, offsetof(struct manifest, labels), NULL},
        {"signature", PART, false, 0, read_signature},
        {"members", PART, false, 0, read_members},
        {"targets", PART, false, 0, read_targets},
    };
    READ_RECORD(reader, KEYS, reader->manifest);
    reader->key = json_finish(&reader->json) ? "" : reader->key;
}

static edgetvm_status parse(struct manifest *manifest, size_t length, edgetvm_error *error)
{
    struct reader reader = {
        .json = json_begin(manifest->text, length), .manifest = manifest, .key = "its begin"};
    /* Where there is no such key, that is what is told. */
    manifest->format_version = FORMAT_VERSION;
    read_manifest(&reader);
    if (manifest->format_version != FORMAT_VERSION) {
        return fail(error, EDGETVM_OTHER_FORMAT,
                    "it has package format %lld, and this runtime reads format %d (package the "
                    "model again, or update the runtime)",
                    (long long)manifest->format_version, FORMAT_VERSION);
    }
    if (reader.no_memory) {
        return fail_memory(error, length);
    }
    if (reader.json.failure != NULL) {
        return fail(error, EDGETVM_BAD_MANIFEST, "its manifest %s, at %.40s (" ANEW ")",
                    reader.json.failure, reader.key);
    }
    const char *problem = signature_complete(&manifest->signature);
    if (problem != NULL) {
        return fail(error, EDGETVM_BAD_MANIFEST, "its manifest %s (" ANEW ")", problem);
    }
    return EDGETVM_OK;
}

edgetvm_status manifest_read(struct manifest *manifest, const struct source *source,
                             const struct zip_entry *entry, edgetvm_error *error)
{
    *manifest = (struct manifest){0};
    size_t length = entry->size_bytes;
    if (length > MAX_MANIFEST_BYTES) {
        return fail(error, EDGETVM_TOO_LARGE, "its manifest is too large (" ANEW ")");
    }
    manifest->text = malloc(length + 1);
    if (manifest->text == NULL) {
        return fail_memory(error, length);
    }
    edgetvm_status status = source_read(source, entry->offset, manifest->text, length, error);
    if (status != EDGETVM_OK) {
        return status;
    }
#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    if (crc32_of((const uint8_t *)manifest->text, length) != entry->crc32) {
        return fail(error, EDGETVM_ALTERED, "its manifest was altered (" AGAIN ")");
    }
#endif
    return parse(manifest, length, error);
}

void manifest_close(struct manifest *manifest)
{
    free(manifest->text);
    list_free(&manifest->signature.inputs);
    list_free(&manifest->signature.outputs);
    list_free(&manifest->signature.states);
    list_free(&manifest->targets);
    list_free(&manifest->members);
    *manifest = (struct manifest){0};
}
