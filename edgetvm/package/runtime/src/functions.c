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

#if !defined(__arm__)
#define OF_WIDE_NUMBERS(DO)
#endif

#define NAME(name) #name " "
#define NAMES(name) #name " " #name "f "
#define WIDE_NAME(name, replacement) #name " "
#define WIDE_ADDRESS(name, replacement) (function *)replacement,
#define ADDRESS(name) (function *)name,
#define ADDRESSES(name) (function *)name, (function *)name##f,

/* In one text: a pointer to each would cost more than the names themselves. */
static const char FUNCTION_NAMES[] =
    OF_ONE_KIND(NAME) OF_EACH_WIDTH(NAMES) OF_WIDE_NUMBERS(WIDE_NAME);
static function *const ADDRESSES_IN_ORDER[] = {
    OF_ONE_KIND(ADDRESS) OF_EACH_WIDTH(ADDRESSES) OF_WIDE_NUMBERS(WIDE_ADDRESS)};

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
