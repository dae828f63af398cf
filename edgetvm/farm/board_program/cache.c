#include "cache.h"

#if defined(__x86_64__)

#include <emmintrin.h>

void cache_flush(const uint8_t *memory, size_t size_bytes)
{
    enum { LINE_BYTES = 64 };
    for (size_t at = 0; at < size_bytes; at += LINE_BYTES) {
        _mm_clflush(memory + at);
    }
    _mm_mfence();
}

#elif defined(__aarch64__)

void cache_flush(const uint8_t *memory, size_t size_bytes)
{
    uint64_t type = 0;
    __asm__("mrs %0, ctr_el0" : "=r"(type));
    /* Bits 16 to 19: the logarithm of the words in the shortest line. */
    size_t line_bytes = (size_t)4 << (type >> 16 & 15);
    for (size_t at = 0; at < size_bytes; at += line_bytes) {
        __asm__ volatile("dc civac, %0" ::"r"(memory + at) : "memory");
    }
    __asm__ volatile("dsb sy" ::: "memory");
}

#else

/* Programs may not flush caches on ARMv7. What is read here takes the place of all else in them. */
void cache_flush(const uint8_t *memory, size_t size_bytes)
{
    enum { MORE_THAN_CACHES_HOLD = 4 << 20, LINE_BYTES = 32 };
    static volatile uint8_t filler[MORE_THAN_CACHES_HOLD];
    (void)memory;
    for (size_t at = 0; size_bytes > 0 && at < sizeof filler; at += LINE_BYTES) {
        filler[at]++;
    }
}

#endif
