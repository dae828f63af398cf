/*
 * Arithmetic that 32-bit Arm processors have no instruction for, by the names and conventions of
 * "Run-time ABI for the Arm Architecture", section 4.2 and 4.3: compiled models call it.
 *
 * Compilers bring their own with them, but not every one lets a shared library have these few alone:
 * with them come functions of libm that are not the system's.
 */
#ifndef EDGETVM_WIDE_H
#define EDGETVM_WIDE_H

#if defined(__arm__)

#include <stdint.h>

/* Numbers come in core registers, whatever the convention of the rest is. */
#define WIDE_CALL __attribute__((pcs("aapcs")))

#define OF_WIDE_NUMBERS(DO)                                                                        \
    DO(__aeabi_ldivmod) DO(__aeabi_uldivmod) DO(__aeabi_idiv) DO(__aeabi_uidiv)                    \
    DO(__aeabi_idivmod) DO(__aeabi_uidivmod) DO(__aeabi_lmul) DO(__aeabi_llsl) DO(__aeabi_llsr)    \
    DO(__aeabi_lasr) DO(__aeabi_l2f) DO(__aeabi_l2d) DO(__aeabi_ul2f) DO(__aeabi_ul2d)             \
    DO(__aeabi_f2lz) DO(__aeabi_f2ulz) DO(__aeabi_d2lz) DO(__aeabi_d2ulz)

/* Quotient in r0 and r1, rest in r2 and r3: no type of C says that. */
void __aeabi_ldivmod(void);
void __aeabi_uldivmod(void);

WIDE_CALL int32_t __aeabi_idiv(int32_t a, int32_t b);
WIDE_CALL uint32_t __aeabi_uidiv(uint32_t a, uint32_t b);
/* The quotient below the rest. */
WIDE_CALL uint64_t __aeabi_idivmod(int32_t a, int32_t b);
WIDE_CALL uint64_t __aeabi_uidivmod(uint32_t a, uint32_t b);
WIDE_CALL uint64_t __aeabi_lmul(uint64_t a, uint64_t b);
WIDE_CALL uint64_t __aeabi_llsl(uint64_t a, uint32_t bits);
WIDE_CALL uint64_t __aeabi_llsr(uint64_t a, uint32_t bits);
WIDE_CALL int64_t __aeabi_lasr(int64_t a, uint32_t bits);
WIDE_CALL float __aeabi_l2f(int64_t value);
WIDE_CALL double __aeabi_l2d(int64_t value);
WIDE_CALL float __aeabi_ul2f(uint64_t value);
WIDE_CALL double __aeabi_ul2d(uint64_t value);
WIDE_CALL int64_t __aeabi_f2lz(float value);
WIDE_CALL uint64_t __aeabi_f2ulz(float value);
WIDE_CALL int64_t __aeabi_d2lz(double value);
WIDE_CALL uint64_t __aeabi_d2ulz(double value);

#endif

#endif
