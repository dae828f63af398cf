#include "dtypes.h"

#include <string.h>

struct dtype {
    char name[10];
    uint8_t size_bytes;
};

/* In the order of edgetvm_dtype. */
static const struct dtype DTYPES[] = {
    {"bool", 1},  {"float16", 2}, {"float32", 4}, {"float64", 8}, {"int8", 1},   {"int16", 2},
    {"int32", 4}, {"int64", 8},   {"uint8", 1},   {"uint16", 2},  {"uint32", 4}, {"uint64", 8},
};

enum { COUNT = sizeof DTYPES / sizeof *DTYPES };

bool dtype_of_name(const char *name, edgetvm_dtype *dtype)
{
    for (size_t i = 0; i < COUNT; i++) {
        if (strcmp(DTYPES[i].name, name) == 0) {
            *dtype = (edgetvm_dtype)i;
            return true;
        }
    }
    return false;
}

const char *edgetvm_dtype_name(edgetvm_dtype dtype)
{
    return (size_t)dtype < COUNT ? DTYPES[dtype].name : "unknown";
}

size_t edgetvm_dtype_bytes(edgetvm_dtype dtype)
{
    return (size_t)dtype < COUNT ? DTYPES[dtype].size_bytes : 0;
}
