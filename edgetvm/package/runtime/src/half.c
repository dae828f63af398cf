#include "half.h"

#include <math.h>

/* Exponents of float16: 5 bits, 15 stands for 2^0; 10 bits of mantissa. */
enum { MANTISSA = 10, BIAS = 15, INFINITE = 0x7c00, SIGN = 0x8000 };

uint16_t half_of(float value)
{
    uint16_t sign = signbit(value) ? SIGN : 0;
    float size = fabsf(value);
    if (isnan(size)) {
        return (uint16_t)(sign | INFINITE | 1 << (MANTISSA - 1));
    }
    if (size >= 65520.0f) { /* halfway from the largest to 2^16 */
        return (uint16_t)(sign | INFINITE);
    }
    int exponent = 0;
    (void)frexpf(size, &exponent);
    /* Below the least normal number the step stays the same. */
    exponent = exponent > 2 - BIAS ? exponent : 2 - BIAS;
    int steps = (int)rintf(ldexpf(size, MANTISSA + 1 - exponent));
    /* A mantissa that was rounded up to the next power of two carries into the exponent. */
    return (uint16_t)(sign | (((exponent + BIAS - 2) << MANTISSA) + steps));
}

float float_of_half(uint16_t half)
{
    int exponent = half >> MANTISSA & 0x1f;
    float mantissa = (float)(half & 0x3ff);
    float size = exponent == 0x1f ? (mantissa > 0 ? NAN : INFINITY)
                 : exponent == 0  ? ldexpf(mantissa, 1 - BIAS - MANTISSA)
                                  : ldexpf(mantissa + 1024.0f, exponent - BIAS - MANTISSA);
    return half & SIGN ? -size : size;
}
