/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/frame.h"

#include "base/assert.h"
#include "base/crc.h"

#define LENGTH_OFFSET 0
#define TYPE_OFFSET 4
#define FLAGS_OFFSET 5
#define HEAD_OFFSET 6
#define CRC_OFFSET 8

static unsigned get_head(const uint8_t *header)
{
    return (unsigned)header[HEAD_OFFSET] << 8 | header[HEAD_OFFSET + 1];
}

/* Whether the fields of a header fit each other; its CRC is not known yet. */
static bool header_is_good(const uint8_t *header)
{
    uint32_t length = get_be32(header + LENGTH_OFFSET);
    uint8_t type = header[TYPE_OFFSET];
    uint8_t flags = header[FLAGS_OFFSET];
    unsigned head = get_head(header);

    if (length > FRAME_BYTES_MAX || type < FRAME_HELLO || type > FRAME_DIGEST) {
        return false;
    }
    if ((type == FRAME_HELLO || type == FRAME_HELLO_REFUSED) && length > HELLO_BYTES_MAX) {
        return false;
    }
    if (flags == FRAME_ENTRIES) {
        return type == FRAME_MESSAGE && head > 0 && head < length;
    }
    return flags == 0 && head == 0;
}

enum frame_verdict frame_decode(struct slice input, struct frame *ret_frame, size_t *ret_used,
                                size_t *ret_need)
{
    const uint8_t *header = input.data;
    struct slice payload;
    uint32_t length, crc;

    if (input.size < FRAME_HEADER_BYTES) {
        *ret_need = FRAME_HEADER_BYTES;
        return FRAME_SHORT;
    }
    if (!header_is_good(header)) {
        return FRAME_BAD;
    }
    length = get_be32(header + LENGTH_OFFSET);
    if (input.size - FRAME_HEADER_BYTES < length) {
        *ret_need = FRAME_HEADER_BYTES + (size_t)length;
        return FRAME_SHORT;
    }
    payload = slice_of(header + FRAME_HEADER_BYTES, length);
    crc = crc_add(0, slice_of(header, CRC_OFFSET));
    crc = crc_add(crc,
                  slice_of(payload.data, header[FLAGS_OFFSET] != 0 ? get_head(header) : length));
    if (crc != get_be32(header + CRC_OFFSET)) {
        return FRAME_BAD;
    }
    ret_frame->type = (enum frame_type)header[TYPE_OFFSET];
    ret_frame->flags = header[FLAGS_OFFSET];
    ret_frame->payload = payload;
    *ret_used = FRAME_HEADER_BYTES + (size_t)length;
    return FRAME_GOOD;
}

size_t frame_begin(struct buffer *out, enum frame_type type)
{
    uint8_t header[FRAME_HEADER_BYTES] = { 0 };
    size_t start = out->size;

    header[TYPE_OFFSET] = (uint8_t)type;
    buffer_put(out, header, sizeof header);
    return start;
}

/* `crc` continues over what is in `out`, then over `tail`. */
static void finish(struct buffer *out, size_t start, size_t tail_bytes, struct slice tail)
{
    uint8_t *header = out->data + start;
    size_t head = out->size - start - FRAME_HEADER_BYTES;
    uint32_t crc;

    PRE(head + tail_bytes <= FRAME_BYTES_MAX);
    put_be32(header + LENGTH_OFFSET, (uint32_t)(head + tail_bytes));
    crc = crc_add(0, slice_of(header, CRC_OFFSET));
    crc = crc_add(crc, slice_of(header + FRAME_HEADER_BYTES, head));
    put_be32(header + CRC_OFFSET, crc_add(crc, tail));
}

void frame_end(struct buffer *out, size_t start)
{
    finish(out, start, 0, SLICE_NONE);
}

void frame_end_with_tail(struct buffer *out, size_t start, struct slice tail)
{
    finish(out, start, tail.size, tail);
}

void frame_end_with_entries(struct buffer *out, size_t start, size_t tail_bytes)
{
    uint8_t *header = out->data + start;
    size_t head = out->size - start - FRAME_HEADER_BYTES;

    PRE(header[TYPE_OFFSET] == FRAME_MESSAGE);
    PRE(head > 0 && head <= UINT16_MAX);
    if (tail_bytes > 0) {
        header[FLAGS_OFFSET] = FRAME_ENTRIES;
        header[HEAD_OFFSET] = (uint8_t)(head >> 8);
        header[HEAD_OFFSET + 1] = (uint8_t)head;
    }
    finish(out, start, tail_bytes, SLICE_NONE);
}
