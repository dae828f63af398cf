/* Little-endian numbers, and sums and products that tell when they overflow. */
#ifndef EDGETVM_BYTES_H
#define EDGETVM_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint16_t le16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static inline uint32_t le32(const uint8_t *bytes)
{
    return (uint32_t)le16(bytes) | (uint32_t)le16(bytes + 2) << 16;
}

static inline bool add_sizes(size_t a, size_t b, size_t *sum)
{
    return !__builtin_add_overflow(a, b, sum);
}

static inline bool multiply_sizes(size_t a, size_t b, size_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}

/* Rounded once: the product is exact. In halves, since 32-bit processors convert no more, and the
   compiler's own function for it brings half a libm with it. */
static inline double double_of_unsigned(uint64_t value)
{
    return (double)(uint32_t)(value >> 32) * 4294967296.0 + (double)(uint32_t)value;
}

static inline double double_of_signed(int64_t value)
{
    double high = (double)(int32_t)(uint32_t)((uint64_t)value >> 32);
    return high * 4294967296.0 + (double)(uint32_t)value;
}

/* The next multiple of a power of two. */
static inline bool round_up(size_t size, size_t step, size_t *rounded)
{
    if (!add_sizes(size, step - 1, rounded)) {
        return false;
    }
    *rounded &= ~(step - 1);
    return true;
}

/* Whether `size` bytes from `offset` on lie within `whole`. */
static inline bool within(size_t offset, size_t size, size_t whole)
{
    return offset <= whole && size <= whole - offset;
}

#endif
