/* SPDX-License-Identifier: Apache-2.0 */
#include "node/batch.h"

#include "base/assert.h"
#include "base/heap.h"

static struct batch *batch_new(size_t count, raft_index first_index)
{
    struct batch *b = heap_new(struct batch);

    PRE(count > 0);
    atomic_init(&b->references, 1);
    b->count = count;
    b->first_index = first_index;
    b->last_index = first_index + count - 1;
    b->records = heap_alloc(count * sizeof b->records[0]);
    b->offsets = heap_alloc(count * sizeof b->offsets[0]);
    return b;
}

struct batch *batch_seal(struct buffer *bytes, const size_t *offsets, size_t count, raft_term term,
                         raft_index first_index)
{
    struct batch *b = batch_new(count, first_index);

    b->bytes = *bytes;
    *bytes = (struct buffer)BUFFER_INIT;
    for (size_t i = 0; i < count; i++) {
        size_t end = i + 1 < count ? offsets[i + 1] : b->bytes.size;
        size_t size = end - offsets[i];

        INVARIANT(size >= ENTRY_HEADER_BYTES);
        entry_seal(b->bytes.data + offsets[i], term, first_index + i, size - ENTRY_HEADER_BYTES);
        b->offsets[i] = offsets[i];
        b->records[i] = (struct storage_record){ first_index + i, term, (uint32_t)size };
    }
    return b;
}

struct batch *batch_copy(const struct entry *entries, size_t count)
{
    struct batch *b = batch_new(count, entries[0].index);
    const uint8_t *start = entries[0].command.data - ENTRY_HEADER_BYTES;
    size_t offset = 0;

    for (size_t i = 0; i < count; i++) {
        size_t size = entry_size(&entries[i]);

        b->offsets[i] = offset;
        b->records[i] = (struct storage_record){ entries[i].index, entries[i].term,
                                                 (uint32_t)size };
        offset += size;
    }
    buffer_put(&b->bytes, start, offset);
    return b;
}

struct batch *batch_ref(struct batch *b)
{
    atomic_fetch_add_explicit(&b->references, 1, memory_order_relaxed);
    return b;
}

void batch_unref(void *batch)
{
    struct batch *b = batch;

    if (b == NULL || atomic_fetch_sub_explicit(&b->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    buffer_release(&b->bytes);
    heap_free(b->records);
    heap_free(b->offsets);
    heap_free(b);
}

struct slice batch_range(const struct batch *b, raft_index first, raft_index last)
{
    size_t start;
    size_t end;

    PRE(b->first_index <= first && first <= last && last <= b->last_index);
    start = b->offsets[first - b->first_index];
    end = last == b->last_index ? b->bytes.size : b->offsets[last + 1 - b->first_index];
    return slice_of(b->bytes.data + start, end - start);
}
