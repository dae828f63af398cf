#include "sha512.h"

#include <string.h>

#include "sha256.h"

enum { BLOCK_BYTES = 128, ROUNDS = 80 };

static const uint32_t LOW[ROUNDS] = {
    0xd728ae22, 0x23ef65cd, 0xec4d3b2f, 0x8189dbbc, 0xf348b538, 0xb605d019, 0xaf194f9b, 0xda6d8118,
    0xa3030242, 0x45706fbe, 0x4ee4b28c, 0xd5ffb4e2, 0xf27b896f, 0x3b1696b1, 0x25c71235, 0xcf692694,
    0x9ef14ad2, 0x384f25e3, 0x8b8cd5b5, 0x77ac9c65, 0x592b0275, 0x6ea6e483, 0xbd41fbd4, 0x831153b5,
    0xee66dfab, 0x2db43210, 0x98fb213f, 0xbeef0ee4, 0x3da88fc2, 0x930aa725, 0xe003826f, 0x0a0e6e70,
    0x46d22ffc, 0x5c26c926, 0x5ac42aed, 0x9d95b3df, 0x8baf63de, 0x3c77b2a8, 0x47edaee6, 0x1482353b,
    0x4cf10364, 0xbc423001, 0xd0f89791, 0x0654be30, 0xd6ef5218, 0x5565a910, 0x5771202a, 0x32bbd1b8,
    0xb8d2d0c8, 0x5141ab53, 0xdf8eeb99, 0xe19b48a8, 0xc5c95a63, 0xe3418acb, 0x7763e373, 0xd6b2b8a3,
    0x5defb2fc, 0x43172f60, 0xa1f0ab72, 0x1a6439ec, 0x23631e28, 0xde82bde9, 0xb2c67915, 0xe372532b,
    0xea26619c, 0x21c0c207, 0xcde0eb1e, 0xee6ed178, 0x72176fba, 0xa2c898a6, 0xbef90dae, 0x131c471b,
    0x23047d84, 0x40c72493, 0x15c9bebc, 0x9c100d4c, 0xcb3e42b6, 0xfc657e2a, 0x3ad6faec, 0x4a475817,
};
/* Of the others SHA-256 has the high halves. */
static const uint32_t LAST_HIGH[ROUNDS - 64] = {
    0xca273ece, 0xd186b8c7, 0xeada7dd6, 0xf57d4f7f, 0x06f067aa, 0x0a637dc5, 0x113f9804, 0x1b710b35,
    0x28db77f5, 0x32caab7b, 0x3c9ebe0a, 0x431d67c4, 0x4cc5d4be, 0x597f299c, 0x5fcb6fab, 0x6c44198c,
};

static uint64_t constant(int round)
{
    uint32_t high = round < 64 ? SHA256_CONSTANTS[round] : LAST_HIGH[round - 64];
    return (uint64_t)high << 32 | LOW[round];
}

static uint64_t rotated(uint64_t value, int bits)
{
    return value >> bits | value << (64 - bits);
}

static uint64_t big_endian(const uint8_t *bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

void sha512_short(const uint8_t *data, size_t size_bytes, uint8_t digest[SHA512_BYTES])
{
    static const uint64_t BEGIN[8] = {
        0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
        0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
    };
    uint8_t block[BLOCK_BYTES] = {0};
    memcpy(block, data, size_bytes);
    block[size_bytes] = 0x80;
    block[BLOCK_BYTES - 2] = (uint8_t)(size_bytes >> 5);
    block[BLOCK_BYTES - 1] = (uint8_t)(size_bytes << 3);
    uint64_t words[ROUNDS], state[8];
    for (int i = 0; i < ROUNDS; i++) {
        if (i < 16) {
            words[i] = big_endian(block + 8 * i);
            continue;
        }
        uint64_t a = words[i - 15], b = words[i - 2];
        uint64_t small = rotated(a, 1) ^ rotated(a, 8) ^ a >> 7;
        uint64_t large = rotated(b, 19) ^ rotated(b, 61) ^ b >> 6;
        words[i] = words[i - 16] + small + words[i - 7] + large;
    }
    memcpy(state, BEGIN, sizeof state);
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t a = state[0], b = state[1], c = state[2];
        uint64_t e = state[4], f = state[5], g = state[6];
        uint64_t first = state[7] + (rotated(e, 14) ^ rotated(e, 18) ^ rotated(e, 41)) +
                         (g ^ (e & (f ^ g))) + constant(i) + words[i];
        uint64_t second = (rotated(a, 28) ^ rotated(a, 34) ^ rotated(a, 39)) +
                          ((a & b) | (c & (a | b)));
        memmove(state + 1, state, 7 * sizeof *state);
        state[4] += first;
        state[0] = first + second;
    }
    for (int i = 0; i < SHA512_BYTES; i++) {
        int word = i / 8;
        digest[i] = (uint8_t)((BEGIN[word] + state[word]) >> (56 - 8 * (i % 8)));
    }
}
