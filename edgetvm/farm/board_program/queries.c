#define _GNU_SOURCE

#include "queries.h"

#include <string.h>
#include <time.h>

#include "inputs.h"
#include "model.h"
#include "opened.h"
#include "pool.h"
#include "times.h"

/* A sleep ends late by less than this, mostly; what is left of a wait is spun away. */
enum { SPIN_NS = 200 * 1000 };
enum { MOST_S = 1000000000 };

/* When a query began and ended, from the beginning of the call. */
struct stamps {
    int64_t began_ns, ended_ns;
};

struct queries {
    int64_t count, runs;
    uint64_t zero_ns, until_ns;
    const struct list *arrivals_ns; /* null: each arrives when the one before it is done */
    struct list stamps;
};

static void wait_until(uint64_t at_ns)
{
    uint64_t now = now_ns();
    if (now + SPIN_NS < at_ns) {
        uint64_t wake_ns = at_ns - SPIN_NS;
        struct timespec wake = {.tv_sec = (time_t)(wake_ns / 1000000000U),
                                .tv_nsec = (long)(wake_ns % 1000000000U)};
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wake, NULL);
    }
    while (now_ns() < at_ns) {
    }
}

static bool run_query(struct board *board, struct request *request, const struct queries *queries,
                      struct stamps *stamps)
{
    edgetvm_status status = EDGETVM_OK;
    uint64_t began_ns = now_ns();
    for (int64_t i = 0; i < queries->runs && status == EDGETVM_OK; i++) {
        status = edgetvm_run(board->model);
    }
    uint64_t ended_ns = now_ns();
    stamps->began_ns = (int64_t)(began_ns - queries->zero_ns);
    stamps->ended_ns = (int64_t)(ended_ns - queries->zero_ns);
    return opened_told(board, request, status);
}

static bool run_queries(struct board *board, struct request *request, struct queries *queries)
{
    const int64_t *arrivals_ns = queries->arrivals_ns ? queries->arrivals_ns->items : NULL;
    for (int64_t i = 0; i < queries->count; i++) {
        struct stamps *stamps = list_add(&queries->stamps, sizeof *stamps);
        if (stamps == NULL) {
            return request_fail(request, "BoardMemoryError", "", "the board has too little memory");
        }
        if (arrivals_ns != NULL) {
            wait_until(queries->zero_ns + (uint64_t)arrivals_ns[i]);
        }
        if (!run_query(board, request, queries, stamps)) {
            return false;
        }
        if (now_ns() > queries->until_ns) {
            break;
        }
    }
    return true;
}

static bool answer(struct board *board, struct request *request, const struct queries *queries)
{
    struct text header = {0};
    size_t size = queries->stamps.count * sizeof(struct stamps);
    text_format(&header, "{\"on_board_ns\": %llu}",
                (unsigned long long)(now_ns() - queries->zero_ns));
    bool answered = answer_begin(board, request, &header, size);
    if (answered) {
        wire_send_part(&board->wire, queries->stamps.items, size);
    }
    text_free(&header);
    return answered;
}

/* Arrivals come as the only array: one int64 for each query, ascending. */
static bool take_arrivals(struct board *board, struct request *request, struct list *arrivals_ns)
{
    const struct array *array = request->arrays.items;
    if (request->arrays.count != 1 || array->dtype != EDGETVM_INT64 || array->rank != 1 ||
        array->shape[0] != request->count) {
        return request_fail(request, "BoardError", "send an int64 for each query",
                            "the arrivals are not those of the queries");
    }
    int64_t before_ns = 0;
    for (int64_t i = 0; i < request->count; i++) {
        int64_t *at_ns = list_add(arrivals_ns, sizeof *at_ns);
        if (at_ns == NULL) {
            return request_fail(request, "BoardMemoryError", "", "the board has too little memory");
        }
        wire_take(&board->wire, (uint8_t *)at_ns, sizeof *at_ns);
        if (*at_ns < before_ns || *at_ns > (int64_t)MOST_S * 1000000000) {
            return request_fail(request, "BoardError", "send them in ascending order",
                                "the arrivals are not in order");
        }
        before_ns = *at_ns;
    }
    return true;
}

static bool take(struct board *board, struct request *request, struct list *arrivals_ns)
{
    if (!opened_is(board, request)) {
        return false;
    }
    if (request->paced) {
        return take_arrivals(board, request, arrivals_ns);
    }
    return request->arrays.count == 0 ||
           (inputs_check(board->model, request, false) && inputs_take(board, request));
}

static uint64_t first_of(const struct list *arrivals_ns)
{
    const int64_t *items = arrivals_ns->items;
    return arrivals_ns->count > 0 ? (uint64_t)items[0] : 0;
}

bool opened_time_queries(struct board *board, struct request *request)
{
    struct list arrivals_ns = {0};
    if (!(request->max_s >= 0 && request->max_s < MOST_S)) {
        return request_fail(request, "BoardError", "ask for a day at most", "max_s is no time");
    }
    struct queries queries = {
        .count = request->count,
        .runs = request->runs > 0 ? request->runs : 1,
        .arrivals_ns = request->paced ? &arrivals_ns : NULL,
    };
    bool done = take(board, request, &arrivals_ns);
    struct pool *all = done ? opened_share_among(board, (uint32_t)request->threads) : NULL;
    if (done && all == NULL) {
        done = request_fail(request, "BoardMemoryError", "", "the board has too little memory");
    }
    if (done) {
        queries.zero_ns = now_ns();
        queries.until_ns =
            queries.zero_ns + first_of(&arrivals_ns) + (uint64_t)(request->max_s * 1e9);
        done = run_queries(board, request, &queries);
        board->model->pool = all;
    }
    done = done && answer(board, request, &queries);
    list_free(&queries.stamps);
    list_free(&arrivals_ns);
    return done;
}
