#include "functions.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "pool.h"
#include "wide.h"

typedef void function(void);

#define OF_EACH_WIDTH(DO)                                                                          \
    DO(acos) DO(acosh) DO(asin) DO(asinh) DO(atan) DO(atan2) DO(atanh) DO(ceil) DO(cos) DO(cosh)   \
    DO(erf) DO(exp) DO(exp2) DO(expm1) DO(fabs) DO(floor) DO(fma) DO(fmax) DO(fmin) DO(fmod)       \
    DO(hypot) DO(ldexp) DO(log) DO(log10) DO(log1p) DO(log2) DO(nearbyint) DO(nextafter) DO(pow)   \
    DO(rint) DO(round) DO(sin) DO(sinh) DO(sqrt) DO(tan) DO(tanh) DO(trunc)

#define OF_ONE_KIND(DO)                                                                            \
    DO(TVMBackendParallelLaunch) DO(TVMFFIErrorSetRaisedFromCStr)                                  \
    DO(TVMFFIErrorSetRaisedFromCStrParts) DO(memcpy) DO(memmove) DO(memset)

#if defined(__arm__)
void __aeabi_memcpy(void), __aeabi_memcpy4(void), __aeabi_memcpy8(void), __aeabi_memmove(void),
    __aeabi_memmove4(void), __aeabi_memmove8(void), __aeabi_memset(void), __aeabi_memset4(void),
    __aeabi_memset8(void), __aeabi_memclr(void), __aeabi_memclr4(void), __aeabi_memclr8(void);

#define OF_THE_LIBC(DO)                                                                            \
    DO(__aeabi_memcpy) DO(__aeabi_memcpy4) DO(__aeabi_memcpy8) DO(__aeabi_memmove)                 \
    DO(__aeabi_memmove4) DO(__aeabi_memmove8) DO(__aeabi_memset) DO(__aeabi_memset4)               \
    DO(__aeabi_memset8) DO(__aeabi_memclr) DO(__aeabi_memclr4) DO(__aeabi_memclr8)
#else
#define OF_THE_LIBC(DO)
#define OF_WIDE_NUMBERS(DO)
#endif

#define NAME(name) #name " "
#define NAMES(name) #name " " #name "f "
#define ADDRESS(name) (function *)name,
#define ADDRESSES(name) (function *)name, (function *)name##f,

/* In one text: a pointer to each would cost more than the names themselves. */
static const char FUNCTION_NAMES[] =
    OF_ONE_KIND(NAME) OF_EACH_WIDTH(NAMES) OF_THE_LIBC(NAME) OF_WIDE_NUMBERS(NAME);
static function *const ADDRESSES_IN_ORDER[] = {
    OF_ONE_KIND(ADDRESS) OF_EACH_WIDTH(ADDRESSES) OF_THE_LIBC(ADDRESS)
        OF_WIDE_NUMBERS(ADDRESS)};

uintptr_t function_address(const char *name)
{
    size_t length = strlen(name), index = 0;
    for (const char *known = FUNCTION_NAMES; *known != '\0'; index++) {
        const char *end = strchr(known, ' ');
        if ((size_t)(end - known) == length && memcmp(known, name, length) == 0) {
            return (uintptr_t)ADDRESSES_IN_ORDER[index];
        }
        known = end + 1;
    }
    return 0;
}
