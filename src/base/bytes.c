/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/heap.h"

int slice_compare(struct slice a, struct slice b)
{
    size_t shorter = a.size < b.size ? a.size : b.size;
    int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);

    if (order != 0) {
        return order;
    }
    return a.size < b.size ? -1 : a.size > b.size;
}

bool slice_has_prefix(struct slice a, struct slice prefix)
{
    return a.size >= prefix.size &&
           (prefix.size == 0 || memcmp(a.data, prefix.data, prefix.size) == 0);
}

void buffer_release(struct buffer *b)
{
    heap_free(b->data);
    *b = (struct buffer)BUFFER_INIT;
}

enum rk_status buffer_reserve(struct buffer *b, size_t extra)
{
    size_t capacity = b->capacity == 0 ? 64 : b->capacity;
    uint8_t *data;

    if (extra > SIZE_MAX / 2 - b->size) {
        return RK_NOMEM;
    }
    if (b->size + extra <= b->capacity) {
        return RK_OK;
    }
    while (capacity < b->size + extra) {
        capacity *= 2;
    }
    data = heap_resize(b->data, capacity);
    if (data == NULL) {
        return RK_NOMEM;
    }
    b->data = data;
    b->capacity = capacity;
    return RK_OK;
}

static uint8_t *buffer_extend(struct buffer *b, size_t size)
{
    uint8_t *end;

    if (buffer_reserve(b, size) != RK_OK) {
        heap_exhausted(size);
    }
    end = b->data + b->size;
    b->size += size;
    return end;
}

void buffer_put(struct buffer *b, const void *data, size_t size)
{
    if (size > 0) {
        memcpy(buffer_extend(b, size), data, size);
    }
}

void buffer_put_slice(struct buffer *b, struct slice s)
{
    buffer_put(b, s.data, s.size);
}

void buffer_put_u8(struct buffer *b, uint8_t value)
{
    *buffer_extend(b, 1) = value;
}

void buffer_put_u16(struct buffer *b, uint16_t value)
{
    uint8_t *p = buffer_extend(b, 2);

    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

void buffer_put_u32(struct buffer *b, uint32_t value)
{
    put_be32(buffer_extend(b, 4), value);
}

void buffer_put_u64(struct buffer *b, uint64_t value)
{
    put_be64(buffer_extend(b, 8), value);
}

void buffer_put_string(struct buffer *b, struct slice s)
{
    buffer_put_u32(b, (uint32_t)s.size);
    buffer_put_slice(b, s);
}

void buffer_put_text(struct buffer *b, const char *text)
{
    size_t size = strlen(text);

    PRE(size <= UINT8_MAX);
    buffer_put_u8(b, (uint8_t)size);
    buffer_put(b, text, size);
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
    va_list args;
    int size;

    va_start(args, format);
    size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size <= 0) {
        return;
    }
    /* One byte more for the NUL that vsnprintf insists on; it is not counted. */
    if (buffer_reserve(b, (size_t)size + 1) != RK_OK) {
        heap_exhausted((size_t)size + 1);
    }
    va_start(args, format);
    vsnprintf((char *)b->data + b->size, (size_t)size + 1, format, args);
    va_end(args);
    b->size += (size_t)size;
}

void buffer_consume(struct buffer *b, size_t size)
{
    b->size -= size;
    if (b->size > 0) {
        memmove(b->data, b->data + size, b->size);
    }
}

static const uint8_t *reader_advance(struct reader *r, size_t size)
{
    const uint8_t *p;

    if (r->failed || r->size - r->offset < size) {
        r->failed = true;
        return NULL;
    }
    p = r->data + r->offset;
    r->offset += size;
    return p;
}

uint8_t reader_u8(struct reader *r)
{
    const uint8_t *p = reader_advance(r, 1);

    return p == NULL ? 0 : p[0];
}

uint16_t reader_u16(struct reader *r)
{
    const uint8_t *p = reader_advance(r, 2);

    return p == NULL ? 0 : (uint16_t)(p[0] << 8 | p[1]);
}

uint32_t reader_u32(struct reader *r)
{
    const uint8_t *p = reader_advance(r, 4);

    return p == NULL ? 0 : get_be32(p);
}

uint64_t reader_u64(struct reader *r)
{
    const uint8_t *p = reader_advance(r, 8);

    return p == NULL ? 0 : get_be64(p);
}

struct slice reader_bytes(struct reader *r, size_t size)
{
    const uint8_t *p = reader_advance(r, size);

    return p == NULL ? SLICE_NONE : slice_of(p, size);
}

struct slice reader_string(struct reader *r, size_t size_bytes_max)
{
    uint32_t size = reader_u32(r);

    if (size > size_bytes_max) {
        r->failed = true;
        return SLICE_NONE;
    }
    return reader_bytes(r, size);
}

void reader_text(struct reader *r, char *ret_text, size_t size_bytes_max)
{
    struct slice text = reader_bytes(r, reader_u8(r));

    if (text.size > size_bytes_max ||
        (text.size > 0 && memchr(text.data, '\0', text.size) != NULL)) {
        r->failed = true;
        text = SLICE_NONE;
    }
    if (text.size > 0) {
        memcpy(ret_text, text.data, text.size);
    }
    ret_text[text.size] = '\0';
}
