#include "functions.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "pool.h"

typedef void function(void);

struct entry {
    const char *name;
    function *address;
};

#define ENTRY(name) {#name, (function *)name}
#define BOTH(name) ENTRY(name), ENTRY(name##f)

#if defined(__arm__)
/* The Run-time ABI for the Arm Architecture: whole numbers that the processor cannot divide or
   convert. Their true types do not matter here: nothing here calls them. */
function __aeabi_idiv, __aeabi_idivmod, __aeabi_uidiv, __aeabi_uidivmod, __aeabi_ldivmod,
    __aeabi_uldivmod, __aeabi_l2f, __aeabi_l2d, __aeabi_ul2f, __aeabi_ul2d, __aeabi_f2lz,
    __aeabi_f2ulz, __aeabi_d2lz, __aeabi_d2ulz, __aeabi_lmul, __aeabi_llsl, __aeabi_llsr,
    __aeabi_lasr, __aeabi_memcpy, __aeabi_memcpy4, __aeabi_memcpy8, __aeabi_memmove,
    __aeabi_memmove4, __aeabi_memmove8, __aeabi_memset, __aeabi_memset4, __aeabi_memset8,
    __aeabi_memclr, __aeabi_memclr4, __aeabi_memclr8;
#endif

static const struct entry FUNCTIONS[] = {
    ENTRY(TVMBackendParallelLaunch),
    ENTRY(TVMFFIErrorSetRaisedFromCStr),
    ENTRY(TVMFFIErrorSetRaisedFromCStrParts),
    ENTRY(memcpy),
    ENTRY(memmove),
    ENTRY(memset),
    BOTH(acos),
    BOTH(acosh),
    BOTH(asin),
    BOTH(asinh),
    BOTH(atan),
    BOTH(atan2),
    BOTH(atanh),
    BOTH(ceil),
    BOTH(cos),
    BOTH(cosh),
    BOTH(erf),
    BOTH(exp),
    BOTH(exp2),
    BOTH(expm1),
    BOTH(fabs),
    BOTH(floor),
    BOTH(fma),
    BOTH(fmax),
    BOTH(fmin),
    BOTH(fmod),
    BOTH(hypot),
    BOTH(ldexp),
    BOTH(log),
    BOTH(log10),
    BOTH(log1p),
    BOTH(log2),
    BOTH(nearbyint),
    BOTH(nextafter),
    BOTH(pow),
    BOTH(rint),
    BOTH(round),
    BOTH(sin),
    BOTH(sinh),
    BOTH(sqrt),
    BOTH(tan),
    BOTH(tanh),
    BOTH(trunc),
#if defined(__arm__)
    ENTRY(__aeabi_idiv),
    ENTRY(__aeabi_idivmod),
    ENTRY(__aeabi_uidiv),
    ENTRY(__aeabi_uidivmod),
    ENTRY(__aeabi_ldivmod),
    ENTRY(__aeabi_uldivmod),
    ENTRY(__aeabi_l2f),
    ENTRY(__aeabi_l2d),
    ENTRY(__aeabi_ul2f),
    ENTRY(__aeabi_ul2d),
    ENTRY(__aeabi_f2lz),
    ENTRY(__aeabi_f2ulz),
    ENTRY(__aeabi_d2lz),
    ENTRY(__aeabi_d2ulz),
    ENTRY(__aeabi_lmul),
    ENTRY(__aeabi_llsl),
    ENTRY(__aeabi_llsr),
    ENTRY(__aeabi_lasr),
    ENTRY(__aeabi_memcpy),
    ENTRY(__aeabi_memcpy4),
    ENTRY(__aeabi_memcpy8),
    ENTRY(__aeabi_memmove),
    ENTRY(__aeabi_memmove4),
    ENTRY(__aeabi_memmove8),
    ENTRY(__aeabi_memset),
    ENTRY(__aeabi_memset4),
    ENTRY(__aeabi_memset8),
    ENTRY(__aeabi_memclr),
    ENTRY(__aeabi_memclr4),
    ENTRY(__aeabi_memclr8),
#endif
};

uintptr_t function_address(const char *name)
{
    for (size_t i = 0; i < sizeof FUNCTIONS / sizeof *FUNCTIONS; i++) {
        if (strcmp(FUNCTIONS[i].name, name) == 0) {
            return (uintptr_t)FUNCTIONS[i].address;
        }
    }
    return 0;
}
