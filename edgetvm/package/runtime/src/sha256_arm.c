#include "sha256.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#if defined(__clang__)
#define WITH_SHA2 __attribute__((target("sha2")))
#else
#define WITH_SHA2 __attribute__((target("+crypto")))
#endif

WITH_SHA2 static void add_blocks(uint32_t state[8], const uint8_t *data, size_t blocks)
{
    uint32x4_t abcd = vld1q_u32(&state[0]), efgh = vld1q_u32(&state[4]);
    for (; blocks > 0; blocks--, data += SHA256_BLOCK_BYTES) {
        uint32x4_t before_abcd = abcd, before_efgh = efgh, words[4];
        for (int i = 0; i < 4; i++) {
            words[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(data + 16 * i)));
        }
        for (int i = 0; i < 16; i++) {
            uint32x4_t *word = &words[i % 4];
            if (i >= 4) {
                *word = vsha256su1q_u32(vsha256su0q_u32(*word, words[(i + 1) % 4]),
                                        words[(i + 2) % 4], words[(i + 3) % 4]);
            }
            uint32x4_t sum = vaddq_u32(*word, vld1q_u32(&SHA256_CONSTANTS[4 * i]));
            uint32x4_t kept = abcd;
            abcd = vsha256hq_u32(abcd, efgh, sum);
            efgh = vsha256h2q_u32(efgh, kept, sum);
        }
        abcd = vaddq_u32(abcd, before_abcd);
        efgh = vaddq_u32(efgh, before_efgh);
    }
    vst1q_u32(&state[0], abcd);
    vst1q_u32(&state[4], efgh);
}

sha256_blocks *sha256_by_instructions(const struct cpu *cpu)
{
    return cpu_has(cpu, "sha2") ? add_blocks : NULL;
}

#elif defined(__arm__)

/* Few 32-bit systems run on processors that have them. */
sha256_blocks *sha256_by_instructions(const struct cpu *cpu)
{
    (void)cpu;
    return NULL;
}

#endif
