/* SPDX-License-Identifier: Apache-2.0 */
#include "node/window.h"

#include "base/assert.h"
#include "base/heap.h"

void window_init(struct window *w, struct storage *storage)
{
    *w = (struct window){ .storage = storage };
}

static struct batch *window_at(const struct window *w, size_t i)
{
    return w->batches[(w->head + i) % w->capacity];
}

void window_clear(struct window *w)
{
    for (size_t i = 0; i < w->count; i++) {
        batch_unref(window_at(w, i));
    }
    w->head = w->count = 0;
    w->bytes = 0;
    w->cold_first = w->cold_last = 0;
}

void window_release(struct window *w)
{
    window_clear(w);
    heap_free(w->batches);
    buffer_release(&w->cold);
    w->batches = NULL;
    w->capacity = 0;
}

static void window_grow(struct window *w)
{
    size_t capacity = w->capacity == 0 ? 64 : 2 * w->capacity;
    struct batch **batches = heap_alloc(capacity * sizeof batches[0]);

    for (size_t i = 0; i < w->count; i++) {
        batches[i] = window_at(w, i);
    }
    heap_free(w->batches);
    w->batches = batches;
    w->capacity = capacity;
    w->head = 0;
}

void window_add(struct window *w, struct batch *b)
{
    PRE(w->count == 0 || window_at(w, w->count - 1)->last_index + 1 == b->first_index);
    if (w->count == w->capacity) {
        window_grow(w);
    }
    w->batches[(w->head + w->count) % w->capacity] = batch_ref(b);
    w->count++;
    w->bytes += b->bytes.size;
}

static void window_drop_first(struct window *w)
{
    struct batch *b = window_at(w, 0);

    w->bytes -= b->bytes.size;
    w->head = (w->head + 1) % w->capacity;
    w->count--;
    batch_unref(b);
}

void window_trim(struct window *w, raft_index durable)
{
    while (w->count > 0 && w->bytes > RECENT_BYTES_MAX && window_at(w, 0)->last_index <= durable) {
        window_drop_first(w);
    }
}

/* A batch cut in the middle is replaced by a copy of its front. */
static struct batch *batch_front(const struct batch *b, raft_index last)
{
    struct slice bytes = batch_range(b, b->first_index, last);
    size_t count = last + 1 - b->first_index;
    struct entry *entries = heap_alloc(count * sizeof entries[0]);
    struct batch *front;

    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct entry){
            .term = b->records[i].term,
            .index = b->records[i].index,
            .command = slice_of(bytes.data + b->offsets[i] + ENTRY_HEADER_BYTES,
                                b->records[i].size - ENTRY_HEADER_BYTES),
        };
    }
    front = batch_copy(entries, count);
    heap_free(entries);
    return front;
}

void window_truncate(struct window *w, raft_index from)
{
    w->cold_first = w->cold_last = 0;
    while (w->count > 0 && window_at(w, w->count - 1)->last_index >= from) {
        struct batch *b = window_at(w, w->count - 1);
        struct batch *front = b->first_index < from ? batch_front(b, from - 1) : NULL;

        w->count--;
        w->bytes -= b->bytes.size;
        batch_unref(b);
        if (front != NULL) {
            window_add(w, front);
            batch_unref(front);
        }
    }
}

struct batch *window_find(const struct window *w, raft_index index)
{
    size_t low = 0;
    size_t high = w->count;

    if (w->count == 0 || index < window_at(w, 0)->first_index) {
        return NULL;
    }
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (window_at(w, middle)->first_index <= index) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return window_at(w, low)->last_index >= index ? window_at(w, low) : NULL;
}

static enum rk_status window_read_cold(struct window *w, raft_index first, raft_index last,
                                       size_t bytes_max, struct errmsg *why)
{
    enum rk_status status;

    if (w->count > 0 && last >= window_at(w, 0)->first_index) {
        last = window_at(w, 0)->first_index - 1;
    }
    if (w->cold_first == first && w->cold_last != 0 && w->cold_last <= last &&
        w->cold.size <= bytes_max) {
        return RK_OK;
    }
    w->cold_first = w->cold_last = 0;
    buffer_clear(&w->cold);
    status = storage_read(w->storage, first, last, bytes_max, &w->cold, &w->cold_last, why);
    if (status == RK_OK) {
        w->cold_first = first;
    }
    return status;
}

enum rk_status window_read(struct window *w, raft_index first, raft_index last, size_t bytes_max,
                           struct slice *ret_bytes, raft_index *ret_last, struct errmsg *why)
{
    struct batch *b = window_find(w, first);
    enum rk_status status;

    PRE(first > 0 && first <= last);
    if (b != NULL) {
        *ret_last = last < b->last_index ? last : b->last_index;
        *ret_bytes = batch_range(b, first, *ret_last);
        return RK_OK;
    }
    status = window_read_cold(w, first, last, bytes_max, why);
    if (status == RK_OK) {
        *ret_last = w->cold_last;
        *ret_bytes = buffer_slice(&w->cold);
    }
    return status;
}

raft_index window_fit(struct window *w, raft_index first, raft_index last, uint64_t bytes_max,
                      uint64_t *ret_bytes)
{
    uint64_t bytes = 0;
    raft_index index = first;

    if (window_find(w, first) == NULL) {
        /* On disk: read now what will be sent next.  A failure shows again at sending. */
        if (window_read_cold(w, first, last, bytes_max, NULL) != RK_OK) {
            *ret_bytes = 0;
            return first;
        }
        *ret_bytes = w->cold.size;
        return w->cold_last;
    }
    while (index <= last) {
        struct batch *b = window_find(w, index);

        INVARIANT(b != NULL);
        for (size_t i = index - b->first_index; i < b->count && index <= last; i++, index++) {
            if (bytes > 0 && bytes + b->records[i].size > bytes_max) {
                *ret_bytes = bytes;
                return index - 1;
            }
            bytes += b->records[i].size;
        }
    }
    *ret_bytes = bytes;
    return last;
}
