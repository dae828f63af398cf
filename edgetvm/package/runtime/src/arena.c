/* The one block of memory that all tensors of a model lie in. */
#define _GNU_SOURCE 1

#include <sys/mman.h>

#include "bytes.h"
#include "half.h"
#include "model.h"

edgetvm_status model_plan(struct edgetvm_model *model, edgetvm_error *error)
{
    const struct program *program = &model->program;
    size_t size = 0;
    for (size_t i = 0; i < program->blocks; i++) {
        size_t rounded = 0;
        model->places[i] = size;
        if (!round_up(program->block_bytes[i], EDGETVM_ALIGNMENT, &rounded) ||
            !add_sizes(size, rounded, &size)) {
            return fail(error, EDGETVM_NO_MEMORY,
                        "it needs more memory than this system can have (run it on a larger one)");
        }
    }
    model->info.arena_bytes = size;
    return EDGETVM_OK;
}

void model_free_arena(struct edgetvm_model *model)
{
    if (model->own_arena) {
        (void)munmap(model->arena, model->info.arena_bytes);
    }
    model->arena = NULL;
    model->own_arena = false;
}

static edgetvm_status check_arena(const struct edgetvm_model *model, const void *arena,
                                  size_t size_bytes, edgetvm_error *error)
{
    if (size_bytes < model->info.arena_bytes) {
        return fail(error, EDGETVM_WRONG_SIZE,
                    "the arena has %zu bytes, and %zu are needed (ask edgetvm_arena_bytes)",
                    size_bytes, model->info.arena_bytes);
    }
    if ((uintptr_t)arena % EDGETVM_ALIGNMENT != 0) {
        return fail(error, EDGETVM_BAD_ARGUMENT,
                    "the arena does not begin at a multiple of %d bytes (allocate it so)",
                    EDGETVM_ALIGNMENT);
    }
    return EDGETVM_OK;
}

edgetvm_status model_take_arena(struct edgetvm_model *model, void *arena, size_t size_bytes,
                                edgetvm_error *error)
{
    bool own = arena == NULL;
    if (own) {
        size_t size = model->info.arena_bytes > 0 ? model->info.arena_bytes : 1;
        /* Populated: the first run is then as quick as all others. */
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
        arena = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
        if (arena == MAP_FAILED) {
            return fail_memory(error, size);
        }
    } else {
        edgetvm_status status = check_arena(model, arena, size_bytes, error);
        if (status != EDGETVM_OK) {
            return status;
        }
    }
    model_free_arena(model);
    model->arena = arena;
    model->own_arena = own;
    for (size_t i = 0; i < model->program.blocks; i++) {
        model->blocks[i] = model->arena + model->places[i];
        model->given[i] = false;
    }
    model->ran = false;
    model_begin_stream(model);
    return EDGETVM_OK;
}

/* One element of a type, from a number. */
static void put_element(uint8_t *to, edgetvm_dtype dtype, double value)
{
    float single = (float)value;
    uint16_t half = half_of(single);
    int64_t whole = 0;
    switch (dtype) {
    case EDGETVM_FLOAT16:
        memcpy(to, &half, sizeof half);
        break;
    case EDGETVM_FLOAT32:
        memcpy(to, &single, sizeof single);
        break;
    case EDGETVM_FLOAT64:
        memcpy(to, &value, sizeof value);
        break;
    default:
        /* Little-endian: the lowest bytes are the number of any width. */
        whole = (int32_t)value;
        memcpy(to, &whole, edgetvm_dtype_bytes(dtype));
        break;
    }
}

void model_begin_stream(struct edgetvm_model *model)
{
    const struct signature *signature = &model->package.manifest.signature;
    const edgetvm_tensor *inputs = signature->inputs.items;
    const struct state *states = signature->states.items;
    for (size_t i = 0; i < signature->states.count; i++) {
        size_t block = input_block(states[i].input);
        const edgetvm_tensor *tensor = &inputs[states[i].input];
        size_t element_bytes = edgetvm_dtype_bytes(tensor->dtype);
        uint8_t *data = model->blocks[block];
        for (size_t at = 0; at < tensor->size_bytes; at += element_bytes) {
            put_element(data + at, tensor->dtype, states[i].initial);
        }
        model->given[block] = true;
    }
}
