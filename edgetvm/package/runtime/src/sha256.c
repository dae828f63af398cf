#include "sha256.h"

#include <string.h>

const uint32_t SHA256_CONSTANTS[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t rotated(uint32_t value, int bits)
{
    return value >> bits | value << (32 - bits);
}

static uint32_t big_endian(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void add_block(uint32_t state[8], const uint8_t *data)
{
    uint32_t words[64];
    for (int i = 0; i < 16; i++) {
        words[i] = big_endian(data + 4 * i);
    }
    for (int i = 16; i < 64; i++) {
        uint32_t a = words[i - 15], b = words[i - 2];
        uint32_t small = rotated(a, 7) ^ rotated(a, 18) ^ a >> 3;
        uint32_t large = rotated(b, 17) ^ rotated(b, 19) ^ b >> 10;
        words[i] = words[i - 16] + small + words[i - 7] + large;
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int i = 0; i < 64; i++) {
        uint32_t chosen = g ^ (e & (f ^ g));
        uint32_t first = h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + chosen +
                         SHA256_CONSTANTS[i] + words[i];
        uint32_t majority = (a & b) | (c & (a | b));
        uint32_t second = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + majority;
        h = g, g = f, f = e, e = d + first;
        d = c, c = b, b = a, a = first + second;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

static void add_blocks(uint32_t state[8], const uint8_t *data, size_t blocks)
{
    for (size_t i = 0; i < blocks; i++) {
        add_block(state, data + i * SHA256_BLOCK_BYTES);
    }
}

struct sha256 sha256_begin(const struct cpu *cpu)
{
    sha256_blocks *fast = sha256_by_instructions(cpu);
    return (struct sha256){
        .state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
                  0x1f83d9ab, 0x5be0cd19},
        .add_blocks = fast != NULL ? fast : add_blocks,
    };
}

void sha256_add(struct sha256 *hash, const void *data, size_t size_bytes)
{
    const uint8_t *bytes = data;
    size_t held = hash->size_bytes % SHA256_BLOCK_BYTES;
    hash->size_bytes += size_bytes;
    if (held > 0) {
        size_t wanted = SHA256_BLOCK_BYTES - held;
        size_t taken = size_bytes < wanted ? size_bytes : wanted;
        memcpy(hash->rest + held, bytes, taken);
        bytes += taken;
        size_bytes -= taken;
        if (taken < wanted) {
            return;
        }
        hash->add_blocks(hash->state, hash->rest, 1);
    }
    size_t blocks = size_bytes / SHA256_BLOCK_BYTES;
    if (blocks > 0) {
        hash->add_blocks(hash->state, bytes, blocks);
    }
    size_t left = size_bytes % SHA256_BLOCK_BYTES;
    if (left > 0) {
        memcpy(hash->rest, bytes + blocks * SHA256_BLOCK_BYTES, left);
    }
}

void sha256_end(struct sha256 *hash, uint8_t digest[SHA256_BYTES])
{
    static const uint8_t PADDING[SHA256_BLOCK_BYTES] = {0x80};
    uint64_t bits = hash->size_bytes * 8;
    size_t held = hash->size_bytes % SHA256_BLOCK_BYTES;
    sha256_add(hash, PADDING, held < 56 ? 56 - held : 120 - held);
    uint8_t length[8];
    for (int i = 0; i < 8; i++) {
        length[i] = (uint8_t)(bits >> (56 - 8 * i));
    }
    sha256_add(hash, length, sizeof length);
    for (int i = 0; i < SHA256_BYTES; i++) {
        digest[i] = (uint8_t)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
    }
}
