/* A model's inputs and outputs, and its runs. */
#define _GNU_SOURCE 1

#include <string.h>
#include <time.h>

#include "model.h"
#include "signature.h"

static const struct signature *signature_of(const edgetvm_model *model)
{
    return &model->package.manifest.signature;
}

static const edgetvm_tensor *tensor_at(const struct list *tensors, size_t index)
{
    const edgetvm_tensor *all = tensors->items;
    return index < tensors->count ? &all[index] : NULL;
}

size_t edgetvm_input_count(const edgetvm_model *model)
{
    return model != NULL ? signature_of(model)->inputs.count : 0;
}

size_t edgetvm_output_count(const edgetvm_model *model)
{
    return model != NULL ? signature_of(model)->outputs.count : 0;
}

const edgetvm_tensor *edgetvm_input(const edgetvm_model *model, size_t index)
{
    return model != NULL ? tensor_at(&signature_of(model)->inputs, index) : NULL;
}

const edgetvm_tensor *edgetvm_output(const edgetvm_model *model, size_t index)
{
    return model != NULL ? tensor_at(&signature_of(model)->outputs, index) : NULL;
}

static edgetvm_status fail_null(edgetvm_model *model)
{
    return fail(&model->error, EDGETVM_BAD_ARGUMENT, "a null pointer was given");
}

static edgetvm_status find(edgetvm_model *model, const char *kind, const struct list *tensors,
                           const char *name, size_t *index)
{
    if (name == NULL || index == NULL) {
        return fail_null(model);
    }
    if (!signature_find(tensors, name, index)) {
        const edgetvm_tensor *first = tensor_at(tensors, 0);
        return fail(&model->error, EDGETVM_NO_SUCH_TENSOR,
                    "there is no %s %.60s (there are %zu, the first is %.60s)", kind, name,
                    tensors->count, first != NULL ? first->name : "none");
    }
    return EDGETVM_OK;
}

edgetvm_status edgetvm_find_input(edgetvm_model *model, const char *name, size_t *index)
{
    return model != NULL ? find(model, "input", &signature_of(model)->inputs, name, index)
                         : EDGETVM_BAD_ARGUMENT;
}

edgetvm_status edgetvm_find_output(edgetvm_model *model, const char *name, size_t *index)
{
    return model != NULL ? find(model, "output", &signature_of(model)->outputs, name, index)
                         : EDGETVM_BAD_ARGUMENT;
}

/* Whether a tensor is there, has that size, and has memory. */
static edgetvm_status check(edgetvm_model *model, const char *kind, const edgetvm_tensor *tensor,
                            size_t size_bytes)
{
    if (tensor == NULL) {
        return fail(&model->error, EDGETVM_NO_SUCH_TENSOR, "there is no %s of that number", kind);
    }
    if (size_bytes != tensor->size_bytes) {
        return fail(&model->error, EDGETVM_WRONG_SIZE,
                    "%s %.60s has %zu bytes, and %zu were given", kind, tensor->name,
                    tensor->size_bytes, size_bytes);
    }
    if (model->arena == NULL) {
        return fail(&model->error, EDGETVM_NOT_READY,
                    "the model has no arena (give one with edgetvm_set_arena)");
    }
    return EDGETVM_OK;
}

edgetvm_status edgetvm_set_input_at(edgetvm_model *model, size_t index, const void *data,
                                    size_t size_bytes)
{
    if (model == NULL) {
        return EDGETVM_BAD_ARGUMENT;
    }
    if (data == NULL) {
        return fail_null(model);
    }
    edgetvm_status status = check(model, "input", edgetvm_input(model, index), size_bytes);
    if (status == EDGETVM_OK) {
        /* What is copied may lie in the arena itself. */
        memmove(edgetvm_input_memory(model, index), data, size_bytes);
    }
    return status;
}

edgetvm_status edgetvm_set_input(edgetvm_model *model, const char *name, const void *data,
                                 size_t size_bytes)
{
    size_t index = 0;
    edgetvm_status status = edgetvm_find_input(model, name, &index);
    return status == EDGETVM_OK ? edgetvm_set_input_at(model, index, data, size_bytes) : status;
}

void *edgetvm_input_memory(edgetvm_model *model, size_t index)
{
    const edgetvm_tensor *tensor = edgetvm_input(model, index);
    if (tensor == NULL || model->arena == NULL) {
        return NULL;
    }
    model->given[input_block(index)] = true;
    return model->blocks[input_block(index)];
}

static edgetvm_status bind(edgetvm_model *model, size_t block, void *data)
{
    if ((uintptr_t)data % EDGETVM_ALIGNMENT != 0) {
        return fail(&model->error, EDGETVM_BAD_ARGUMENT,
                    "the memory does not begin at a multiple of %d bytes (allocate it so)",
                    EDGETVM_ALIGNMENT);
    }
    model->blocks[block] = data != NULL ? data : model->arena + model->places[block];
    return EDGETVM_OK;
}

edgetvm_status edgetvm_bind_input(edgetvm_model *model, size_t index, void *data,
                                  size_t size_bytes)
{
    if (model == NULL) {
        return EDGETVM_BAD_ARGUMENT;
    }
    const edgetvm_tensor *tensor = edgetvm_input(model, index);
    edgetvm_status status = check(model, "input", tensor, size_bytes);
    if (status == EDGETVM_OK && tensor->state) {
        return fail(&model->error, EDGETVM_BAD_ARGUMENT,
                    "input %.60s is a state, which the runtime carries (set it instead)",
                    tensor->name);
    }
    status = status == EDGETVM_OK ? bind(model, input_block(index), data) : status;
    if (status == EDGETVM_OK) {
        model->given[input_block(index)] = data != NULL;
    }
    return status;
}

