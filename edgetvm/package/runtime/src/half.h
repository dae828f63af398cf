/* float16, which C11 does not have. */
#ifndef EDGETVM_HALF_H
#define EDGETVM_HALF_H

#include <stdint.h>

#include "names.h"

/* The nearest float16; ties to even. */
uint16_t half_of(float value);
float float_of_half(uint16_t half);

#endif
