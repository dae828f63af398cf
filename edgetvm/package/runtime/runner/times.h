/* The times of runs, and what is told of them. */
#ifndef EDGETVM_RUN_TIMES_H
#define EDGETVM_RUN_TIMES_H

#include <stddef.h>
#include <stdint.h>

struct summary {
    uint64_t min_ns, p50_ns, p90_ns, p99_ns, max_ns;
};

uint64_t now_ns(void);
double ms_of_ns(uint64_t ns);
/* sorted: room for as many numbers. */
struct summary times_summary(const uint64_t *times_ns, size_t count, uint64_t *sorted);

#endif
