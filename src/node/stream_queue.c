/* SPDX-License-Identifier: Apache-2.0 */
/* The output of a stream: own bytes and shared segments, in the order they were given. */
#include <sys/uio.h>

#include "base/assert.h"
#include "base/heap.h"
#include "node/stream_internal.h"

static size_t queue_tail_bytes(const struct stream_queue *q)
{
    return q->own.size - q->own_start - q->own_claimed;
}

size_t stream_queue_bytes(const struct stream_queue *q)
{
    return q->own.size - q->own_start + q->shared_bytes;
}

/* Pieces under construction. */
struct pieces {
    struct iovec *at;
    unsigned count, max;
};

/* False when there is no room for it. */
static bool put_piece(struct pieces *pieces, const uint8_t *data, size_t size)
{
    if (size == 0) {
        return true;
    }
    if (pieces->count == pieces->max) {
        return false;
    }
    /* The system call takes a pointer without const and does not write through it. */
    pieces->at[pieces->count++] = (struct iovec){ (void *)(uintptr_t)data, size };
    return true;
}

unsigned stream_queue_gather(const struct stream_queue *q, struct iovec *at, unsigned max)
{
    const uint8_t *own = q->own.size == 0 ? NULL : q->own.data + q->own_start;
    struct pieces pieces = { at, 0, max };

    for (size_t i = q->first; i < q->count; i++) {
        const struct stream_segment *segment = &q->segments[i];

        if (!put_piece(&pieces, own, segment->own_before) ||
            !put_piece(&pieces, segment->bytes.data, segment->bytes.size)) {
            return pieces.count;
        }
        own += segment->own_before;
    }
    put_piece(&pieces, own, queue_tail_bytes(q));
    return pieces.count;
}

void stream_queue_share(struct stream_queue *q, const struct stream_segment *segment)
{
    struct stream_segment *added;

    if (q->count == q->capacity && q->first > 0) {
        memmove(q->segments, q->segments + q->first, (q->count - q->first) * sizeof q->segments[0]);
        q->count -= q->first;
        q->first = 0;
    }
    if (q->count == q->capacity) {
        q->capacity = q->capacity == 0 ? 8 : q->capacity * 2;
        q->segments = heap_grow(q->segments, q->capacity * sizeof q->segments[0]);
    }
    added = &q->segments[q->count++];
    *added = *segment;
    added->own_before = queue_tail_bytes(q);
    q->own_claimed += added->own_before;
    q->shared_bytes += added->bytes.size;
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Drops what can be dropped of the segments; returns how many of the `size` bytes are left. */
static size_t advance_segments(struct stream_queue *q, size_t size)
{
    while (q->first < q->count) {
        struct stream_segment *head = &q->segments[q->first];
        size_t own = min_size(size, head->own_before);
        size_t shared = min_size(size - own, head->bytes.size);
        struct stream_segment done;

        head->own_before -= own;
        q->own_claimed -= own;
        q->own_start += own;
        head->bytes.data += shared;
        head->bytes.size -= shared;
        q->shared_bytes -= shared;
        size -= own + shared;
        if (head->own_before > 0 || head->bytes.size > 0) {
            return 0;
        }
        done = *head;
        q->first++;
        done.release(done.owner);
    }
    q->first = q->count = 0;
    return size;
}

void stream_queue_advance(struct stream_queue *q, size_t size, size_t bytes_kept)
{
    PRE(size <= stream_queue_bytes(q));
    q->own_start += advance_segments(q, size);
    if (q->own_start == q->own.size) {
        q->own_start = 0;
        buffer_clear(&q->own);
        if (q->own.capacity > bytes_kept) {
            buffer_release(&q->own);
        }
    } else if (q->own_start > q->own.size / 2) {
        /* More is dropped than moved. */
        buffer_consume(&q->own, q->own_start);
        q->own_start = 0;
    }
}

void stream_queue_release(struct stream_queue *q)
{
    for (size_t i = q->first; i < q->count; i++) {
        q->segments[i].release(q->segments[i].owner);
    }
    heap_free(q->segments);
    buffer_release(&q->own);
    *q = (struct stream_queue){ .own = BUFFER_INIT };
}
