/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proposals become entries at once, with contiguous indexes; they leave at the end of the
 * turn.  The uncommitted tail is bounded by bytes, so that a leader without a quorum does
 * not fill its disk.
 */
#include "base/assert.h"
#include "base/heap.h"
#include "raft/raft_internal.h"

static void uncommitted_push(struct raft *r, raft_index last_index, uint64_t bytes)
{
    size_t capacity = r->uncommitted_capacity;

    if (r->uncommitted_count == capacity) {
        size_t wider = capacity == 0 ? 64 : 2 * capacity;
        struct raft_uncommitted *ring = heap_alloc(wider * sizeof *ring);

        for (size_t i = 0; i < r->uncommitted_count; i++) {
            ring[i] = r->uncommitted[(r->uncommitted_first + i) % capacity];
        }
        heap_free(r->uncommitted);
        r->uncommitted = ring;
        r->uncommitted_first = 0;
        r->uncommitted_capacity = wider;
    }
    r->uncommitted[(r->uncommitted_first + r->uncommitted_count) % r->uncommitted_capacity] =
        (struct raft_uncommitted){ last_index, bytes };
    r->uncommitted_count++;
    r->uncommitted_bytes += bytes;
}

void proposals_submit(struct raft *r, uint32_t count, uint64_t bytes)
{
    uint64_t bytes_max = r->config.uncommitted_bytes_max;

    PRE(count > 0);
    if (r->role != RAFT_LEADER || raft_holds_proposals(r)) {
        r->effects->submit_status = RK_NOLEADER;
        return;
    }
    if (r->uncommitted_bytes > 0 &&
        (bytes > bytes_max || r->uncommitted_bytes > bytes_max - bytes)) {
        r->effects->submit_status = RK_OVERLOADED;
        return;
    }
    if (!members_have_space(r)) {
        r->effects->submit_status = RK_NOSPACE;
        return;
    }
    log_append_own(r, RAFT_APPEND_PROPOSALS, count);
    uncommitted_push(r, r->trail.last_index, bytes);
}

void proposals_committed(struct raft *r)
{
    while (r->uncommitted_count > 0 &&
           r->uncommitted[r->uncommitted_first].last_index <= r->commit_index) {
        r->uncommitted_bytes -= r->uncommitted[r->uncommitted_first].bytes;
        r->uncommitted_first = (r->uncommitted_first + 1) % r->uncommitted_capacity;
        r->uncommitted_count--;
    }
}

void proposals_clear(struct raft *r)
{
    r->uncommitted_first = 0;
    r->uncommitted_count = 0;
    r->uncommitted_bytes = 0;
}
