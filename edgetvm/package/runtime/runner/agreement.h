/* How far an answer lies from the reference's: edgetvm's own measure, models/correctness.py. */
#ifndef EDGETVM_RUN_AGREEMENT_H
#define EDGETVM_RUN_AGREEMENT_H

#include "edgetvm.h"

struct agreement {
    double max_abs_error;
    double max_relative_error;
};

/* scales: room for one number for each element. */
struct agreement agreement_of(const edgetvm_tensor *tensor, const void *found, const void *wanted,
                              double *scales);
/* As a number; a quantised one as it is stored. */
double element_at(const edgetvm_tensor *tensor, const void *data, size_t index);
size_t element_count(const edgetvm_tensor *tensor);
/* Of a tensor that is not empty: which element is the largest, the first where several are. */
size_t largest_element(const edgetvm_tensor *tensor, const void *data);

#endif
