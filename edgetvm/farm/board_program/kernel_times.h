/* Where the time of runs goes: every call of a kernel, timed. */
#ifndef BOARD_KERNEL_TIMES_H
#define BOARD_KERNEL_TIMES_H

#include "request.h"

/* Run `count` times for `max_s` at most, a stamp round each kernel: see
   board_service.time_kernels. */
bool opened_time_kernels(struct board *board, struct request *request);

#endif
