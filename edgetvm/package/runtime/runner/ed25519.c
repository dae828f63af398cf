/* Small before it is fast, after TweetNaCl (Bernstein, van Gastel, Janssen, Lange, Schwabe,
   Smetsers: "TweetNaCl: a crypto library in 100 tweets", 2014; public domain). */
#include "ed25519.h"

#include <string.h>

#include "sha512.h"

/* Code is shared: it is small where all are calls. */
#define NOT_INLINED __attribute__((noinline))
enum { LIMBS = 16, NUMBER_BYTES = 32, NUMBER_BITS = 256 };

/* A number modulo 2^255 - 19, in limbs of 16 bits that may have grown. */
typedef struct {
    int64_t limb[LIMBS];
} element;

/* Of the curve -x^2 + y^2 = 1 + d x^2 y^2, as X/Z, Y/Z and T = XY/Z. */
typedef struct {
    element x, y, z, t;
} point;

static const uint8_t D[NUMBER_BYTES] = {
    0xa3, 0x78, 0x59, 0x13, 0xca, 0x4d, 0xeb, 0x75, 0xab, 0xd8, 0x41, 0x41, 0x4d, 0x0a, 0x70, 0x00,
    0x98, 0xe8, 0x79, 0x77, 0x79, 0x40, 0xc7, 0x8c, 0x73, 0xfe, 0x6f, 0x2b, 0xee, 0x6c, 0x03, 0x52};
static const uint8_t ROOT_OF_MINUS_ONE[NUMBER_BYTES] = {
    0xb0, 0xa0, 0x0e, 0x4a, 0x27, 0x1b, 0xee, 0xc4, 0x78, 0xe4, 0x2f, 0xad, 0x06, 0x18, 0x43, 0x2f,
    0xa7, 0xd7, 0xfb, 0x3d, 0x99, 0x00, 0x4d, 0x2b, 0x0b, 0xdf, 0xc1, 0x4f, 0x80, 0x24, 0x83, 0x2b};
/* The number of points that the base point generates. */
static const uint8_t ORDER[NUMBER_BYTES] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,
                                            0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                            [31] = 0x10};

static void from_bytes(element *a, const uint8_t bytes[NUMBER_BYTES])
{
    for (int i = 0; i < LIMBS; i++) {
        a->limb[i] = bytes[2 * i] | bytes[2 * i + 1] << 8;
    }
    a->limb[LIMBS - 1] &= 0x7fff;
}

/* Brings limbs back to 16 bits, nearly: what overflows the last one goes to the first, 38 times. */
static void carry(element *a)
{
    for (int i = 0; i < LIMBS; i++) {
        int64_t over = a->limb[i] >> 16;
        a->limb[i] -= over * 65536;
        a->limb[(i + 1) % LIMBS] += i < LIMBS - 1 ? over : 38 * over;
    }
}

/* `sum` may be one of the others, here and below. */
static void add(element *sum, const element *a, const element *b)
{
    for (int i = 0; i < LIMBS; i++) {
        sum->limb[i] = a->limb[i] + b->limb[i];
    }
}

static void subtract(element *rest, const element *a, const element *b)
{
    for (int i = 0; i < LIMBS; i++) {
        rest->limb[i] = a->limb[i] - b->limb[i];
    }
}

static NOT_INLINED void multiply(element *product, const element *a, const element *b)
{
    int64_t sums[2 * LIMBS] = {0};
    for (int i = 0; i < LIMBS; i++) {
        for (int j = 0; j < LIMBS; j++) {
            sums[i + j] += a->limb[i] * b->limb[j];
        }
    }
    for (int i = 0; i < LIMBS; i++) {
        product->limb[i] = sums[i] + 38 * sums[i + LIMBS];
    }
    carry(product);
    carry(product);
}

/* The one number below 2^255 - 19. */
static NOT_INLINED void to_bytes(const element *a, uint8_t bytes[NUMBER_BYTES])
{
    element whole = *a;
    for (int i = 0; i < 3; i++) {
        carry(&whole);
    }
    for (int turn = 0; turn < 2; turn++) {
        element less = whole;
        less.limb[0] -= 0xffed;
        for (int i = 1; i < LIMBS; i++) {
            less.limb[i] -= (i < LIMBS - 1 ? 0xffff : 0x7fff) + (less.limb[i - 1] >> 16 & 1);
            less.limb[i - 1] &= 0xffff;
        }
        if (less.limb[LIMBS - 1] >= 0) {
            whole = less;
        }
    }
    for (int i = 0; i < LIMBS; i++) {
        bytes[2 * i] = (uint8_t)(whole.limb[i] & 0xff);
        bytes[2 * i + 1] = (uint8_t)(whole.limb[i] >> 8 & 0xff);
    }
}

static bool same(const element *a, const element *b)
{
    uint8_t left[NUMBER_BYTES], right[NUMBER_BYTES];
    to_bytes(a, left);
    to_bytes(b, right);
    return memcmp(left, right, NUMBER_BYTES) == 0;
}

static bool is_odd(const element *a)
{
    uint8_t bytes[NUMBER_BYTES];
    to_bytes(a, bytes);
    return bytes[0] & 1;
}

/* To a power whose bits, from `highest` down, are ones but for those of `zeros`; and one before. */
static void raise(element *power, const element *a, int highest, uint32_t zeros)
{
    *power = *a;
    for (int bit = highest; bit >= 0; bit--) {
        multiply(power, power, power);
        if (bit > 4 || !(zeros >> bit & 1)) {
            multiply(power, power, a);
        }
    }
}

