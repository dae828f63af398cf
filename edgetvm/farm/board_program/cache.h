/* The processor's caches. */
#ifndef BOARD_CACHE_H
#define BOARD_CACHE_H

#include <stddef.h>
#include <stdint.h>

/* Put memory out of all caches, so that the next reader waits for it. */
void cache_flush(const uint8_t *memory, size_t size_bytes);

#endif
