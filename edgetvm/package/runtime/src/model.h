/* An opened model. */
#ifndef EDGETVM_MODEL_H
#define EDGETVM_MODEL_H

#include "package.h"
#include "pool.h"
#include "program.h"

struct edgetvm_model {
    struct package package;
    struct image image;
    struct program program;
    struct pool *pool;
    edgetvm_info info;
    edgetvm_error error;
    /* Where each block of the program is, and where in the arena it belongs. */
    void **blocks;
    size_t *places;
    /* Of each block: whether its input was given. */
    bool *given;
    uint8_t *arena; /* null before there is one */
    bool own_arena;
    bool ran; /* since the arena was given */
};

/* Blocks in the program's order: the arena's own, the inputs, the outputs. */
static inline size_t input_block(size_t index)
{
    return 1 + index;
}

static inline size_t output_block(const struct edgetvm_model *model, size_t index)
{
    return 1 + model->package.manifest.signature.inputs.count + index;
}

/* Give blocks their places in an arena; its size goes to the info. */
edgetvm_status model_plan(struct edgetvm_model *model, edgetvm_error *error);
/* Begin with an arena of the caller's, or of one's own for null. */
edgetvm_status model_take_arena(struct edgetvm_model *model, void *arena, size_t size_bytes,
                                edgetvm_error *error);
void model_free_arena(struct edgetvm_model *model);
/* Fill the states' inputs with their initial values. */
void model_begin_stream(struct edgetvm_model *model);

#endif
