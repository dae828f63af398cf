/* What a compiled model exports: its kernels, and the blocks of memory that they work on. */
#ifndef EDGETVM_PROGRAM_H
#define EDGETVM_PROGRAM_H

#include "image.h"

/* Calls the kernels from `first` up to `end`: 0, or the code of the one that failed. */
typedef int32_t program_run(void *const *blocks, int32_t first, int32_t end);

struct program {
    program_run *run;
    int32_t kernels;
    const char **names;
    char *text; /* that names lie in */
    /* Sizes: the arena, the inputs, the outputs. */
    size_t blocks;
    size_t *block_bytes;
    bool shares_work; /* among threads */
};

edgetvm_status program_open(struct program *program, const struct image *image,
                            edgetvm_error *error);
void program_close(struct program *program);

#endif
