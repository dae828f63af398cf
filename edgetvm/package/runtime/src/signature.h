/* What a model takes and gives. */
#ifndef EDGETVM_SIGNATURE_H
#define EDGETVM_SIGNATURE_H

#include "manifest.h"

/* Complete a signature that was read, and check it: sizes, names, and what states join. Null, or
   what is wrong. */
const char *signature_complete(struct signature *signature);
/* Whether there is a tensor of that name. */
bool signature_find(const struct list *tensors, const char *name, size_t *index);

#endif
