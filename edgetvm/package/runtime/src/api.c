/* Opening and closing, and what is known of an opened model. */
#include "model.h"
#include "signature.h"

#ifndef EDGETVM_VERSION
#define EDGETVM_VERSION "0.1.0"
#endif

const char *edgetvm_version(void)
{
    return EDGETVM_VERSION;
}

const char *edgetvm_architecture(void)
{
    return CPU_ARCHITECTURE;
}

const char *edgetvm_status_name(edgetvm_status status)
{
    static const char *const NAMES[] = {
        [EDGETVM_OK] = "ok",
        [EDGETVM_BAD_ARGUMENT] = "bad_argument",
        [EDGETVM_NO_SUCH_TENSOR] = "no_such_tensor",
        [EDGETVM_WRONG_SIZE] = "wrong_size",
        [EDGETVM_NOT_READY] = "not_ready",
        [EDGETVM_SYSTEM_ERROR] = "system_error",
        [EDGETVM_NO_MEMORY] = "no_memory",
        [EDGETVM_NOT_A_PACKAGE] = "not_a_package",
        [EDGETVM_BAD_ARCHIVE] = "bad_archive",
        [EDGETVM_TOO_LARGE] = "too_large",
        [EDGETVM_BAD_MANIFEST] = "bad_manifest",
        [EDGETVM_OTHER_FORMAT] = "other_format",
        [EDGETVM_ALTERED] = "altered",
        [EDGETVM_NEEDS_VM] = "needs_vm",
        [EDGETVM_WRONG_ARCHITECTURE] = "wrong_architecture",
        [EDGETVM_MISSING_CPU_FEATURE] = "missing_cpu_feature",
        [EDGETVM_BAD_LIBRARY] = "bad_library",
        [EDGETVM_MISSING_FUNCTION] = "missing_function",
        [EDGETVM_KERNEL_FAILED] = "kernel_failed",
        [EDGETVM_WRONG_ANSWER] = "wrong_answer",
        [EDGETVM_NOT_TRUSTED] = "not_trusted",
    };
    size_t number = (size_t)status;
    const char *name = number < sizeof NAMES / sizeof *NAMES ? NAMES[number] : NULL;
    return name != NULL ? name : "unknown";
}

static edgetvm_status check_blocks(const struct edgetvm_model *model, edgetvm_error *error)
{
    const struct signature *signature = &model->package.manifest.signature;
    const struct program *program = &model->program;
    const edgetvm_tensor *inputs = signature->inputs.items, *outputs = signature->outputs.items;
    bool same = program->blocks == 1 + signature->inputs.count + signature->outputs.count;
    for (size_t i = 0; same && i < signature->inputs.count; i++) {
        same = program->block_bytes[input_block(i)] == inputs[i].size_bytes;
    }
    for (size_t i = 0; same && i < signature->outputs.count; i++) {
        same = program->block_bytes[output_block(model, i)] == outputs[i].size_bytes;
    }
    if (!same) {
        return fail(error, EDGETVM_BAD_LIBRARY,
                    "its compiled model has other tensors than its signature (" ANEW ")");
    }
    return EDGETVM_OK;
}

static edgetvm_status allocate(struct edgetvm_model *model, edgetvm_error *error)
{
    size_t count = model->program.blocks;
    model->blocks = calloc(count, sizeof *model->blocks);
    model->places = calloc(count, sizeof *model->places);
    model->given = calloc(count, sizeof *model->given);
    if (model->blocks == NULL || model->places == NULL || model->given == NULL) {
        return fail_memory(error, count * sizeof *model->blocks);
    }
    return model_plan(model, error);
}

static void describe(struct edgetvm_model *model)
{
    const struct manifest *manifest = &model->package.manifest;
    const struct target *target = model->package.target;
    model->info.name = manifest->name;
    model->info.edgetvm_version = manifest->edgetvm_version;
    model->info.target = target->profile;
    model->info.architecture = target->architecture;
    model->info.reference = target->reference != NULL ? target->reference : "";
    model->info.labels = manifest->labels;
    model->info.tolerance = target->tolerance;
    model->info.emulated = target->emulated;
    model->info.is_signed = model->package.is_signed;
    model->info.threads = pool_threads(model->pool);
    model->info.library_bytes = model->image.size_bytes;
    model->info.kernels = (size_t)model->program.kernels;
}

static edgetvm_status check_config(const edgetvm_config *config, edgetvm_error *error)
{
    for (size_t i = 0; i < sizeof config->reserved / sizeof *config->reserved; i++) {
        if (config->reserved[i] != 0) {
            return fail(error, EDGETVM_BAD_ARGUMENT,
                        "the config asks for what this runtime does not know (set it to zero "
                        "first)");
        }
    }
    if (config->threads > EDGETVM_MAX_THREADS) {
        return fail(error, EDGETVM_BAD_ARGUMENT, "%u threads are too many (at most %d)",
                    (unsigned)config->threads, EDGETVM_MAX_THREADS);
    }
    return EDGETVM_OK;
}

static edgetvm_status fill(struct edgetvm_model *model, struct source source,
                           const edgetvm_config *config, edgetvm_error *error)
{
    edgetvm_status status = package_open(&model->package, source, config->target, error);
    if (status == EDGETVM_OK) {
        status = package_load(&model->package, &model->image, error);
    }
    if (status == EDGETVM_OK) {
        status = program_open(&model->program, &model->image, error);
    }
    if (status == EDGETVM_OK) {
        status = check_blocks(model, error);
    }
    if (status == EDGETVM_OK) {
        status = allocate(model, error);
    }
    if (status == EDGETVM_OK) {
        uint32_t threads = model->program.shares_work ? config->threads : 1;
        status = pool_open(&model->pool, threads, config->spin_us, config->unpinned, error);
    }
    if (status == EDGETVM_OK && !config->late_arena) {
        status = model_take_arena(model, config->arena, config->arena_bytes, error);
    }
    if (status == EDGETVM_OK) {
        describe(model);
    }
    return status;
}

