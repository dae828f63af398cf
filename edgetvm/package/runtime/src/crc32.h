/* The checksum of ZIP. */
#ifndef EDGETVM_CRC32_H
#define EDGETVM_CRC32_H

#include <stddef.h>
#include <stdint.h>

#include "names.h"

uint32_t crc32_of(const uint8_t *data, size_t size_bytes);

#endif
