/* libFuzzer over the API: any order of calls, with any numbers, on the package of the environment's
   EDGETVM_FUZZ_PACKAGE. Each byte is a call, the next its argument. */
#include <stdlib.h>
#include <string.h>

#include "edgetvm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 1 << 20 };

static _Alignas(EDGETVM_ALIGNMENT) uint8_t memory[ROOM], other[ROOM];

static edgetvm_model *model_of(bool late_arena)
{
    edgetvm_model *model = NULL;
    edgetvm_config config = {.threads = 2, .late_arena = late_arena};
    if (edgetvm_open(getenv("EDGETVM_FUZZ_PACKAGE"), &config, &model, NULL) != EDGETVM_OK) {
        abort();
    }
    return model;
}

/* Often the size that fits. */
static size_t size_for(const edgetvm_tensor *tensor, uint8_t argument)
{
    return tensor != NULL && argument < 200 ? tensor->size_bytes : argument;
}

static edgetvm_status call(edgetvm_model *model, uint8_t number, uint8_t argument)
{
    size_t index = argument % 4, size = 0;
    const edgetvm_tensor *input = edgetvm_input(model, index);
    const edgetvm_tensor *output = edgetvm_output(model, index);
    uint8_t *place = memory + (argument & 16 ? 1 : 0);
    switch (number % 14) {
    case 0:
        return edgetvm_run(model);
    case 1:
        return edgetvm_set_input_at(model, index, place, size_for(input, argument));
    case 2:
        return edgetvm_get_output_at(model, index, other, size_for(output, argument));
    case 3:
        return edgetvm_bind_input(model, index, place, size_for(input, argument));
    case 4:
        return edgetvm_bind_output(model, index, other, size_for(output, argument));
    case 5:
        return edgetvm_bind_input(model, index, NULL, size_for(input, argument));
    case 6:
        return edgetvm_bind_output(model, index, NULL, size_for(output, argument));
    case 7:
        return edgetvm_reset_state(model);
    case 8:
        return edgetvm_set_arena(model, place, argument < 200 ? ROOM / 2 : argument);
    case 9:
        return edgetvm_arena_bytes(model, &size);
    case 10:
        return edgetvm_set_input(model, input != NULL ? input->name : "x", memory,
                                 size_for(input, argument));
    case 11:
        return edgetvm_get_output(model, output != NULL ? output->name : "x", other,
                                  size_for(output, argument));
    case 12:
        return edgetvm_input_memory(model, index) != NULL ? EDGETVM_OK : EDGETVM_NOT_READY;
    default:
        return edgetvm_output_memory(model, index) != NULL ? EDGETVM_OK : EDGETVM_NOT_READY;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    edgetvm_model *model = model_of(size > 0 && data[0] % 2 == 1);
    for (size_t i = 0; i + 1 < size; i += 2) {
        (void)call(model, data[i], data[i + 1]);
        if (strlen(edgetvm_error_text(model)) >= EDGETVM_ERROR_BYTES) {
            __builtin_trap();
        }
    }
    edgetvm_close(model);
    return 0;
}
