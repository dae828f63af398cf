/* Kernels that misbehave, by TVM's convention; for x86-64, and without a C library. */
#include <asm/unistd.h>
#include <stdint.h>

#define KERNEL(name)                                                                               \
    int __tvm_ffi_##name(void *self, const void *arguments, int32_t count, void *result);          \
    int __tvm_ffi_##name(void *self __attribute__((unused)),                                       \
                         const void *arguments __attribute__((unused)),                            \
                         int32_t count __attribute__((unused)),                                    \
                         void *result __attribute__((unused)))

static long ask_system(long number, long argument)
{
    long answer;
    __asm__ volatile("syscall"
                     : "=a"(answer)
                     : "a"(number), "D"(argument)
                     : "rcx", "r11", "memory");
    return answer;
}

KERNEL(plain)
{
    return 0;
}

KERNEL(fail)
{
    return -1;
}

KERNEL(crash)
{
    *(volatile int *)8 = 1;
    return 0;
}

KERNEL(hang)
{
    for (volatile int on = 1; on != 0;) {
    }
    return 0;
}

KERNEL(leave)
{
    return (int)ask_system(__NR_exit_group, 7);
}

/* Leave a process behind. */
KERNEL(stray)
{
    if (ask_system(__NR_fork, 0) == 0) {
        for (;;) {
            (void)ask_system(__NR_pause, 0);
        }
    }
    return 0;
}
