/*
 * Arithmetic that 32-bit Arm processors have no instruction for. LLVM makes compiled models call it
 * by the names of libgcc, and with floating-point numbers in floating-point registers.
 *
 * They are not the compiler's own: libgcc's take such numbers in core registers, and with LLVM's
 * come functions of libm that are not the system's.
 */
#ifndef EDGETVM_WIDE_H
#define EDGETVM_WIDE_H

#if defined(__arm__)

#include <stdbool.h>
#include <stdint.h>

#include "names.h"

/* The name that models call, and the function. */
#define OF_WIDE_NUMBERS(DO)                                                                        \
    DO(__divdi3, wide_div) DO(__moddi3, wide_mod) DO(__udivdi3, wide_udiv)                         \
    DO(__umoddi3, wide_umod) DO(__divsi3, wide_div32) DO(__modsi3, wide_mod32)                     \
    DO(__udivsi3, wide_udiv32) DO(__umodsi3, wide_umod32) DO(__floatdisf, wide_to_float)           \
    DO(__floatdidf, wide_to_double) DO(__floatundisf, wide_unsigned_to_float)                      \
    DO(__floatundidf, wide_unsigned_to_double) DO(__fixsfdi, wide_of_float)                        \
    DO(__fixdfdi, wide_of_double) DO(__fixunssfdi, wide_unsigned_of_float)                         \
    DO(__fixunsdfdi, wide_unsigned_of_double)

/* Towards zero; the rest has the dividend's sign. Division by zero answers zero. */
int64_t wide_div(int64_t a, int64_t b);
int64_t wide_mod(int64_t a, int64_t b);
uint64_t wide_udiv(uint64_t a, uint64_t b);
uint64_t wide_umod(uint64_t a, uint64_t b);
int32_t wide_div32(int32_t a, int32_t b);
int32_t wide_mod32(int32_t a, int32_t b);
uint32_t wide_udiv32(uint32_t a, uint32_t b);
uint32_t wide_umod32(uint32_t a, uint32_t b);

/* To the nearest. */
float wide_to_float(int64_t value);
double wide_to_double(int64_t value);
float wide_unsigned_to_float(uint64_t value);
double wide_unsigned_to_double(uint64_t value);

/* Towards zero; what is too large gives the largest. */
int64_t wide_of_float(float value);
int64_t wide_of_double(double value);
uint64_t wide_unsigned_of_float(float value);
uint64_t wide_unsigned_of_double(double value);

#endif

#endif
