/* numpy's files of one array, format 1.0 to 3.0: numpy/lib/format.py. */
#ifndef EDGETVM_RUN_NPY_H
#define EDGETVM_RUN_NPY_H

#include "edgetvm.h"

/* Read an array that must have the tensor's type and shape, row-major, into memory of its size. */
edgetvm_status npy_read(const char *path, const edgetvm_tensor *tensor, void *data,
                        edgetvm_error *error);
edgetvm_status npy_write(const char *path, const edgetvm_tensor *tensor, const void *data,
                         edgetvm_error *error);
/* Whether a header's text says what the tensor is. */
bool npy_header_fits(char *header, const edgetvm_tensor *tensor);

#endif
