/* What the board does for edgetvm beside the stock vocabulary: edgetvm/farm/board_service.py. */
#define _GNU_SOURCE

#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "conditions.h"
#include "facts.h"
#include "kernel_times.h"
#include "opened.h"
#include "queries.h"
#include "request.h"
#include "session_limits.h"

static bool tell_facts(struct board *board, struct request *request)
{
    struct text text = {0};
    facts_write(board, &text);
    bool told = answer_begin(board, request, &text, 0);
    text_free(&text);
    return told;
}

static bool tell_conditions(struct board *board, struct request *request)
{
    struct text text = {0};
    conditions_write(board, &text);
    bool told = answer_begin(board, request, &text, 0);
    text_free(&text);
    return told;
}

/* The most memory held since the package was opened, beyond what was held before. */
static bool tell_memory(struct board *board, struct request *request)
{
    uint64_t peak = proc_bytes("/proc/self/status", "VmHWM");
    uint64_t before = board->resident_before_bytes;
    struct text text = {0};
    text_format(&text, "{\"peak_memory_bytes\": %llu}",
                (unsigned long long)(peak > before ? peak - before : 0));
    bool told = answer_begin(board, request, &text, 0);
    text_free(&text);
    return told;
}

/* Make ready to time kernels: this thread stays on its core, and workers are off it. */
static bool give_cores(struct board *board, struct request *request)
{
    if (!board_needs_pool(board)) {
        return request_fail(request, "BoardError", "run it again", "%s", board->problem);
    }
    if (pool_threads(board->pool) > 1) {
        cpu_set_t own;
        (void)sched_setaffinity(0, sizeof board->cores, &board->cores);
        CPU_ZERO(&own);
        CPU_SET((unsigned)sched_getcpu(), &own);
        (void)sched_setaffinity(0, sizeof own, &own);
        pool_leave(pool_enter(board->pool));
    }
    struct text text = {0};
    text_format(&text, "{\"threads\": %u}", (unsigned)pool_threads(board->pool));
    bool told = answer_begin(board, request, &text, 0);
    text_free(&text);
    return told;
}

static const struct board_function FUNCTIONS[] = {
    {.name = "edgetvm.facts", .serve = tell_facts},
    {.name = "edgetvm.conditions", .serve = tell_conditions},
    {.name = "edgetvm.open", .serve = opened_open},
    {.name = "edgetvm.run", .serve = opened_run},
    {.name = "edgetvm.time_queries", .serve = opened_time_queries},
    {.name = "edgetvm.time_kernels", .serve = opened_time_kernels},
    {.name = "edgetvm.stream", .serve = opened_stream},
    {.name = "edgetvm.pace", .serve = opened_pace},
    {.name = "edgetvm.memory", .serve = tell_memory},
    {.name = "edgetvm.threads", .serve = give_cores},
};

const struct board_function *service_function(const char *name)
{
    for (size_t i = 0; i < sizeof FUNCTIONS / sizeof *FUNCTIONS; i++) {
        if (strcmp(FUNCTIONS[i].name, name) == 0) {
            return &FUNCTIONS[i];
        }
    }
    return NULL;
}

static bool answer_failure(struct board *board, struct request *request)
{
    struct text text = {0};
    text_format(&text, "{\"error\": {\"kind\": \"%s\", \"what\": ", request->kind);
    text_quote(&text, request->what);
    text_format(&text, ", \"mend\": ");
    if (request->mend[0] != '\0') {
        text_quote(&text, request->mend);
    } else {
        text_format(&text, "null");
    }
    text_format(&text, "}}");
    bool told = answer_begin(board, request, &text, 0) ||
                refuse(board, "MemoryError: out of memory");
    text_free(&text);
    return told;
}

bool service_call(struct board *board, const struct board_function *function, int32_t count)
{
    struct request request;
    if (!takes(board, count, 1)) {
        return false;
    }
    if (!request_read(board, &request)) {
        request_free(&request);
        return false;
    }
    bool done = request.kind == NULL && function->serve(board, &request);
    if (!done) {
        wire_skip_rest(&board->wire);
        done = answer_failure(board, &request);
    }
    wire_end_parts(&board->wire);
    request_free(&request);
    return done;
}
