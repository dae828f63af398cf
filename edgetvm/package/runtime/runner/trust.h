/* Whether a package was signed by the owner of a key. */
#ifndef EDGETVM_RUN_TRUST_H
#define EDGETVM_RUN_TRUST_H

#include "edgetvm.h"

/*
 * Read a whole package and check its signature. What was checked stays in memory, where nobody can
 * change it, and is opened from there; the caller frees it.
 *
 * path: of the package. key_path: of a public Ed25519 key in PEM form (RFC 8410).
 */
edgetvm_status trust_read(const char *path, const char *key_path, uint8_t **data,
                          size_t *size_bytes, edgetvm_error *error);

#endif
