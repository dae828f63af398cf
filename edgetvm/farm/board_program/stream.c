#define _GNU_SOURCE

#include <stdlib.h>

#include "inputs.h"
#include "opened.h"
#include "times.h"

/* A stream's chunks: what comes, and what goes. */
struct chunks {
    int64_t count;
    uint8_t *inputs; /* the payload: array after array, each of all chunks */
    uint8_t *outputs;
    int64_t *service_ns;
};

static void free_chunks(struct chunks *chunks)
{
    free(chunks->inputs);
    free(chunks->outputs);
    free(chunks->service_ns);
}

static size_t chunk_output_bytes(const edgetvm_model *model)
{
    size_t size = 0;
    for (size_t i = 0; i < edgetvm_output_count(model); i++) {
        const edgetvm_tensor *tensor = edgetvm_output(model, i);
        size += tensor->state ? 0 : tensor->size_bytes;
    }
    return size;
}

static bool take_chunks(struct board *board, struct request *request, struct chunks *chunks)
{
    const struct array *first = request->arrays.items;
    size_t size = (size_t)request->payload_bytes, out = 0, times = 0;
    chunks->count = first->shape[0];
    bool fits = request->payload_bytes < SIZE_MAX && (uint64_t)chunks->count < SIZE_MAX / 16 &&
                multiply_sizes((size_t)chunks->count, chunk_output_bytes(board->model), &out) &&
                multiply_sizes((size_t)chunks->count + 1, sizeof *chunks->service_ns, &times);
    if (fits) {
        chunks->inputs = malloc(size + 1);
        chunks->outputs = malloc(out + 1);
        chunks->service_ns = malloc(times);
    }
    if (chunks->inputs == NULL || chunks->outputs == NULL || chunks->service_ns == NULL) {
        return request_fail(request, "BoardMemoryError", "", "the board has too little memory");
    }
    wire_take(&board->wire, chunks->inputs, size);
    return true;
}

/* Set a chunk's inputs, run, and keep its outputs. */
static edgetvm_status run_chunk(struct board *board, const struct request *request,
                                const struct chunks *chunks, int64_t index)
{
    const struct array *arrays = request->arrays.items;
    const uint8_t *from = chunks->inputs;
    for (size_t i = 0; i < request->arrays.count; i++) {
        size_t size = arrays[i].size_bytes / (size_t)chunks->count;
        edgetvm_status status = edgetvm_set_input(board->model, arrays[i].name,
                                                  from + (size_t)index * size, size);
        if (status != EDGETVM_OK) {
            return status;
        }
        from += arrays[i].size_bytes;
    }
    edgetvm_status status = edgetvm_run(board->model);
    uint8_t *to = chunks->outputs;
    for (size_t i = 0; status == EDGETVM_OK && i < edgetvm_output_count(board->model); i++) {
        const edgetvm_tensor *tensor = edgetvm_output(board->model, i);
        if (!tensor->state) {
            status = edgetvm_get_output_at(board->model, i, to + (size_t)index * tensor->size_bytes,
                                           tensor->size_bytes);
            to += (size_t)chunks->count * tensor->size_bytes;
        }
    }
    return status;
}

static bool run_chunks(struct board *board, struct request *request, struct chunks *chunks)
{
    edgetvm_status status = edgetvm_reset_state(board->model);
    for (int64_t i = 0; status == EDGETVM_OK && i < chunks->count; i++) {
        uint64_t began_ns = now_ns();
        status = run_chunk(board, request, chunks, i);
        chunks->service_ns[i] = (int64_t)(now_ns() - began_ns);
    }
    return opened_told(board, request, status);
}

static bool answer_chunks(struct board *board, struct request *request, const struct chunks *chunks)
{
    struct text header = {0};
    edgetvm_tensor times = {.name = "service_ns", .dtype = EDGETVM_INT64};
    size_t out = (size_t)chunks->count * chunk_output_bytes(board->model);
    size_t times_bytes = (size_t)chunks->count * sizeof *chunks->service_ns;
    text_format(&header, "{\"arrays\": [");
    for (size_t i = 0; i < edgetvm_output_count(board->model); i++) {
        const edgetvm_tensor *tensor = edgetvm_output(board->model, i);
        if (!tensor->state) {
            opened_write_tensor(&header, tensor, chunks->count);
            text_format(&header, ", ");
        }
    }
    opened_write_tensor(&header, &times, chunks->count);
    text_format(&header, "]}");
    bool answered = answer_begin(board, request, &header, (uint64_t)out + times_bytes);
    if (answered) {
        wire_send_part(&board->wire, chunks->outputs, out);
        wire_send_part(&board->wire, chunks->service_ns, times_bytes);
    }
    text_free(&header);
    return answered;
}

bool opened_stream(struct board *board, struct request *request)
{
    struct chunks chunks = {0};
    if (!opened_is(board, request) || !inputs_check(board->model, request, true)) {
        return false;
    }
    bool done = take_chunks(board, request, &chunks) && run_chunks(board, request, &chunks) &&
                answer_chunks(board, request, &chunks);
    free_chunks(&chunks);
    return done;
}
