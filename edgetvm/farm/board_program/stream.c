#define _GNU_SOURCE

#include <stdlib.h>

#include "chunks.h"
#include "inputs.h"
#include "opened.h"
#include "times.h"

static bool run_chunks(struct board *board, struct request *request, const struct chunks *chunks,
                       int64_t *service_ns)
{
    edgetvm_status status = edgetvm_reset_state(board->model);
    for (size_t i = 0; status == EDGETVM_OK && i < chunks->rows; i++) {
        uint64_t began_ns = now_ns();
        status = chunks_run(board, request, chunks, i, i);
        service_ns[i] = (int64_t)(now_ns() - began_ns);
    }
    return opened_told(board, request, status);
}

bool opened_stream(struct board *board, struct request *request)
{
    struct chunks chunks = {0};
    if (!opened_is(board, request) || !inputs_check(board->model, request, true)) {
        return false;
    }
    size_t count = (size_t)((const struct array *)request->arrays.items)->shape[0];
    int64_t *service_ns = calloc(count, sizeof *service_ns);
    struct times times = {"service_ns", service_ns, count};
    bool done = service_ns != NULL ||
                request_fail(request, "BoardMemoryError", "", "the board has too little memory");
    done = done && chunks_take(board, request, &chunks, count) &&
           run_chunks(board, request, &chunks, service_ns) &&
           chunks_answer(board, request, &chunks, &times, 1);
    free(service_ns);
    chunks_free(&chunks);
    return done;
}
