/* Calls of uploaded kernels, once or timed. */
#ifndef BOARD_KERNEL_H
#define BOARD_KERNEL_H

#include "arguments.h"

struct kernel {
    struct module *module;
    guest_function *function;
};

/* Call one with the arguments that follow, and answer with what it gives. */
bool kernel_call(struct board *board, const struct kernel *kernel, int32_t count);
void kernel_release(struct kernel *kernel);

/* TVM's time evaluator (src/runtime/timer.cc). */
struct timer {
    struct kernel kernel;
    int64_t number, repeat, least_ms, most_zeros, cooldown_ms, cooldown_each, flush_bytes;
    bool flush_arguments; /* all but the first, before each repetition */
};

/* Answers with seconds for a run, one double for each repetition. */
bool timer_call(struct board *board, struct timer *timer, int32_t count);
void timer_release(struct timer *timer);

#endif
