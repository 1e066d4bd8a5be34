/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of frames, whole and byte by byte: both ways of arriving give the same verdict. */
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

#include "base/assert.h"
#include "base/heap.h"
#include "wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD_OFFSET 6
#define CRC_OFFSET 8

static void encode(struct buffer *out, const struct frame *frame, size_t head)
{
    size_t start = frame_begin(out, frame->type);

    if (frame->flags == FRAME_ENTRIES) {
        size_t tail_bytes = frame->payload.size - head;

        buffer_put(out, frame->payload.data, head);
        frame_end_with_entries(out, start, tail_bytes);
        buffer_put(out, frame->payload.data + head, tail_bytes);
    } else {
        buffer_put_slice(out, frame->payload);
        frame_end(out, start);
    }
}

/* Bytes in the order in which a connection would deliver them. */
static void drip(struct slice input, enum frame_verdict expected)
{
    for (size_t size = 0; size < input.size; size++) {
        struct frame frame;
        size_t used, need = 0;
        enum frame_verdict verdict = frame_decode(slice_of(input.data, size), &frame, &used, &need);

        if (verdict == FRAME_BAD) {
            INVARIANT(expected == FRAME_BAD);
            return;
        }
        INVARIANT(verdict == FRAME_SHORT && need > size);
    }
}

static void walk(struct slice input)
{
    struct buffer again = BUFFER_INIT;
    struct slice rest = input;
    struct frame frame;
    size_t used = 0, need = 0;
    enum frame_verdict verdict;

    while ((verdict = frame_decode(rest, &frame, &used, &need)) == FRAME_GOOD) {
        size_t head = (size_t)rest.data[HEAD_OFFSET] << 8 | rest.data[HEAD_OFFSET + 1];

        INVARIANT(used <= rest.size && frame.payload.size <= FRAME_BYTES_MAX);
        buffer_clear(&again);
        encode(&again, &frame, head);
        INVARIANT(slice_equal(buffer_slice(&again), slice_of(rest.data, used)));
        if (used < 4096) {
            drip(slice_of(rest.data, used), verdict);
        }
        rest = slice_of(rest.data + used, rest.size - used);
    }
    if (verdict == FRAME_SHORT) {
        INVARIANT(need > rest.size && need <= FRAME_HEADER_BYTES + FRAME_BYTES_MAX);
    }
    buffer_release(&again);
}

/* A mutation hardly ever has a good CRC: give the first frame one. */
static void seal_first(uint8_t *data, size_t size)
{
    size_t covered;
    uLong crc;

    if (size < FRAME_HEADER_BYTES) {
        return;
    }
    covered = get_be32(data);
    if (data[HEAD_OFFSET - 1] != 0) {
        covered = (size_t)data[HEAD_OFFSET] << 8 | data[HEAD_OFFSET + 1];
    }
    if (covered <= size - FRAME_HEADER_BYTES) {
        crc = crc32(crc32(0, data, CRC_OFFSET), data + FRAME_HEADER_BYTES, (uInt)covered);
        put_be32(data + CRC_OFFSET, (uint32_t)crc);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = heap_copy(data, size);

    walk(slice_of(data, size));
    seal_first(copy, size);
    walk(slice_of(copy, size));
    heap_free(copy);
    return 0;
}
