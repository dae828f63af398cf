#define _GNU_SOURCE

#include "kernel_times.h"

#include "opened.h"
#include "times.h"

static bool time_kernels(struct board *board, struct request *request, struct list *times_ns)
{
    size_t kernels = edgetvm_get_info(board->model)->kernels;
    uint64_t until_ns = now_ns() + (uint64_t)(request->max_s * 1e9);
    for (int64_t i = 0; i < request->count; i++) {
        uint64_t *run_ns = list_add(times_ns, (kernels + 1) * sizeof *run_ns);
        if (run_ns == NULL) {
            return request_fail(request, "BoardMemoryError", "", "the board has too little memory");
        }
        uint64_t began_ns = now_ns();
        if (!opened_told(board, request, edgetvm_run_timed(board->model, run_ns + 1, kernels))) {
            return false;
        }
        run_ns[0] = now_ns() - began_ns;
        if (now_ns() > until_ns) {
            break;
        }
    }
    return true;
}

static bool answer(struct board *board, struct request *request, const struct list *times_ns)
{
    struct text header = {0};
    size_t kernels = edgetvm_get_info(board->model)->kernels;
    size_t size = times_ns->count * (kernels + 1) * sizeof(uint64_t);
    text_format(&header, "{\"names\": [");
    for (size_t i = 0; i < kernels; i++) {
        text_format(&header, "%s", i > 0 ? ", " : "");
        text_quote(&header, edgetvm_kernel_name(board->model, i));
    }
    text_format(&header, "]}");
    bool answered = answer_begin(board, request, &header, size);
    if (answered) {
        wire_send_part(&board->wire, times_ns->items, size);
    }
    text_free(&header);
    return answered;
}

bool opened_time_kernels(struct board *board, struct request *request)
{
    struct list times_ns = {0};
    if (!opened_is(board, request)) {
        return false;
    }
    if (!(request->max_s >= 0 && request->max_s < 1e9)) {
        return request_fail(request, "BoardError", "ask for a day at most", "max_s is no time");
    }
    bool done = time_kernels(board, request, &times_ns) && answer(board, request, &times_ns);
    list_free(&times_ns);
    return done;
}
