/* SHA-512 (FIPS 180-4) of what fits in one block. */
#ifndef EDGETVM_RUN_SHA512_H
#define EDGETVM_RUN_SHA512_H

#include <stddef.h>
#include <stdint.h>

enum { SHA512_BYTES = 64, SHA512_SHORT_BYTES = 111 };

/* size_bytes: at most SHA512_SHORT_BYTES. */
void sha512_short(const uint8_t *data, size_t size_bytes, uint8_t digest[SHA512_BYTES]);

#endif