edgetvm_status edgetvm_bind_output(edgetvm_model *model, size_t index, void *data,
                                   size_t size_bytes)
{
    if (model == NULL) {
        return EDGETVM_BAD_ARGUMENT;
    }
    edgetvm_status status = check(model, "output", edgetvm_output(model, index), size_bytes);
    status = status == EDGETVM_OK ? bind(model, output_block(model, index), data) : status;
    if (status == EDGETVM_OK) {
        model->ran = false;
    }
    return status;
}

static edgetvm_status prepare(edgetvm_model *model)
{
    if (model->arena == NULL) {
        return fail(&model->error, EDGETVM_NOT_READY,
                    "the model has no arena (give one with edgetvm_set_arena)");
    }
    for (size_t i = 0; i < edgetvm_input_count(model); i++) {
        if (!model->given[input_block(i)]) {
            return fail(&model->error, EDGETVM_NOT_READY, "input %.60s was not given (set it)",
                        edgetvm_input(model, i)->name);
        }
    }
    return EDGETVM_OK;
}

/* Copy states to the inputs of the next run: at once, for outputs may lie in the caller's memory. */
static void carry_states(edgetvm_model *model)
{
    const struct list *states = &signature_of(model)->states;
    const struct state *all = states->items;
    for (size_t i = 0; i < states->count; i++) {
        memmove(model->blocks[input_block(all[i].input)],
                model->blocks[output_block(model, all[i].output)],
                edgetvm_input(model, all[i].input)->size_bytes);
    }
}

static edgetvm_status finish(edgetvm_model *model, int32_t code)
{
    model->ran = code == 0;
    if (code != 0) {
        const char *complaint = pool_complaint(model->pool);
        return fail(&model->error, EDGETVM_KERNEL_FAILED, "a kernel failed with code %ld%s%.150s",
                    (long)code, complaint[0] != '\0' ? ": " : "", complaint);
    }
    carry_states(model);
    return EDGETVM_OK;
}

edgetvm_status edgetvm_run(edgetvm_model *model)
{
    if (model == NULL) {
        return EDGETVM_BAD_ARGUMENT;
    }
    edgetvm_status status = prepare(model);
    if (status != EDGETVM_OK) {
        return status;
    }
    struct pool *before = pool_enter(model->pool);
    int32_t code = model->program.run(model->blocks, 0, model->program.kernels);
    pool_leave(before);
    return finish(model, code);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

edgetvm_status edgetvm_run_timed(edgetvm_model *model, uint64_t *kernel_ns, size_t count)
{
    if (model == NULL) {
        return EDGETVM_BAD_ARGUMENT;
    }
    if (kernel_ns == NULL || count != model->info.kernels) {
        return fail(&model->error, EDGETVM_BAD_ARGUMENT,
                    "there are %zu kernels, and room for %zu times", model->info.kernels,
                    kernel_ns != NULL ? count : 0);
    }
    edgetvm_status status = prepare(model);
    if (status != EDGETVM_OK) {
        return status;
    }
    struct pool *before = pool_enter(model->pool);
    int32_t code = 0;
    uint64_t began_ns = now_ns();
    for (int32_t i = 0; code == 0 && i < model->program.kernels; i++) {
        code = model->program.run(model->blocks, i, i + 1);
        uint64_t ended_ns = now_ns();
        kernel_ns[i] = ended_ns - began_ns;
        began_ns = ended_ns;
    }
    pool_leave(before);
    return finish(model, code);
}

const void *edgetvm_output_memory(edgetvm_model *model, size_t index)
{
    bool there = edgetvm_output(model, index) != NULL && model->ran;
    return there ? model->blocks[output_block(model, index)] : NULL;
}

edgetvm_status edgetvm_get_output_at(edgetvm_model *model, size_t index, void *data,
                                     size_t size_bytes)
{
    if (model == NULL) {
        return EDGETVM_BAD_ARGUMENT;
    }
    if (data == NULL) {
        return fail_null(model);
    }
    edgetvm_status status = check(model, "output", edgetvm_output(model, index), size_bytes);
    if (status != EDGETVM_OK) {
        return status;
    }
    if (!model->ran) {
        return fail(&model->error, EDGETVM_NOT_READY, "nothing was run yet (call edgetvm_run)");
    }
    memmove(data, model->blocks[output_block(model, index)], size_bytes);
    return EDGETVM_OK;
}

edgetvm_status edgetvm_get_output(edgetvm_model *model, const char *name, void *data,
                                  size_t size_bytes)
{
    size_t index = 0;
    edgetvm_status status = edgetvm_find_output(model, name, &index);
    return status == EDGETVM_OK ? edgetvm_get_output_at(model, index, data, size_bytes) : status;
}

edgetvm_status edgetvm_reset_state(edgetvm_model *model)
{
    if (model == NULL) {
        return EDGETVM_BAD_ARGUMENT;
    }
    if (model->arena == NULL) {
        return fail(&model->error, EDGETVM_NOT_READY,
                    "the model has no arena (give one with edgetvm_set_arena)");
    }
    model_begin_stream(model);
    return EDGETVM_OK;
}
