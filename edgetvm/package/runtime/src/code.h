/* Code that was written as data, made visible to the processor's instruction fetch. */
#ifndef EDGETVM_CODE_H
#define EDGETVM_CODE_H

#include <stddef.h>
#include <stdint.h>

#include "names.h"

/* Before it is run. Compilers have a function for this, but bring a whole library with it. */
void code_written(const uint8_t *begin, size_t size_bytes);

#endif
