/* What kernels of other builders may call beside what models may: TVM's workspace, barriers, … */
#ifndef BOARD_GUEST_FUNCTIONS_H
#define BOARD_GUEST_FUNCTIONS_H

#include <stdint.h>

/* 0 where there is none of that name. */
uintptr_t guest_function_address(const char *name);

#endif
