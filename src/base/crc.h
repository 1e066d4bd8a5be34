/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC-32 as zlib has it (IEEE 802.3, reflected), over pieces.
 *
 * The same values as zlib's crc32(); several times as fast on the few hundred bytes of an
 * entry where the processor multiplies without carries, which three nodes do per entry.
 */
#ifndef BASE_CRC_H
#define BASE_CRC_H

#include "base/bytes.h"

/* Continues `crc` (0 at first) over `bytes`. */
uint32_t crc_add(uint32_t crc, struct slice bytes);

#endif
