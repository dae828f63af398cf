/* Streams at the pace of their signals: edgetvm/farm/board_pacing.py says what is what. */
#define _GNU_SOURCE

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "chunks.h"
#include "inputs.h"
#include "model.h"
#include "opened.h"
#include "times.h"

#define SECOND_NS ((uint64_t)1000000000)

struct pacing {
    struct chunks chunks;
    uint64_t period_ns, most_ns;
    size_t streams, turns; /* turns: chunks of all streams */
    size_t keep;           /* chunks of each stream whose outputs are answered */
    bool skip;
    size_t state_bytes; /* of one stream */
    uint8_t *states;
    int64_t *began_ns, *ended_ns;
};

static const struct signature *signature_of(const struct board *board)
{
    return &board->model->package.manifest.signature;
}

/* Between the model's inputs and what is kept of a stream. */
static void move_states(struct board *board, uint8_t *kept, bool restore)
{
    const struct list *states = &signature_of(board)->states;
    const struct state *all = states->items;
    for (size_t i = 0; i < states->count; i++) {
        uint8_t *memory = edgetvm_input_memory(board->model, all[i].input);
        size_t size = edgetvm_input(board->model, all[i].input)->size_bytes;
        memcpy(restore ? memory : kept, restore ? kept : memory, size);
        kept += size;
    }
}

static size_t state_bytes(const struct board *board)
{
    const struct list *states = &signature_of(board)->states;
    const struct state *all = states->items;
    size_t size = 0;
    for (size_t i = 0; i < states->count; i++) {
        size += edgetvm_input(board->model, all[i].input)->size_bytes;
    }
    return size;
}

static void sleep_until(uint64_t at_ns)
{
    struct timespec at = {.tv_sec = (time_t)(at_ns / SECOND_NS),
                          .tv_nsec = (long)(at_ns % SECOND_NS)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
    }
}

/* When a turn's chunk is complete, from the beginning of all on. */
static uint64_t arrival_ns(const struct pacing *pacing, size_t turn)
{
    size_t chunk = turn / pacing->streams, stream = turn % pacing->streams;
    return (chunk + 1) * pacing->period_ns + stream * pacing->period_ns / pacing->streams;
}

static edgetvm_status serve(struct board *board, const struct request *request,
                            const struct pacing *pacing, size_t turn)
{
    size_t chunk = turn / pacing->streams, stream = turn % pacing->streams;
    size_t row = chunk < pacing->keep ? stream * pacing->keep + chunk : SIZE_MAX;
    uint8_t *states = pacing->states + stream * pacing->state_bytes;
    move_states(board, states, true);
    edgetvm_status status = chunks_run(board, request, &pacing->chunks,
                                       chunk % (size_t)pacing->chunks.count, row);
    move_states(board, states, false);
    return status;
}

static bool is_stale(const struct pacing *pacing, size_t turn, uint64_t elapsed_ns)
{
    size_t next = turn + pacing->streams;
    return pacing->skip && next < pacing->turns && arrival_ns(pacing, next) <= elapsed_ns;
}

static bool run_paced(struct board *board, struct request *request, const struct pacing *pacing)
{
    edgetvm_status status = edgetvm_reset_state(board->model);
    for (size_t i = 0; i < pacing->streams; i++) {
        move_states(board, pacing->states + i * pacing->state_bytes, false);
    }
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    uint64_t zero_ns = now_ns();
    for (size_t turn = 0; status == EDGETVM_OK && turn < pacing->turns; turn++) {
        uint64_t due_ns = arrival_ns(pacing, turn), elapsed_ns = now_ns() - zero_ns;
        if (elapsed_ns > pacing->most_ns) {
            break;
        }
        if (is_stale(pacing, turn, elapsed_ns)) {
            continue;
        }
        if (elapsed_ns < due_ns) {
            sleep_until(zero_ns + due_ns);
        }
        pacing->began_ns[turn] = (int64_t)(now_ns() - zero_ns);
        status = serve(board, request, pacing, turn);
        pacing->ended_ns[turn] = (int64_t)(now_ns() - zero_ns);
    }
    return opened_told(board, request, status);
}

static bool refuse_size(struct request *request)
{
    return request_fail(request, "BoardMemoryError", "ask for fewer streams or chunks",
                        "the board has too little memory");
}

/* Room for what comes of it, all bytes of the times 0xff: nothing has run yet. */
static bool allot(struct board *board, struct request *request, struct pacing *pacing)
{
    size_t states = 0, times = 0, rows = 0, outputs = 0, all = 0;
    pacing->state_bytes = state_bytes(board);
    if (!multiply_sizes(pacing->streams, (size_t)request->count, &pacing->turns) ||
        !multiply_sizes(pacing->turns, sizeof *pacing->began_ns, &times) ||
        !multiply_sizes(pacing->streams, pacing->keep, &rows) ||
        !multiply_sizes(pacing->streams, pacing->state_bytes, &states) ||
        !multiply_sizes(rows, chunks_row_bytes(board->model), &outputs) ||
        __builtin_add_overflow(states, outputs, &all) ||
        __builtin_add_overflow(all, times, &all) || __builtin_add_overflow(all, times, &all) ||
        all > board->most_data_bytes - board->data_bytes) {
        return refuse_size(request);
    }
    pacing->states = calloc(1, states + 1);
    pacing->began_ns = malloc(times);
    pacing->ended_ns = malloc(times);
    if (pacing->states == NULL || pacing->began_ns == NULL || pacing->ended_ns == NULL) {
        return refuse_size(request);
    }
    memset(pacing->began_ns, 0xff, times);
    memset(pacing->ended_ns, 0xff, times);
    return chunks_take(board, request, &pacing->chunks, rows);
}

static bool is_possible(struct request *request)
{
    return (request->max_s >= 0 && request->max_s < 1e9 && request->count > 0 &&
            request->count <= INT32_MAX && request->keep <= request->count &&
            request->period_ns > 0 && request->streams > 0) ||
           request_fail(request, "BoardError", "ask for other numbers",
                        "no streams can be paced so");
}

bool opened_pace(struct board *board, struct request *request)
{
    if (!opened_is(board, request) || !is_possible(request) ||
        !inputs_check(board->model, request, true)) {
        return false;
    }
    struct pacing pacing = {.period_ns = (uint64_t)request->period_ns,
                            .most_ns = (uint64_t)(request->max_s * 1e9),
                            .streams = (size_t)request->streams,
                            .keep = (size_t)request->keep,
                            .skip = request->skip};
    bool done = allot(board, request, &pacing) && run_paced(board, request, &pacing);
    struct times times[] = {{"began_ns", pacing.began_ns, pacing.turns},
                            {"ended_ns", pacing.ended_ns, pacing.turns}};
    done = done && chunks_answer(board, request, &pacing.chunks, times, 2);
    free(pacing.states);
    free(pacing.began_ns);
    free(pacing.ended_ns);
    chunks_free(&pacing.chunks);
    return done;
}
