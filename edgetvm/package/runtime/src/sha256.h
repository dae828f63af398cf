/* SHA-256 (FIPS 180-4), by the processor's own instructions where it has them. */
#ifndef EDGETVM_SHA256_H
#define EDGETVM_SHA256_H

#include <stddef.h>
#include <stdint.h>

#include "cpu.h"

enum { SHA256_BYTES = 32, SHA256_BLOCK_BYTES = 64 };

typedef void sha256_blocks(uint32_t state[8], const uint8_t *data, size_t blocks);

extern const uint32_t SHA256_CONSTANTS[64];

/* Null where the processor has no such instructions. */
sha256_blocks *sha256_by_instructions(const struct cpu *cpu);

struct sha256 {
    uint32_t state[8];
    uint64_t size_bytes;
    uint8_t rest[SHA256_BLOCK_BYTES];
    sha256_blocks *add_blocks;
};

struct sha256 sha256_begin(const struct cpu *cpu);
void sha256_add(struct sha256 *hash, const void *data, size_t size_bytes);
void sha256_end(struct sha256 *hash, uint8_t digest[SHA256_BYTES]);

#endif
