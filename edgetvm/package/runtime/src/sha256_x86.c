#include "sha256.h"

#if defined(__x86_64__)

#include <immintrin.h>

/* Intel, "New Instructions Supporting the Secure Hash Algorithm" (2013). */
__attribute__((target("sha,sse4.1"))) static void add_blocks(uint32_t state[8],
                                                             const uint8_t *data, size_t blocks)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i low = _mm_loadu_si128((const __m128i *)(const void *)&state[0]);
    __m128i high = _mm_loadu_si128((const __m128i *)(const void *)&state[4]);
    /* The instructions want the eight words as ABEF and CDGH. */
    low = _mm_shuffle_epi32(low, 0xb1);
    high = _mm_shuffle_epi32(high, 0x1b);
    __m128i abef = _mm_alignr_epi8(low, high, 8);
    __m128i cdgh = _mm_blend_epi16(high, low, 0xf0);
    for (; blocks > 0; blocks--, data += SHA256_BLOCK_BYTES) {
        __m128i before_abef = abef, before_cdgh = cdgh, words[4];
        for (int i = 0; i < 4; i++) {
            __m128i loaded = _mm_loadu_si128((const __m128i *)(const void *)(data + 16 * i));
            words[i] = _mm_shuffle_epi8(loaded, swap);
        }
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            __m128i *word = &words[i % 4];
            if (i >= 4) {
                __m128i last = words[(i + 3) % 4];
                __m128i seventh = _mm_alignr_epi8(last, words[(i + 2) % 4], 4);
                *word = _mm_sha256msg1_epu32(*word, words[(i + 1) % 4]);
                *word = _mm_sha256msg2_epu32(_mm_add_epi32(*word, seventh), last);
            }
            __m128i constants =
                _mm_loadu_si128((const __m128i *)(const void *)&SHA256_CONSTANTS[4 * i]);
            __m128i sum = _mm_add_epi32(*word, constants);
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
        }
        abef = _mm_add_epi32(abef, before_abef);
        cdgh = _mm_add_epi32(cdgh, before_cdgh);
    }
    low = _mm_shuffle_epi32(abef, 0x1b);
    high = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)(void *)&state[0], _mm_blend_epi16(low, high, 0xf0));
    _mm_storeu_si128((__m128i *)(void *)&state[4], _mm_alignr_epi8(high, low, 8));
}

sha256_blocks *sha256_by_instructions(const struct cpu *cpu)
{
    return cpu_has(cpu, "sha_ni") && cpu_has(cpu, "sse4_1") ? add_blocks : NULL;
}

#endif
