/* What this processor can do, as the system tells it: never found out by trying. */
#ifndef EDGETVM_CPU_H
#define EDGETVM_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "names.h"

#if defined(__x86_64__)
#define CPU_ARCHITECTURE "x86_64"
#elif defined(__aarch64__)
#define CPU_ARCHITECTURE "aarch64"
#elif defined(__arm__) && __ARM_ARCH >= 7
#define CPU_ARCHITECTURE "armv7l"
#else
#error "edgetvm's runtime is for x86-64, AArch64 and ARMv7"
#endif

enum { CPU_WORDS = 9 };

/* Registers of cpuid on x86; AT_HWCAP and AT_HWCAP2 on Arm. */
struct cpu {
    uint32_t words[CPU_WORDS];
    uint32_t saved_state; /* x86: the registers that the system saves, XCR0 */
};

struct cpu cpu_read(void);
/* Whether it has a flag of /proc/cpuinfo. No for flags that this runtime does not know. */
bool cpu_has(const struct cpu *cpu, const char *flag);

#endif
