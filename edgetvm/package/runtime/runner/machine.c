#define _GNU_SOURCE 1

#include "machine.h"

#include <sched.h>
#include <stdio.h>

#include "cpu.h"

bool machine_is_emulated(void)
{
    /* As uname -m, but of the kernel itself: 32-bit Arm and AArch64 run on each other's. */
    char architecture[16];
    FILE *file = fopen("/proc/sys/kernel/arch", "r");
    bool told = file != NULL && fgets(architecture, sizeof architecture, file) != NULL;
    if (file != NULL) {
        (void)fclose(file);
    }
    return told && architecture[0] != CPU_ARCHITECTURE[0];
}

uint32_t machine_cores(void)
{
    cpu_set_t allowed;
    return sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? (uint32_t)CPU_COUNT(&allowed) : 0;
}
