/* Keys, messages and signatures from standard input; for each a 1 where it is right, or a 0. */
#include <stdio.h>

#include "ed25519.h"

int main(void)
{
    uint8_t all[ED25519_KEY_BYTES + ED25519_MESSAGE_BYTES + ED25519_SIGNATURE_BYTES];
    while (fread(all, sizeof all, 1, stdin) == 1) {
        const uint8_t *message = all + ED25519_KEY_BYTES;
        putchar(ed25519_signed(all, message, message + ED25519_MESSAGE_BYTES) ? '1' : '0');
    }
    return 0;
}
