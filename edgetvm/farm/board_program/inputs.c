#define _GNU_SOURCE

#include "inputs.h"

#include <string.h>

static void write_shape(struct text *text, const int64_t *shape, uint32_t rank)
{
    text_format(text, "[");
    for (uint32_t axis = 0; axis < rank; axis++) {
        text_format(text, "%s%lld", axis > 0 ? ", " : "", (long long)shape[axis]);
    }
    text_format(text, "]");
}

static void write_input(struct text *text, const edgetvm_tensor *input)
{
    text_format(text, "%.60s: %s", input->name, edgetvm_dtype_name(input->dtype));
    write_shape(text, input->shape, input->rank);
}

/* Fail with what is wrong with a name, and all inputs that there are. */
static bool fail_name(edgetvm_model *model, struct request *request, const char *before,
                      const char *name, const char *after)
{
    struct text mend = {0};
    text_format(&mend, "the inputs are ");
    for (size_t i = 0; i < edgetvm_input_count(model); i++) {
        text_format(&mend, "%s", i > 0 ? ", " : "");
        write_input(&mend, edgetvm_input(model, i));
    }
    text_add(&mend, "", 1);
    (void)request_fail(request, "InputError", mend.failed ? "" : mend.bytes, "%s '%.60s'%s", before,
                       name, after);
    text_free(&mend);
    return false;
}

static bool fail_form(struct request *request, const edgetvm_tensor *input,
                      const struct array *array)
{
    struct text found = {0}, wanted = {0};
    text_format(&found, "%s", edgetvm_dtype_name(array->dtype));
    write_shape(&found, array->shape, array->rank);
    text_add(&found, "", 1);
    text_format(&wanted, "it should be ");
    write_input(&wanted, input);
    text_add(&wanted, "", 1);
    bool enough = !found.failed && !wanted.failed;
    (void)request_fail(request, "InputError", enough ? wanted.bytes : "", "input '%.60s' is %s",
                       input->name, enough ? found.bytes : "of another form");
    text_free(&found);
    text_free(&wanted);
    return false;
}

static bool is_of_form(const edgetvm_tensor *input, const struct array *array, bool chunked)
{
    const int64_t *shape = array->shape + chunked;
    return array->dtype == input->dtype && array->rank == input->rank + chunked &&
           memcmp(shape, input->shape, input->rank * sizeof *shape) == 0;
}

static const struct array *find_array(const struct request *request, const char *name)
{
    const struct array *arrays = request->arrays.items;
    for (size_t i = 0; i < request->arrays.count; i++) {
        if (strcmp(arrays[i].name, name) == 0) {
            return &arrays[i];
        }
    }
    return NULL;
}

static bool check_names(edgetvm_model *model, struct request *request)
{
    const struct array *arrays = request->arrays.items;
    for (size_t i = 0; i < request->arrays.count; i++) {
        size_t index = 0;
        if (edgetvm_find_input(model, arrays[i].name, &index) != EDGETVM_OK) {
            return fail_name(model, request, "there is no input", arrays[i].name, "");
        }
        if (find_array(request, arrays[i].name) != &arrays[i]) {
            return fail_name(model, request, "input", arrays[i].name, " is given twice");
        }
    }
    return true;
}

bool inputs_check(edgetvm_model *model, struct request *request, bool chunked)
{
    if (!check_names(model, request)) {
        return false;
    }
    const struct array *first = request->arrays.items;
    for (size_t i = 0; i < edgetvm_input_count(model); i++) {
        const edgetvm_tensor *input = edgetvm_input(model, i);
        const struct array *array = find_array(request, input->name);
        if (chunked && input->state && array == NULL) {
            continue;
        }
        if (array == NULL) {
            return fail_name(model, request, "input", input->name, " is missing");
        }
        if (!is_of_form(input, array, chunked) ||
            (chunked && (input->state || array->shape[0] < 1 ||
                         array->shape[0] != first->shape[0]))) {
            return fail_form(request, input, array);
        }
    }
    return !chunked || request->arrays.count > 0 ||
           request_fail(request, "InputError", "send some", "there are no inputs");
}

bool inputs_take(struct board *board, struct request *request)
{
    const struct array *arrays = request->arrays.items;
    for (size_t i = 0; i < request->arrays.count; i++) {
        size_t index = 0;
        (void)edgetvm_find_input(board->model, arrays[i].name, &index);
        wire_take(&board->wire, edgetvm_input_memory(board->model, index), arrays[i].size_bytes);
    }
    return true;
}
