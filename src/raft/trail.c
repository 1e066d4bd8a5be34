/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/trail.h"

#include <string.h>

#include "base/assert.h"
#include "base/heap.h"

void trail_init(struct trail *t, raft_index base_index, raft_term base_term)
{
    *t = (struct trail){ .base_index = base_index,
                         .base_term = base_term,
                         .last_index = base_index };
}

void trail_release(struct trail *t)
{
    heap_free(t->runs);
    *t = (struct trail){ 0 };
}

/* The slot of the run holding `index`.  PRE: base_index < index <= last_index. */
static size_t run_of(const struct trail *t, raft_index index)
{
    size_t low = 0;
    size_t high = t->run_count;

    PRE(index > t->base_index && index <= t->last_index);
    if (t->runs[high - 1].first_index <= index) {
        return high - 1; /* nearly every question is about the newest run */
    }
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (t->runs[middle].first_index <= index) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

void trail_append(struct trail *t, raft_term term, uint64_t count)
{
    PRE(term > 0);
    PRE(term >= trail_last_term(t));
    if (count == 0) {
        return;
    }
    if (t->run_count == 0 || t->runs[t->run_count - 1].term != term) {
        if (t->run_count == t->run_capacity) {
            t->run_capacity = t->run_capacity == 0 ? 16 : 2 * t->run_capacity;
            t->runs = heap_grow(t->runs, t->run_capacity * sizeof *t->runs);
        }
        t->runs[t->run_count++] = (struct raft_run){ t->last_index + 1, term };
    }
    t->last_index += count;
}

void trail_truncate(struct trail *t, raft_index from)
{
    PRE(from > t->base_index);
    if (from > t->last_index) {
        return;
    }
    t->last_index = from - 1;
    while (t->run_count > 0 && t->runs[t->run_count - 1].first_index >= from) {
        t->run_count--;
    }
}

void trail_trim(struct trail *t, raft_index first)
{
    raft_term base_term;
    size_t slot;

    PRE(first <= t->last_index + 1);
    if (first <= t->base_index + 1) {
        return;
    }
    base_term = trail_term_at(t, first - 1);
    slot = first > t->last_index ? t->run_count : run_of(t, first);
    t->run_count -= slot;
    memmove(t->runs, t->runs + slot, t->run_count * sizeof *t->runs);
    if (t->run_count > 0) {
        t->runs[0].first_index = first;
    }
    t->base_index = first - 1;
    t->base_term = base_term;
}

void trail_reset(struct trail *t, raft_index index, raft_term term)
{
    t->run_count = 0;
    t->base_index = index;
    t->base_term = term;
    t->last_index = index;
}

raft_term trail_term_at(const struct trail *t, raft_index index)
{
    if (index == t->base_index) {
        return t->base_term;
    }
    if (index < t->base_index || index > t->last_index) {
        return 0;
    }
    return t->runs[run_of(t, index)].term;
}

raft_term trail_last_term(const struct trail *t)
{
    return t->run_count > 0 ? t->runs[t->run_count - 1].term : t->base_term;
}

bool trail_matches(const struct trail *t, raft_index index, raft_term term)
{
    if (index == 0) {
        return term == 0;
    }
    return term != 0 && trail_term_at(t, index) == term;
}

raft_index trail_find_term_at_most(const struct trail *t, raft_index index, raft_term term)
{
    if (index > t->last_index) {
        index = t->last_index;
    }
    if (index > t->base_index) {
        size_t slot = run_of(t, index);

        if (t->runs[slot].term <= term) {
            return index;
        }
        while (slot > 0 && t->runs[slot - 1].term > term) {
            slot--;
        }
        if (slot > 0) {
            return t->runs[slot].first_index - 1;
        }
        index = t->base_index;
    }
    if (index == 0) {
        return 0;
    }
    if (index == t->base_index && t->base_term != 0 && t->base_term <= term) {
        return index;
    }
    return index == t->base_index ? index - 1 : index;
}

void trail_check(const struct trail *t)
{
    INVARIANT(t->base_index <= t->last_index);
    INVARIANT((t->run_count == 0) == (t->base_index == t->last_index));
    INVARIANT(t->run_count == 0 || t->runs[0].first_index == t->base_index + 1);
    INVARIANT(t->run_count == 0 || t->runs[0].term >= t->base_term);
    for (size_t i = 0; i < t->run_count; i++) {
        INVARIANT(t->runs[i].first_index <= t->last_index);
        INVARIANT(i == 0 || t->runs[i - 1].first_index < t->runs[i].first_index);
        INVARIANT(i == 0 || t->runs[i - 1].term < t->runs[i].term);
    }
}
