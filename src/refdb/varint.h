/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unsigned integers in 1 to 10 bytes: seven bits each, lowest first, the top bit set on all
 * but the last.  Used inside packed nodes and in dumps.
 */
#ifndef REFDB_VARINT_H
#define REFDB_VARINT_H

#include "base/bytes.h"

#define VARINT_BYTES_MAX 10

static inline uint8_t *varint_put(uint8_t *p, uint64_t value)
{
    while (value >= 0x80) {
        *p++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *p++ = (uint8_t)value;
    return p;
}

/* Trusts its input: for bytes this process wrote itself. */
static inline const uint8_t *varint_get(const uint8_t *p, uint64_t *ret_value)
{
    uint64_t value = 0;
    unsigned shift = 0;

    while (*p >= 0x80) {
        value |= (uint64_t)(*p++ & 0x7f) << shift;
        shift += 7;
    }
    *ret_value = value | (uint64_t)*p++ << shift;
    return p;
}

static inline void buffer_put_varint(struct buffer *b, uint64_t value)
{
    uint8_t bytes[VARINT_BYTES_MAX];

    buffer_put(b, bytes, (size_t)(varint_put(bytes, value) - bytes));
}

/* Fails the reader on a form longer than needed, so that one value has one encoding. */
static inline uint64_t reader_varint(struct reader *r)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = reader_u8(r);

        if ((byte == 0 && shift > 0) || (shift == 63 && byte > 1)) {
            break;
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return r->failed ? 0 : value;
        }
    }
    r->failed = true;
    return 0;
}

#endif