/* where: for an error's sentence. */
static edgetvm_status open_source(struct source source, const char *where,
                                  const edgetvm_config *config, edgetvm_model **opened,
                                  edgetvm_error *error)
{
    static const edgetvm_config DEFAULT = {0};
    config = config != NULL ? config : &DEFAULT;
    struct edgetvm_model *model = calloc(1, sizeof *model);
    edgetvm_status status =
        model != NULL ? check_config(config, error) : fail_memory(error, sizeof *model);
    if (status != EDGETVM_OK) {
        source_close(&source);
        free(model);
        return status;
    }
    status = fill(model, source, config, error);
    if (status != EDGETVM_OK) {
        fail_where(error, where);
        edgetvm_close(model);
        return status;
    }
    *opened = model;
    return EDGETVM_OK;
}

edgetvm_status edgetvm_open(const char *path, const edgetvm_config *config, edgetvm_model **model,
                            edgetvm_error *error)
{
    edgetvm_error unasked;
    error = error != NULL ? error : &unasked;
    error->text[0] = '\0';
    if (model != NULL) {
        *model = NULL;
    }
    if (path == NULL || model == NULL) {
        return fail(error, EDGETVM_BAD_ARGUMENT, "edgetvm_open was given a null pointer");
    }
    struct source source;
    edgetvm_status status = source_open(&source, path, error);
    if (status != EDGETVM_OK) {
        fail_where(error, path);
        return status;
    }
    return open_source(source, path, config, model, error);
}

edgetvm_status edgetvm_open_memory(const void *data, size_t size_bytes,
                                   const edgetvm_config *config, edgetvm_model **model,
                                   edgetvm_error *error)
{
    edgetvm_error unasked;
    error = error != NULL ? error : &unasked;
    error->text[0] = '\0';
    if (model != NULL) {
        *model = NULL;
    }
    if (data == NULL || model == NULL) {
        return fail(error, EDGETVM_BAD_ARGUMENT, "edgetvm_open_memory was given a null pointer");
    }
    return open_source(source_of_memory(data, size_bytes), "the package in memory", config, model,
                       error);
}

void edgetvm_close(edgetvm_model *model)
{
    if (model == NULL) {
        return;
    }
    pool_close(model->pool);
    model_free_arena(model);
    program_close(&model->program);
    image_close(&model->image);
    package_close(&model->package);
    free(model->blocks);
    free(model->places);
    free(model->given);
    free(model);
}

const char *edgetvm_error_text(const edgetvm_model *model)
{
    return model != NULL ? model->error.text : "there is no model";
}

const edgetvm_info *edgetvm_get_info(const edgetvm_model *model)
{
    return model != NULL ? &model->info : NULL;
}

const char *edgetvm_kernel_name(const edgetvm_model *model, size_t index)
{
    return model != NULL && index < model->info.kernels ? model->program.names[index] : NULL;
}

edgetvm_status edgetvm_arena_bytes(const edgetvm_model *model, size_t *size_bytes)
{
    if (model == NULL || size_bytes == NULL) {
        return EDGETVM_BAD_ARGUMENT;
    }
    *size_bytes = model->info.arena_bytes;
    return EDGETVM_OK;
}

edgetvm_status edgetvm_set_arena(edgetvm_model *model, void *arena, size_t size_bytes)
{
    if (model == NULL) {
        return EDGETVM_BAD_ARGUMENT;
    }
    if (arena == NULL) {
        return fail(&model->error, EDGETVM_BAD_ARGUMENT,
                    "edgetvm_set_arena was given a null pointer");
    }
    return model_take_arena(model, arena, size_bytes, &model->error);
}

edgetvm_status edgetvm_read_member(edgetvm_model *model, const char *name, void *data,
                                   size_t *size_bytes)
{
    if (model == NULL) {
        return EDGETVM_BAD_ARGUMENT;
    }
    if (name == NULL || size_bytes == NULL) {
        return fail(&model->error, EDGETVM_BAD_ARGUMENT,
                    "edgetvm_read_member was given a null pointer");
    }
    const struct member *member = package_member(&model->package, name);
    if (member == NULL) {
        return fail(&model->error, EDGETVM_NO_SUCH_TENSOR, "there is no member %.80s", name);
    }
    uint64_t size = (uint64_t)member->size_bytes;
    if (size > SIZE_MAX) {
        return fail(&model->error, EDGETVM_NO_MEMORY,
                    "the member %.80s is too large for this system", name);
    }
    if (data != NULL && *size_bytes != size) {
        return fail(&model->error, EDGETVM_WRONG_SIZE,
                    "the member %.80s has %zu bytes, and %zu were asked for", name, (size_t)size,
                    *size_bytes);
    }
    *size_bytes = (size_t)size;
    return data != NULL ? package_read(&model->package, member, data, &model->error) : EDGETVM_OK;
}

edgetvm_status edgetvm_verify(edgetvm_model *model)
{
    return model != NULL ? package_verify(&model->package, &model->error) : EDGETVM_BAD_ARGUMENT;
}
