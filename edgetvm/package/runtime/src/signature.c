#include "signature.h"

static const char *size_tensors(struct list *tensors)
{
    edgetvm_tensor *all = tensors->items;
    for (size_t i = 0; i < tensors->count; i++) {
        size_t size = edgetvm_dtype_bytes(all[i].dtype);
        bool empty = false;
        for (uint32_t axis = 0; axis < all[i].rank; axis++) {
            uint64_t length = (uint64_t)all[i].shape[axis];
            empty |= length == 0;
            /* The other axes are multiplied where one is empty, too: in whatever order they are. */
            if (length > SIZE_MAX / 2 ||
                !multiply_sizes(size, length > 0 ? (size_t)length : 1, &size) ||
                size > SIZE_MAX / 2) {
                return "has a tensor that is too large";
            }
        }
        all[i].size_bytes = empty ? 0 : size;
        size_t found = 0;
        if (signature_find(tensors, all[i].name, &found) && found != i) {
            return "has two tensors of one name";
        }
    }
    return NULL;
}

static bool alike(const edgetvm_tensor *a, const edgetvm_tensor *b)
{
    return a->dtype == b->dtype && a->rank == b->rank &&
           memcmp(a->shape, b->shape, a->rank * sizeof *a->shape) == 0;
}

/* Whole numbers of a state begin within their type, and within 32 bits. */
static bool can_begin(const edgetvm_tensor *tensor, double initial)
{
    edgetvm_dtype dtype = tensor->dtype;
    if (dtype >= EDGETVM_FLOAT16 && dtype <= EDGETVM_FLOAT64) {
        return true;
    }
    bool is_signed = dtype >= EDGETVM_INT8 && dtype <= EDGETVM_INT64;
    size_t bits = dtype == EDGETVM_BOOL ? 1 : 8 * edgetvm_dtype_bytes(dtype);
    int32_t most = bits < 32 ? (1 << (bits - is_signed)) - 1 : INT32_MAX;
    int32_t least = is_signed ? -most - 1 : 0;
    return initial >= least && initial <= most && initial == (int32_t)initial;
}

static const char *join_states(struct signature *signature)
{
    edgetvm_tensor *inputs = signature->inputs.items, *outputs = signature->outputs.items;
    struct state *states = signature->states.items;
    for (size_t i = 0; i < signature->states.count; i++) {
        struct state *state = &states[i];
        if (!signature_find(&signature->inputs, state->input_name, &state->input) ||
            !signature_find(&signature->outputs, state->output_name, &state->output)) {
            return "has a state that names no input and output";
        }
        edgetvm_tensor *input = &inputs[state->input], *output = &outputs[state->output];
        if (!alike(input, output)) {
            return "has a state whose input and output differ";
        }
        if (!can_begin(input, state->initial)) {
            return "has a state whose begin is no number of its type";
        }
        if (input->state) {
            return "has two states of one input";
        }
        input->state = output->state = true;
    }
    return NULL;
}

const char *signature_complete(struct signature *signature)
{
    const char *problem = size_tensors(&signature->inputs);
    problem = problem != NULL ? problem : size_tensors(&signature->outputs);
    return problem != NULL ? problem : join_states(signature);
}

bool signature_find(const struct list *tensors, const char *name, size_t *index)
{
    const edgetvm_tensor *all = tensors->items;
    for (size_t i = 0; i < tensors->count; i++) {
        if (strcmp(all[i].name, name) == 0) {
            *index = i;
            return true;
        }
    }
    return false;
}
