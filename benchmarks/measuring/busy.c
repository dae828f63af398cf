/*
 * A model whose runs take a known time: it spins on the processor's time stamp counter.
 *
 * `x` int64[4]: ticks of a usual run, ticks of a slow one, how many of a hundred runs are slow, and
 * anything -> `y` int64[4]: the runs so far, and zeros. Slow runs are spread evenly.
 */
#include <stdint.h>

#if defined(__x86_64__)
static uint64_t ticks(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}
#else
static uint64_t ticks(void)
{
    uint64_t now;
    __asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(now));
    return now;
}
#endif

/* For whoever wants to know how fast it counts. */
uint64_t busy_ticks(void)
{
    return ticks();
}

const int32_t edgetvm_calls = 1;
const char edgetvm_names[] = "busy\n";
const int32_t edgetvm_blocks = 3;
const int64_t edgetvm_block_bytes[] = {64, 32, 32};

static int64_t runs;

static int32_t busy(const int64_t *x, int64_t *y)
{
    uint64_t began = ticks();
    int slow = runs * x[2] / 100 != (runs + 1) * x[2] / 100;
    uint64_t until = began + (uint64_t)x[slow];
    runs++;
    y[0] = runs;
    y[1] = y[2] = y[3] = 0;
    while (ticks() < until) {
    }
    return 0;
}

int32_t edgetvm_run(void *const *blocks, int32_t first, int32_t end)
{
    return first < end ? busy(blocks[1], blocks[2]) : 0;
}
