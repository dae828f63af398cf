/* What a session may take of the board. */
#ifndef BOARD_SESSION_LIMITS_H
#define BOARD_SESSION_LIMITS_H

#include <stddef.h>
#include <stdint.h>

/* A line of /proc/meminfo or /proc/self/status in bytes; 0 where there is none. */
uint64_t proc_bytes(const char *path, const char *field);
/* Limit this process; answers with the memory that a session may allot. memory_mb: 0 for what is
   free now. */
size_t limits_set(uint32_t memory_mb);

#endif
