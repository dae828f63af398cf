#include "cpu.h"

#if defined(__aarch64__) || defined(__arm__)

#include <string.h>
#include <sys/auxv.h>

/* Linux's arch/arm64/kernel/cpuinfo.c and arch/arm/kernel/setup.c: the name of each bit, each ended
   by a space. */
static const char *const NAMES[2] = {
#if defined(__aarch64__)
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm jscvt fcma "
    "lrcpc dcpop sha3 sm3 sm4 asimddp sha512 sve asimdfhm dit uscat ilrcpc flagm ssbs sb paca "
    "pacg ",
    "dcpodp sve2 sveaes svepmull svebitperm svesha3 svesm4 flagm2 frint svei8mm svef32mm svef64mm "
    "svebf16 i8mm bf16 dgh rng bti mte ecv afp rpres mte3 sme ",
#else
    "swp half thumb 26bit fastmult fpa vfp edsp java iwmmxt crunch thumbee neon vfpv3 vfpv3d16 tls "
    "vfpv4 idiva idivt vfpd32 lpae evtstrm fphp asimdhp asimddp asimdfhm asimdbf16 i8mm ",
    "aes pmull sha1 sha2 crc32 sb ssbs ",
#endif
};

struct cpu cpu_read(void)
{
    struct cpu cpu = {0};
    cpu.words[0] = (uint32_t)getauxval(AT_HWCAP);
    cpu.words[1] = (uint32_t)getauxval(AT_HWCAP2);
    return cpu;
}

bool cpu_has(const struct cpu *cpu, const char *flag)
{
    size_t length = strlen(flag);
    for (int word = 0; word < 2; word++) {
        uint32_t bits = cpu->words[word];
        for (const char *name = NAMES[word]; *name != '\0'; bits >>= 1) {
            const char *end = strchr(name, ' ');
            if ((size_t)(end - name) == length && memcmp(name, flag, length) == 0) {
                return bits & 1;
            }
            name = end + 1;
        }
    }
    return false;
}

#endif
