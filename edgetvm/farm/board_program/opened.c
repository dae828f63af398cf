#define _GNU_SOURCE

#include "opened.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "files.h"
#include "inputs.h"
#include "model.h"
#include "session_limits.h"
#include "times.h"

bool opened_is(struct board *board, struct request *request)
{
    return board->model != NULL || request_fail(request, "PackageError", "open one first",
                                                "no package is open in this session");
}

bool opened_told(struct board *board, struct request *request, edgetvm_status status)
{
    return status == EDGETVM_OK ||
           request_fail_status(request, status, edgetvm_error_text(board->model));
}

static bool run_once(struct board *board, struct request *request, uint64_t *took_ns)
{
    uint64_t began_ns = now_ns();
    edgetvm_status status = edgetvm_run(board->model);
    *took_ns = now_ns() - began_ns;
    return opened_told(board, request, status);
}

void opened_write_tensor(struct text *text, const edgetvm_tensor *tensor, int64_t chunks)
{
    text_format(text, "{\"name\": ");
    text_quote(text, tensor->name);
    text_format(text, ", \"dtype\": \"%s\", \"shape\": [", edgetvm_dtype_name(tensor->dtype));
    if (chunks >= 0) {
        text_format(text, "%lld%s", (long long)chunks, tensor->rank > 0 ? ", " : "");
    }
    for (uint32_t axis = 0; axis < tensor->rank; axis++) {
        text_format(text, "%s%lld", axis > 0 ? ", " : "", (long long)tensor->shape[axis]);
    }
    text_format(text, "]}");
}

/* Answer with what was begun in the header, and all outputs. */
static bool answer_outputs(struct board *board, struct request *request, struct text *header)
{
    uint64_t size = 0;
    size_t count = edgetvm_output_count(board->model);
    text_format(header, ", \"arrays\": [");
    for (size_t i = 0; i < count; i++) {
        const edgetvm_tensor *tensor = edgetvm_output(board->model, i);
        text_format(header, "%s", i > 0 ? ", " : "");
        opened_write_tensor(header, tensor, -1);
        size += tensor->size_bytes;
    }
    text_format(header, "]}");
    if (!answer_begin(board, request, header, size)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        wire_send_part(&board->wire, edgetvm_output_memory(board->model, i),
                       edgetvm_output(board->model, i)->size_bytes);
    }
    return true;
}

/* The high-water mark of resident memory begins anew: see proc(5), clear_refs. */
static void note_memory(struct board *board)
{
    int file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (file >= 0) {
        (void)!write(file, "5", 1);
        (void)close(file);
    }
    board->resident_before_bytes = proc_bytes("/proc/self/status", "VmRSS");
}

static void close_model(struct board *board)
{
    edgetvm_close(board->model);
    board->model = NULL;
    pool_close(board->fewer);
    board->fewer = NULL;
}

static bool set_sample(struct board *board, struct request *request)
{
    for (size_t i = 0; i < edgetvm_input_count(board->model); i++) {
        char name[40];
        size_t size = edgetvm_input(board->model, i)->size_bytes;
        (void)snprintf(name, sizeof name, "sample/input-%zu.bin", i);
        edgetvm_status status = edgetvm_read_member(
            board->model, name, edgetvm_input_memory(board->model, i), &size);
        if (!opened_told(board, request, status)) {
            return false;
        }
    }
    return true;
}

static bool open_file(struct board *board, struct request *request, uint64_t *took_ns)
{
    edgetvm_config config = {.threads = (uint32_t)request->threads};
    edgetvm_error error;
    /* Threads may use all cores again, whatever kernels were timed before. */
    (void)sched_setaffinity(0, sizeof board->cores, &board->cores);
    close_model(board);
    note_memory(board);
    uint64_t began_ns = now_ns();
    edgetvm_status status = edgetvm_open(request->file, &config, &board->model, &error);
    if (status != EDGETVM_OK) {
        return request_fail_status(request, status, error.text);
    }
    bool whole = opened_told(board, request, edgetvm_verify(board->model));
    *took_ns = now_ns() - began_ns;
    if (!whole) {
        close_model(board);
    }
    return whole;
}

static bool try_sample(struct board *board, struct request *request, uint64_t open_ns)
{
    struct text header = {0};
    uint64_t first_ns = 0;
    if (!set_sample(board, request) || !run_once(board, request, &first_ns)) {
        return false;
    }
    const edgetvm_info *info = edgetvm_get_info(board->model);
    text_format(&header, "{\"open_ns\": %llu, \"first_run_ns\": %llu, \"threads\": %u",
                (unsigned long long)open_ns, (unsigned long long)first_ns,
                (unsigned)info->threads);
    text_format(&header, ", \"profile\": ");
    text_quote(&header, info->target);
    bool answered = answer_outputs(board, request, &header);
    text_free(&header);
    return answered;
}

bool opened_open(struct board *board, struct request *request)
{
    uint64_t open_ns = 0;
    if (request->file == NULL || !file_name_is_plain(request->file)) {
        return request_fail(request, "PackageError", "upload it first",
                            "that is no name of a package");
    }
    if (!open_file(board, request, &open_ns)) {
        return false;
    }
    if (!try_sample(board, request, open_ns)) {
        close_model(board);
        return false;
    }
    return true;
}

bool opened_run(struct board *board, struct request *request)
{
    struct text header = {0};
    uint64_t took_ns = 0;
    if (!opened_is(board, request) || !inputs_check(board->model, request, false) ||
        !inputs_take(board, request) || !run_once(board, request, &took_ns)) {
        return false;
    }
    text_format(&header, "{\"duration_ns\": %llu", (unsigned long long)took_ns);
    bool answered = answer_outputs(board, request, &header);
    text_free(&header);
    return answered;
}

struct pool *opened_share_among(struct board *board, uint32_t threads)
{
    struct pool *all = board->model->pool;
    edgetvm_error error;
    if (threads == 0 || threads >= pool_threads(all)) {
        return all;
    }
    if (board->fewer != NULL && pool_threads(board->fewer) != threads) {
        pool_close(board->fewer);
        board->fewer = NULL;
    }
    if (board->fewer == NULL &&
        pool_open(&board->fewer, threads, 0, false, &error) != EDGETVM_OK) {
        pool_close(board->fewer);
        board->fewer = NULL;
        return NULL;
    }
    board->model->pool = board->fewer;
    return all;
}
