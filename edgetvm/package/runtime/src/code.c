#define _GNU_SOURCE 1

#include "code.h"

#if defined(__aarch64__)

/* Arm Architecture Reference Manual, "Ordering and completion of data and instruction cache
   instructions". */
void code_written(const uint8_t *begin, size_t size_bytes)
{
    uint64_t sizes;
    __asm__("mrs %0, ctr_el0" : "=r"(sizes));
    size_t data_line = (size_t)4 << (sizes >> 16 & 15), code_line = (size_t)4 << (sizes & 15);
    uintptr_t first = (uintptr_t)begin, end = first + size_bytes;
    for (uintptr_t at = first & ~(data_line - 1); at < end; at += data_line) {
        __asm__ volatile("dc cvau, %0" ::"r"(at) : "memory");
    }
    __asm__ volatile("dsb ish" ::: "memory");
    for (uintptr_t at = first & ~(code_line - 1); at < end; at += code_line) {
        __asm__ volatile("ic ivau, %0" ::"r"(at) : "memory");
    }
    __asm__ volatile("dsb ish\n isb" ::: "memory");
}

#elif defined(__arm__)

#include <unistd.h>

/* Linux's own system call: asm/unistd.h, __ARM_NR_cacheflush. */
enum { ARM_CACHEFLUSH = 0x0f0002 };

void code_written(const uint8_t *begin, size_t size_bytes)
{
    (void)syscall(ARM_CACHEFLUSH, begin, begin + size_bytes, 0);
}

#else

/* x86 keeps both in step by itself. */
void code_written(const uint8_t *begin, size_t size_bytes)
{
    (void)begin, (void)size_bytes;
}

#endif
