/* The types of elements. */
#ifndef EDGETVM_DTYPES_H
#define EDGETVM_DTYPES_H

#include "edgetvm.h"
#include "names.h"

/* Whether there is a type of that name. */
bool dtype_of_name(const char *name, edgetvm_dtype *dtype);

#endif
