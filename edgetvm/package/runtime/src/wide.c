#include "wide.h"

#include "bytes.h"

#if defined(__arm__)

#define TWO_TO_32 4294967296.0

struct quotient {
    uint64_t quotient;
    uint64_t rest;
};

/* Nothing here may be written with the operators that it is for. */
static struct quotient divide(uint64_t a, uint64_t b)
{
    uint64_t quotient = 0;
    if (b == 0 || a < b) {
        return (struct quotient){0, a};
    }
    int shift = __builtin_clzll(b) - __builtin_clzll(a);
    for (b <<= shift; shift >= 0; shift--, b >>= 1) {
        quotient <<= 1;
        if (a >= b) {
            a -= b;
            quotient |= 1;
        }
    }
    return (struct quotient){quotient, a};
}

static uint64_t magnitude(int64_t value)
{
    return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

static int64_t with_sign(uint64_t size, bool negative)
{
    return (int64_t)(negative ? 0 - size : size);
}

int64_t wide_div(int64_t a, int64_t b)
{
    return with_sign(divide(magnitude(a), magnitude(b)).quotient, (a < 0) != (b < 0));
}

int64_t wide_mod(int64_t a, int64_t b)
{
    return with_sign(divide(magnitude(a), magnitude(b)).rest, a < 0);
}

uint64_t wide_udiv(uint64_t a, uint64_t b)
{
    return divide(a, b).quotient;
}

uint64_t wide_umod(uint64_t a, uint64_t b)
{
    return divide(a, b).rest;
}

int32_t wide_div32(int32_t a, int32_t b)
{
    return (int32_t)wide_div(a, b);
}

int32_t wide_mod32(int32_t a, int32_t b)
{
    return (int32_t)wide_mod(a, b);
}

uint32_t wide_udiv32(uint32_t a, uint32_t b)
{
    return (uint32_t)divide(a, b).quotient;
}

uint32_t wide_umod32(uint32_t a, uint32_t b)
{
    return (uint32_t)divide(a, b).rest;
}

double wide_unsigned_to_double(uint64_t value)
{
    return double_of_unsigned(value);
}

double wide_to_double(int64_t value)
{
    return double_of_signed(value);
}

/* On the way through a double, what it would round away is kept as one bit below float's last, so
   that the second rounding sees it. */
float wide_unsigned_to_float(uint64_t value)
{
    if (value >> 53 != 0) {
        value = (value & ~(uint64_t)0x7ff) | ((value & 0x7ff) != 0 ? 0x800 : 0);
    }
    return (float)wide_unsigned_to_double(value);
}

float wide_to_float(int64_t value)
{
    float size = wide_unsigned_to_float(magnitude(value));
    return value < 0 ? -size : size;
}

/* The processor's conversions to 32 bits saturate, and make zero of NaN; C leaves both open. */
static uint32_t saturated(double value)
{
    uint32_t result;
    float bits;
    __asm__("vcvt.u32.f64 %0, %P1" : "=t"(bits) : "w"(value));
    __builtin_memcpy(&result, &bits, sizeof result);
    return result;
}

uint64_t wide_unsigned_of_double(double value)
{
    uint32_t high = saturated(value / TWO_TO_32);
    uint32_t low = saturated(value - (double)high * TWO_TO_32);
    return (uint64_t)high << 32 | low;
}

int64_t wide_of_double(double value)
{
    uint64_t size = wide_unsigned_of_double(value < 0 ? -value : value);
    uint64_t most = (uint64_t)INT64_MAX + (value < 0);
    return with_sign(size < most ? size : most, value < 0);
}

uint64_t wide_unsigned_of_float(float value)
{
    return wide_unsigned_of_double((double)value);
}

int64_t wide_of_float(float value)
{
    return wide_of_double((double)value);
}

#endif
