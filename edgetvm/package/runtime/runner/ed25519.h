/* Signatures of Ed25519 (RFC 8032): checking them only. */
#ifndef EDGETVM_RUN_ED25519_H
#define EDGETVM_RUN_ED25519_H

#include <stdbool.h>
#include <stdint.h>

enum { ED25519_KEY_BYTES = 32, ED25519_SIGNATURE_BYTES = 64, ED25519_MESSAGE_BYTES = 32 };

/* Whether the owner of the key has signed the message. Nothing here is secret: the time may tell
   what is checked. */
bool ed25519_signed(const uint8_t key[ED25519_KEY_BYTES],
                    const uint8_t message[ED25519_MESSAGE_BYTES],
                    const uint8_t signature[ED25519_SIGNATURE_BYTES]);

#endif
