/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes: a borrowed slice, a growing buffer, a bounded reader.
 *
 * All integers on disk and between peers are big-endian.  A reader never goes
 * past its end: a failed read sets `failed`, returns zero, and every later read
 * fails too, so a decoder checks once at its end.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/status.h"

/* ---- Slice: borrowed bytes, not NUL-terminated ---- */

struct slice {
    const uint8_t *data; /* may be NULL when size is 0 */
    size_t size;
};

#define SLICE_NONE ((struct slice){ NULL, 0 })

static inline struct slice slice_of(const void *data, size_t size)
{
    return (struct slice){ (const uint8_t *)data, size };
}

static inline struct slice slice_of_text(const char *text)
{
    return slice_of(text, strlen(text));
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Byte order, shorter first on a tie: git's order of ref names. */
int slice_compare(struct slice a, struct slice b);

bool slice_has_prefix(struct slice a, struct slice prefix);

/* ---- Buffer: owns its bytes, grows by doubling ---- */

struct buffer {
    uint8_t *data; /* NULL when capacity is 0 */
    size_t size;
    size_t capacity;
};

/* clang-format off */
#define BUFFER_INIT { NULL, 0, 0 }
/* clang-format on */

/* Frees the bytes; the buffer is empty and usable again.  Accepts an empty one. */
void buffer_release(struct buffer *b);

/* Makes room for `extra` more bytes.  Errors: NOMEM (unchanged). */
enum rk_status buffer_reserve(struct buffer *b, size_t extra) MUST_USE;

/* The put functions append.  They abort on exhausted memory (see STYLE.md: a node that
 * cannot hold a bounded message cannot go on); every caller bounds `size` beforehand. */
void buffer_put(struct buffer *b, const void *data, size_t size);
void buffer_put_slice(struct buffer *b, struct slice s);
void buffer_put_u8(struct buffer *b, uint8_t value);
void buffer_put_u16(struct buffer *b, uint16_t value);
void buffer_put_u32(struct buffer *b, uint32_t value);
void buffer_put_u64(struct buffer *b, uint64_t value);
void buffer_put_string(struct buffer *b, struct slice s); /* u32 length, bytes */
void buffer_put_text(struct buffer *b, const char *text); /* u8 length, bytes; PRE: <= 255 */
void buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Removes `size` bytes from the front. */
void buffer_consume(struct buffer *b, size_t size);

static inline void buffer_clear(struct buffer *b)
{
    b->size = 0;
}

static inline struct slice buffer_slice(const struct buffer *b)
{
    return slice_of(b->data, b->size);
}

/* ---- Reader ---- */

struct reader {
    const uint8_t *data;
    size_t size;
    size_t offset;
    bool failed;
};

static inline struct reader reader_of(struct slice s)
{
    return (struct reader){ s.data, s.size, 0, false };
}

uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
struct slice reader_bytes(struct reader *r, size_t size);            /* borrowed from the input */
struct slice reader_string(struct reader *r, size_t size_bytes_max); /* u32 length, bytes */

/* What buffer_put_text() wrote, NUL-terminated; longer text or a NUL inside fails the reader. */
void reader_text(struct reader *r, char *ret_text, size_t size_bytes_max);

static inline size_t reader_left(const struct reader *r)
{
    return r->failed ? 0 : r->size - r->offset;
}

/* True when nothing failed and nothing is left. */
static inline bool reader_done(const struct reader *r)
{
    return !r->failed && r->offset == r->size;
}

/* ---- Fixed-width big-endian, for records with known layout ---- */

static inline void put_be32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, 4);
}

static inline void put_be64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, 8);
}

static inline uint32_t get_be32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}

static inline uint64_t get_be64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the byte swaps assume it");

#endif
