#define _GNU_SOURCE

#include "chunks.h"

#include <stdlib.h>

#include "opened.h"

void chunks_free(struct chunks *chunks)
{
    free(chunks->inputs);
    free(chunks->outputs);
}

size_t chunks_row_bytes(const edgetvm_model *model)
{
    size_t size = 0;
    for (size_t i = 0; i < edgetvm_output_count(model); i++) {
        const edgetvm_tensor *tensor = edgetvm_output(model, i);
        size += tensor->state ? 0 : tensor->size_bytes;
    }
    return size;
}

bool chunks_take(struct board *board, struct request *request, struct chunks *chunks, size_t rows)
{
    const struct array *first = request->arrays.items;
    size_t size = (size_t)request->payload_bytes, out = 0;
    chunks->count = first->shape[0];
    chunks->rows = rows;
    if (request->payload_bytes < SIZE_MAX &&
        multiply_sizes(rows, chunks_row_bytes(board->model), &out) && out < SIZE_MAX) {
        chunks->inputs = malloc(size + 1);
        chunks->outputs = calloc(1, out + 1);
    }
    if (chunks->inputs == NULL || chunks->outputs == NULL) {
        return request_fail(request, "BoardMemoryError", "", "the board has too little memory");
    }
    wire_take(&board->wire, chunks->inputs, size);
    return true;
}

static edgetvm_status set_inputs(struct board *board, const struct request *request,
                                 const struct chunks *chunks, size_t index)
{
    const struct array *arrays = request->arrays.items;
    const uint8_t *from = chunks->inputs;
    edgetvm_status status = EDGETVM_OK;
    for (size_t i = 0; status == EDGETVM_OK && i < request->arrays.count; i++) {
        size_t size = arrays[i].size_bytes / (size_t)chunks->count;
        status = edgetvm_set_input(board->model, arrays[i].name, from + index * size, size);
        from += arrays[i].size_bytes;
    }
    return status;
}

static edgetvm_status keep_outputs(const struct board *board, const struct chunks *chunks,
                                   size_t row)
{
    uint8_t *to = chunks->outputs;
    edgetvm_status status = EDGETVM_OK;
    for (size_t i = 0; status == EDGETVM_OK && i < edgetvm_output_count(board->model); i++) {
        const edgetvm_tensor *tensor = edgetvm_output(board->model, i);
        if (!tensor->state) {
            status = edgetvm_get_output_at(board->model, i, to + row * tensor->size_bytes,
                                           tensor->size_bytes);
            to += chunks->rows * tensor->size_bytes;
        }
    }
    return status;
}

edgetvm_status chunks_run(struct board *board, const struct request *request,
                          const struct chunks *chunks, size_t index, size_t row)
{
    edgetvm_status status = set_inputs(board, request, chunks, index);
    if (status == EDGETVM_OK) {
        status = edgetvm_run(board->model);
    }
    return status == EDGETVM_OK && row < chunks->rows ? keep_outputs(board, chunks, row) : status;
}

static uint64_t write_header(const struct board *board, struct text *header,
                             const struct chunks *chunks, const struct times *times, size_t count)
{
    uint64_t size = (uint64_t)chunks->rows * chunks_row_bytes(board->model);
    text_format(header, "{\"arrays\": [");
    for (size_t i = 0; i < edgetvm_output_count(board->model); i++) {
        const edgetvm_tensor *tensor = edgetvm_output(board->model, i);
        if (!tensor->state) {
            opened_write_tensor(header, tensor, (int64_t)chunks->rows);
            text_format(header, ", ");
        }
    }
    for (size_t i = 0; i < count; i++) {
        edgetvm_tensor tensor = {.name = times[i].name, .dtype = EDGETVM_INT64};
        text_format(header, "%s", i > 0 ? ", " : "");
        opened_write_tensor(header, &tensor, (int64_t)times[i].count);
        size += times[i].count * sizeof *times[i].values_ns;
    }
    text_format(header, "]}");
    return size;
}

bool chunks_answer(struct board *board, struct request *request, const struct chunks *chunks,
                   const struct times *times, size_t times_count)
{
    struct text header = {0};
    uint64_t size = write_header(board, &header, chunks, times, times_count);
    bool answered = answer_begin(board, request, &header, size);
    if (answered) {
        wire_send_part(&board->wire, chunks->outputs,
                       chunks->rows * chunks_row_bytes(board->model));
        for (size_t i = 0; i < times_count; i++) {
            wire_send_part(&board->wire, times[i].values_ns,
                           times[i].count * sizeof *times[i].values_ns);
        }
    }
    text_free(&header);
    return answered;
}
