/* The functions that compiled models may call: these and no others. */
#ifndef EDGETVM_FUNCTIONS_H
#define EDGETVM_FUNCTIONS_H

#include <stdint.h>

#include "names.h"

/* 0 where there is none of that name. */
uintptr_t function_address(const char *name);

#endif