/* Adds a point, or doubles where that is the same; complete (Hisil, Wong, Carter, Dawson 2008). */
static NOT_INLINED void add_point(point *p, const point *q)
{
    element a, b, c, d, e;
    subtract(&a, &p->y, &p->x);
    subtract(&e, &q->y, &q->x);
    multiply(&a, &a, &e);
    add(&b, &p->y, &p->x);
    add(&e, &q->y, &q->x);
    multiply(&b, &b, &e);
    from_bytes(&e, D);
    add(&e, &e, &e);
    multiply(&c, &p->t, &q->t);
    multiply(&c, &c, &e);
    multiply(&d, &p->z, &q->z);
    add(&d, &d, &d);
    subtract(&e, &b, &a);
    add(&b, &b, &a);
    subtract(&a, &d, &c);
    add(&d, &d, &c);
    multiply(&p->x, &e, &a);
    multiply(&p->y, &b, &d);
    multiply(&p->z, &d, &a);
    multiply(&p->t, &e, &b);
}

/* The point with the y and the sign of its code, turned round: (-x, y). RFC 8032, 5.1.3. */
static bool decode_negative(point *p, const uint8_t code[NUMBER_BYTES])
{
    element above, below, square, check;
    *p = (point){.z = {{1}}};
    from_bytes(&p->y, code);
    from_bytes(&check, D);
    multiply(&square, &p->y, &p->y);
    multiply(&below, &square, &check);
    subtract(&above, &square, &p->z);
    add(&below, &below, &p->z);
    /* x = above below^3 (above below^7)^((2^255 - 24) / 8), times a root of -1 where that is none. */
    multiply(&square, &below, &below);
    multiply(&check, &square, &below);
    multiply(&square, &check, &check);
    multiply(&square, &square, &below);
    multiply(&square, &square, &above);
    raise(&p->x, &square, 250, 1u << 1);
    multiply(&p->x, &p->x, &above);
    multiply(&p->x, &p->x, &check);
    for (int turn = 0;; turn++) {
        multiply(&check, &p->x, &p->x);
        multiply(&check, &check, &below);
        if (same(&check, &above)) {
            break;
        }
        if (turn == 1) {
            return false;
        }
        from_bytes(&square, ROOT_OF_MINUS_ONE);
        multiply(&p->x, &p->x, &square);
    }
    if (is_odd(&p->x) == code[NUMBER_BYTES - 1] >> 7) {
        subtract(&p->x, &p->t, &p->x); /* t is zero so far */
    }
    multiply(&p->t, &p->x, &p->y);
    return true;
}

static void encode(const point *p, uint8_t code[NUMBER_BYTES])
{
    element over, x;
    raise(&over, &p->z, 253, 1u << 2 | 1u << 4);
    multiply(&x, &p->x, &over);
    multiply(&over, &p->y, &over);
    to_bytes(&over, code);
    code[NUMBER_BYTES - 1] ^= (uint8_t)(is_odd(&x) << 7);
}

static bool is_below_order(const uint8_t number[NUMBER_BYTES])
{
    for (int i = NUMBER_BYTES - 1; i >= 0; i--) {
        if (number[i] != ORDER[i]) {
            return number[i] < ORDER[i];
        }
    }
    return false;
}

static void take_order(uint8_t number[NUMBER_BYTES])
{
    int borrowed = 0;
    for (int i = 0; i < NUMBER_BYTES; i++) {
        int left = number[i] - ORDER[i] - borrowed;
        number[i] = (uint8_t)left;
        borrowed = left < 0;
    }
}

/* A number of 512 bits modulo the order, bit by bit. */
static void reduce(const uint8_t number[SHA512_BYTES], uint8_t rest[NUMBER_BYTES])
{
    memset(rest, 0, NUMBER_BYTES);
    for (int bit = 8 * SHA512_BYTES - 1; bit >= 0; bit--) {
        unsigned over = number[bit / 8] >> bit % 8 & 1;
        for (int i = 0; i < NUMBER_BYTES; i++) {
            over |= (unsigned)rest[i] << 1;
            rest[i] = (uint8_t)over;
            over >>= 8;
        }
        if (!is_below_order(rest)) {
            take_order(rest);
        }
    }
}

bool ed25519_signed(const uint8_t key[ED25519_KEY_BYTES],
                    const uint8_t message[ED25519_MESSAGE_BYTES],
                    const uint8_t signature[ED25519_SIGNATURE_BYTES])
{
    const uint8_t *commitment = signature, *response = signature + NUMBER_BYTES;
    /* The base point's code with the other sign, since decoding turns points round. */
    uint8_t base_code[NUMBER_BYTES];
    memset(base_code, 0x66, sizeof base_code);
    base_code[0] = 0x58;
    base_code[NUMBER_BYTES - 1] = 0xe6;
    point base, minus_key;
    if (!is_below_order(response) || !decode_negative(&base, base_code) ||
        !decode_negative(&minus_key, key)) {
        return false;
    }
    uint8_t hashed[3 * NUMBER_BYTES], digest[SHA512_BYTES], challenge[NUMBER_BYTES];
    memcpy(hashed, commitment, NUMBER_BYTES);
    memcpy(hashed + NUMBER_BYTES, key, NUMBER_BYTES);
    memcpy(hashed + 2 * NUMBER_BYTES, message, NUMBER_BYTES);
    sha512_short(hashed, sizeof hashed, digest);
    reduce(digest, challenge);
    point found = {.y = {{1}}, .z = {{1}}};
    for (int bit = NUMBER_BITS - 1; bit >= 0; bit--) {
        add_point(&found, &found);
        if (challenge[bit / 8] >> bit % 8 & 1) {
            add_point(&found, &minus_key);
        }
        if (response[bit / 8] >> bit % 8 & 1) {
            add_point(&found, &base);
        }
    }
    uint8_t code[NUMBER_BYTES];
    encode(&found, code);
    return memcmp(code, commitment, NUMBER_BYTES) == 0;
}
