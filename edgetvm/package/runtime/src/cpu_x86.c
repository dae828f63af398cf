#include "cpu.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <stddef.h>
#include <string.h>

enum word { L1_ECX, L1_EDX, L7_EBX, L7_ECX, L7_EDX, L7_1_EAX, L7_1_EDX, EXT_ECX, EXT_EDX };

/* What the system must save when it changes threads: AVX's registers, AVX-512's, AMX's. */
enum state { NONE = 0, AVX = 0x6, AVX512 = 0xe6, AMX = 0x60006 };

struct flag {
    char name[20];
    uint8_t word;
    uint8_t bit;
    uint32_t state;
};

/* Intel's and AMD's manuals on CPUID; names as Linux prints them. */
static const struct flag FLAGS[] = {
    {"sse", L1_EDX, 25, NONE},
    {"sse2", L1_EDX, 26, NONE},
    {"pni", L1_ECX, 0, NONE},
    {"pclmulqdq", L1_ECX, 1, NONE},
    {"ssse3", L1_ECX, 9, NONE},
    {"fma", L1_ECX, 12, AVX},
    {"cx16", L1_ECX, 13, NONE},
    {"sse4_1", L1_ECX, 19, NONE},
    {"sse4_2", L1_ECX, 20, NONE},
    {"movbe", L1_ECX, 22, NONE},
    {"popcnt", L1_ECX, 23, NONE},
    {"aes", L1_ECX, 25, NONE},
    {"avx", L1_ECX, 28, AVX},
    {"f16c", L1_ECX, 29, AVX},
    {"bmi1", L7_EBX, 3, NONE},
    {"avx2", L7_EBX, 5, AVX},
    {"bmi2", L7_EBX, 8, NONE},
    {"erms", L7_EBX, 9, NONE},
    {"avx512f", L7_EBX, 16, AVX512},
    {"avx512dq", L7_EBX, 17, AVX512},
    {"adx", L7_EBX, 19, NONE},
    {"avx512ifma", L7_EBX, 21, AVX512},
    {"avx512cd", L7_EBX, 28, AVX512},
    {"sha_ni", L7_EBX, 29, NONE},
    {"avx512bw", L7_EBX, 30, AVX512},
    {"avx512vl", L7_EBX, 31, AVX512},
    {"avx512vbmi", L7_ECX, 1, AVX512},
    {"avx512_vbmi2", L7_ECX, 6, AVX512},
    {"gfni", L7_ECX, 8, NONE},
    {"vaes", L7_ECX, 9, AVX},
    {"vpclmulqdq", L7_ECX, 10, AVX},
    {"avx512_vnni", L7_ECX, 11, AVX512},
    {"avx512_bitalg", L7_ECX, 12, AVX512},
    {"avx512_vpopcntdq", L7_ECX, 14, AVX512},
    {"avx512_vp2intersect", L7_EDX, 8, AVX512},
    {"amx_bf16", L7_EDX, 22, AMX},
    {"avx512_fp16", L7_EDX, 23, AVX512},
    {"amx_tile", L7_EDX, 24, AMX},
    {"amx_int8", L7_EDX, 25, AMX},
    {"avx_vnni", L7_1_EAX, 4, AVX},
    {"avx512_bf16", L7_1_EAX, 5, AVX512},
    {"amx_fp16", L7_1_EAX, 21, AMX},
    {"avx_ifma", L7_1_EAX, 23, AVX},
    {"avx_vnni_int8", L7_1_EDX, 4, AVX},
    {"abm", EXT_ECX, 5, NONE},
    {"sse4a", EXT_ECX, 6, NONE},
    {"lm", EXT_EDX, 29, NONE},
};

static uint32_t saved_state(uint32_t leaf1_ecx)
{
    if (!(leaf1_ecx & bit_OSXSAVE)) {
        return NONE;
    }
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    (void)high;
    return low;
}

struct cpu cpu_read(void)
{
    struct cpu cpu = {0};
    uint32_t *words = cpu.words;
    uint32_t unused_a, unused_b, leaves_of_7 = 0;
    (void)__get_cpuid(1, &unused_a, &unused_b, &words[L1_ECX], &words[L1_EDX]);
    (void)__get_cpuid_count(7, 0, &leaves_of_7, &words[L7_EBX], &words[L7_ECX], &words[L7_EDX]);
    if (leaves_of_7 >= 1) {
        (void)__get_cpuid_count(7, 1, &words[L7_1_EAX], &unused_a, &unused_b, &words[L7_1_EDX]);
    }
    (void)__get_cpuid(0x80000001, &unused_a, &unused_b, &words[EXT_ECX], &words[EXT_EDX]);
    cpu.saved_state = saved_state(words[L1_ECX]);
    return cpu;
}

bool cpu_has(const struct cpu *cpu, const char *flag)
{
    for (size_t i = 0; i < sizeof FLAGS / sizeof *FLAGS; i++) {
        const struct flag *known = &FLAGS[i];
        if (strcmp(known->name, flag) == 0) {
            bool saved = (cpu->saved_state & known->state) == known->state;
            return saved && (cpu->words[known->word] >> known->bit & 1);
        }
    }
    return false;
}

#endif
