#include "wide.h"

typedef int no_empty_file;

#if defined(__arm__)

#define TWO_TO_32 4294967296.0

static uint64_t divide(uint64_t a, uint64_t b, uint64_t *rest)
{
    uint64_t quotient = 0;
    /* What a division by zero answers is open; this ends. */
    if (b == 0 || a < b) {
        *rest = a;
        return 0;
    }
    int shift = __builtin_clzll(b) - __builtin_clzll(a);
    for (b <<= shift; shift >= 0; shift--, b >>= 1) {
        quotient <<= 1;
        if (a >= b) {
            a -= b;
            quotient |= 1;
        }
    }
    *rest = a;
    return quotient;
}

static uint64_t magnitude(int64_t value)
{
    return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

/* Both results in memory: quotient, rest. Called by what follows. */
__attribute__((used)) static void divide_unsigned(uint64_t a, uint64_t b, uint64_t results[2])
{
    results[0] = divide(a, b, &results[1]);
}

__attribute__((used)) static void divide_signed(int64_t a, int64_t b, uint64_t results[2])
{
    uint64_t rest = 0;
    uint64_t quotient = divide(magnitude(a), magnitude(b), &rest);
    results[0] = (a < 0) != (b < 0) ? 0 - quotient : quotient;
    results[1] = a < 0 ? 0 - rest : rest;
}

/* 16 bytes of the stack for the results, and 8 for the third argument, which is passed there. */
#define DIVISION(name, callee)                                                                     \
    __attribute__((naked)) void name(void)                                                         \
    {                                                                                              \
        __asm__("push {r4, lr}\n"                                                                  \
                "sub sp, sp, #24\n"                                                                \
                "add r4, sp, #8\n"                                                                 \
                "str r4, [sp]\n"                                                                   \
                "bl " callee "\n"                                                                  \
                "ldm r4, {r0, r1, r2, r3}\n"                                                       \
                "add sp, sp, #24\n"                                                                \
                "pop {r4, pc}\n");                                                                 \
    }

DIVISION(__aeabi_ldivmod, "divide_signed")
DIVISION(__aeabi_uldivmod, "divide_unsigned")

uint64_t __aeabi_uidivmod(uint32_t a, uint32_t b)
{
    uint64_t rest = 0;
    uint64_t quotient = divide(a, b, &rest);
    return rest << 32 | quotient;
}

uint64_t __aeabi_idivmod(int32_t a, int32_t b)
{
    uint64_t rest = 0;
    uint32_t quotient = (uint32_t)divide(magnitude(a), magnitude(b), &rest);
    uint32_t signed_quotient = (a < 0) != (b < 0) ? 0 - quotient : quotient;
    uint32_t signed_rest = a < 0 ? 0 - (uint32_t)rest : (uint32_t)rest;
    return (uint64_t)signed_rest << 32 | signed_quotient;
}

uint32_t __aeabi_uidiv(uint32_t a, uint32_t b)
{
    return (uint32_t)__aeabi_uidivmod(a, b);
}

int32_t __aeabi_idiv(int32_t a, int32_t b)
{
    return (int32_t)(uint32_t)__aeabi_idivmod(a, b);
}

uint64_t __aeabi_lmul(uint64_t a, uint64_t b)
{
    return a * b;
}

/* The shifts are written in halves: a compiler may make a call of these very functions of a whole
   one. Beyond 63 all bits are shifted out. */
uint64_t __aeabi_llsl(uint64_t a, uint32_t bits)
{
    uint32_t low = (uint32_t)a, high = (uint32_t)(a >> 32);
    if (bits >= 32) {
        return bits < 64 ? (uint64_t)(low << (bits - 32)) << 32 : 0;
    }
    uint32_t carried = bits > 0 ? low >> (32 - bits) : 0;
    return (uint64_t)(high << bits | carried) << 32 | low << bits;
}

uint64_t __aeabi_llsr(uint64_t a, uint32_t bits)
{
    uint32_t low = (uint32_t)a, high = (uint32_t)(a >> 32);
    if (bits >= 32) {
        return bits < 64 ? high >> (bits - 32) : 0;
    }
    uint32_t carried = bits > 0 ? high << (32 - bits) : 0;
    return (uint64_t)(high >> bits) << 32 | (low >> bits | carried);
}

int64_t __aeabi_lasr(int64_t a, uint32_t bits)
{
    uint64_t moved = __aeabi_llsr((uint64_t)a, bits);
    uint64_t filled = a < 0 && bits > 0 ? ~__aeabi_llsr(~(uint64_t)0, bits) : 0;
    return (int64_t)(moved | filled);
}

/* Rounded once: the first product is exact. */
double __aeabi_ul2d(uint64_t value)
{
    return (double)(uint32_t)(value >> 32) * TWO_TO_32 + (double)(uint32_t)value;
}

double __aeabi_l2d(int64_t value)
{
    double high = (double)(int32_t)((uint64_t)value >> 32);
    return high * TWO_TO_32 + (double)(uint32_t)value;
}

/* On the way through a double, bits that it would round away are kept in its lowest bit, so that
   the second rounding sees them. */
float __aeabi_ul2f(uint64_t value)
{
    if (value >> 53 != 0) {
        value = (value & ~(uint64_t)0x7ff) | ((value & 0x7ff) != 0 ? 0x800 : 0);
    }
    return (float)__aeabi_ul2d(value);
}

float __aeabi_l2f(int64_t value)
{
    float size = __aeabi_ul2f(magnitude(value));
    return value < 0 ? -size : size;
}

uint64_t __aeabi_d2ulz(double value)
{
    /* Conversions to 32 bits saturate, and NaN gives zero. */
    uint32_t high = (uint32_t)(value * (1 / TWO_TO_32));
    uint32_t low = (uint32_t)(value - (double)high * TWO_TO_32);
    return (uint64_t)high << 32 | low;
}

int64_t __aeabi_d2lz(double value)
{
    uint64_t size = __aeabi_d2ulz(value < 0 ? -value : value);
    uint64_t most = (uint64_t)INT64_MAX + (value < 0);
    size = size < most ? size : most;
    return (int64_t)(value < 0 ? 0 - size : size);
}

uint64_t __aeabi_f2ulz(float value)
{
    return __aeabi_d2ulz((double)value);
}

int64_t __aeabi_f2lz(float value)
{
    return __aeabi_d2lz((double)value);
}

#endif
