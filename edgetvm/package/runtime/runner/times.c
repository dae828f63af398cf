#define _POSIX_C_SOURCE 200809L

#include "times.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bytes.h"

uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

double ms_of_ns(uint64_t ns)
{
    return double_of_unsigned(ns) / 1e6;
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* The least time that so many of a hundred do not exceed. */
static uint64_t percentile(const uint64_t *sorted, size_t count, size_t percent)
{
    size_t rank = (count * percent + 99) / 100;
    return sorted[rank > 0 ? rank - 1 : 0];
}

struct summary times_summary(const uint64_t *times_ns, size_t count, uint64_t *sorted)
{
    memcpy(sorted, times_ns, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare);
    return (struct summary){
        .min_ns = sorted[0],
        .p50_ns = percentile(sorted, count, 50),
        .p90_ns = percentile(sorted, count, 90),
        .p99_ns = percentile(sorted, count, 99),
        .max_ns = sorted[count - 1],
    };
}
