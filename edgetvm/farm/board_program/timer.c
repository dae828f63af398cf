#define _GNU_SOURCE

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache.h"
#include "kernel_arguments.h"
#include "times.h"

/* Growth of the number of runs in a repetition that was too short. */
#define GOLDEN_RATIO 1.618
enum { MAX_NUMBER = 1 << 30 };

/* Two arrays that are copied to push all else out of the caches. */
struct flush {
    uint8_t *to, *from;
};

static bool run_number(struct board *board, const struct timer *timer,
                       const struct kernel_arguments *arguments, double *took_ms)
{
    struct any result;
    uint64_t began_ns = now_ns();
    bool ran = kernel_run(board, &timer->kernel, arguments, timer->number, &result);
    *took_ms = (double)(now_ns() - began_ns) / 1e6;
    return ran;
}

static int64_t more_runs(const struct timer *timer, double took_ms)
{
    double number = (double)timer->number;
    double enough = (double)timer->least_ms / (took_ms / number) + 1;
    double grown = number * GOLDEN_RATIO;
    double more = enough > grown ? enough : grown;
    return more < MAX_NUMBER ? (int64_t)more : MAX_NUMBER;
}

static void flush_caches(const struct timer *timer, const struct flush *flush)
{
    if (flush->to != NULL) {
        memcpy(flush->to, flush->from, (size_t)timer->flush_bytes);
    }
}

/* One repetition: enough runs to take as long as was asked for. */
static bool repeat_once(struct board *board, struct timer *timer,
                        const struct kernel_arguments *arguments, const struct flush *flush,
                        double *seconds)
{
    double took_ms = 0;
    int64_t zeros = 0;
    for (int32_t i = 1; timer->flush_arguments && i < arguments->count; i++) {
        cache_flush((uint8_t *)arguments->tensors[i].data + arguments->tensors[i].byte_offset,
                    arguments->size_bytes[i]);
    }
    do {
        if (took_ms > 0) {
            timer->number = more_runs(timer, took_ms);
        }
        flush_caches(timer, flush);
        if (!run_number(board, timer, arguments, &took_ms)) {
            return false;
        }
        zeros += took_ms <= 0;
    } while (took_ms < (double)timer->least_ms && zeros < timer->most_zeros &&
             timer->number < MAX_NUMBER);
    *seconds = took_ms / 1e3 / (double)timer->number;
    return true;
}

static void cool_down(const struct timer *timer, int64_t repetition)
{
    if (timer->cooldown_ms > 0 && repetition % timer->cooldown_each == 0) {
        struct timespec pause = {.tv_sec = (time_t)(timer->cooldown_ms / 1000),
                                 .tv_nsec = (long)(timer->cooldown_ms % 1000) * 1000000};
        (void)nanosleep(&pause, NULL);
    }
}

static bool repeat_all(struct board *board, struct timer *timer,
                       const struct kernel_arguments *arguments, const struct flush *flush,
                       double *seconds)
{
    struct any result;
    bool done = kernel_run(board, &timer->kernel, arguments, 1, &result);
    for (int64_t i = 0; done && i < timer->repeat; i++) {
        done = repeat_once(board, timer, arguments, flush, &seconds[i]);
        if (done) {
            cool_down(timer, i);
        }
    }
    return done;
}

static bool answer(struct board *board, const struct timer *timer, const double *seconds)
{
    size_t size = (size_t)timer->repeat * sizeof *seconds;
    wire_begin_blob(&board->wire, TYPE_BYTES, size);
    wire_send_part(&board->wire, seconds, size);
    wire_end_parts(&board->wire);
    return true;
}

bool timer_call(struct board *board, struct timer *timer, int32_t count)
{
    struct kernel_arguments *arguments = malloc(sizeof *arguments);
    double *seconds = calloc((size_t)timer->repeat + 1, sizeof *seconds);
    struct flush flush = {0};
    bool enough = arguments != NULL && seconds != NULL;
    if (timer->flush_bytes > 0) {
        flush.to = calloc(1, (size_t)timer->flush_bytes);
        flush.from = calloc(1, (size_t)timer->flush_bytes);
        enough = enough && flush.to != NULL && flush.from != NULL;
    }
    bool done = (enough || refuse(board, "MemoryError: out of memory")) &&
                kernel_take_arguments(board, arguments, count) &&
                repeat_all(board, timer, arguments, &flush, seconds) &&
                answer(board, timer, seconds);
    free(arguments);
    free(seconds);
    free(flush.to);
    free(flush.from);
    return done;
}

void timer_release(struct timer *timer)
{
    module_release(timer->kernel.module);
    free(timer);
}
