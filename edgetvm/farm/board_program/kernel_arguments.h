/* A kernel's arguments as it takes them, and a call with them. */
#ifndef BOARD_KERNEL_ARGUMENTS_H
#define BOARD_KERNEL_ARGUMENTS_H

#include "kernel.h"

enum { MAX_ARGUMENTS = 128 };

struct kernel_arguments {
    int32_t count;
    struct any values[MAX_ARGUMENTS];
    struct dl_tensor tensors[MAX_ARGUMENTS];
    int64_t shapes[MAX_ARGUMENTS][MAX_RANK];
    size_t size_bytes[MAX_ARGUMENTS]; /* of tensors; 0 for others */
};

bool kernel_take_arguments(struct board *board, struct kernel_arguments *arguments, int32_t count);
/* Call it so many times; where it fails, the call is refused with its words. */
bool kernel_run(struct board *board, const struct kernel *kernel,
                const struct kernel_arguments *arguments, int64_t times, struct any *result);

#endif
