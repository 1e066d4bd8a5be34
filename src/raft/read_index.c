/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ReadIndex: linearizable reads without writing to the log [thesis 6.4].
 *
 * The leader notes its commit index, and answers when a quorum has confirmed a round of
 * heartbeats begun afterwards.  Rounds are numbered by the leader within its term; an echo
 * confirms all rounds up to its number, so nothing is ever sent twice under one name.
 * A follower asks the leader, and reads its own state once applied that far.
 *
 * While it has a lease (lease.c) the leader answers without a round.
 */
#include <string.h>

#include "base/assert.h"
#include "base/heap.h"
#include "base/teeth.h"
#include "raft/raft_internal.h"

static void pending_push(struct raft *r, struct raft_pending_read read)
{
    if (r->read_count == r->read_capacity) {
        r->read_capacity = r->read_capacity == 0 ? 64 : 2 * r->read_capacity;
        r->reads = heap_grow(r->reads, r->read_capacity * sizeof *r->reads);
    }
    read.since_ms = r->now_ms;
    r->reads[r->read_count++] = read;
}

static void pending_drop(struct raft *r, size_t first, size_t count)
{
    if (count == 0) {
        return;
    }
    r->read_count -= count;
    memmove(r->reads + first, r->reads + first + count, (r->read_count - first) * sizeof *r->reads);
}

static void answer(struct raft *r, const struct raft_pending_read *read, bool is_ok)
{
    struct raft_send *send;

    if (read->from == 0) {
        effects_read(r, read->token, is_ok ? RK_OK : RK_NOLEADER, is_ok ? read->read_index : 0);
        return;
    }
    send = effects_send(r, read->from, MESSAGE_READ_INDEX_REPLY);
    send->message.u.read_index_reply.token = read->token;
    send->message.u.read_index_reply.is_ok = is_ok;
    send->message.u.read_index_reply.read_index = is_ok ? read->read_index : 0;
}

/*
 * Until an entry of its own term is committed the leader may not know all that is
 * [thesis 6.4 step 1]; the read then waits for that entry, and is served no earlier.
 */
static void leader_begin(struct raft *r, uint64_t token, node_id from)
{
    pending_push(r, (struct raft_pending_read){
                        .token = token,
                        .from = from,
                        .sequence = r->read_sequence + 1,
                        .read_index = r->commit_index > r->term_start_index ? r->commit_index
                                                                            : r->term_start_index,
                    });
    r->is_round_due = true;
    reads_release(r); /* at once when this node is a quorum, or has a lease */
}

void reads_begin(struct raft *r, uint64_t token)
{
    struct raft_send *send;

    if (r->read_count >= READS_PENDING_MAX) {
        effects_read(r, token, RK_OVERLOADED, 0);
    } else if (r->role == RAFT_LEADER) {
        leader_begin(r, token, 0);
    } else if (r->leader == 0) {
        effects_read(r, token, RK_NOLEADER, 0);
    } else {
        r->wire_token += r->wire_token == UINT64_MAX ? 2 : 1; /* never 0 */
        pending_push(r, (struct raft_pending_read){ .token = token, .wire_token = r->wire_token });
        send = effects_send(r, r->leader, MESSAGE_READ_INDEX);
        send->message.u.read_index.token = r->wire_token;
    }
}

void receive_read_index(struct raft *r, const struct message *m)
{
    struct raft_pending_read refused = { .token = m->u.read_index.token, .from = m->from };

    if (r->role != RAFT_LEADER || m->term < r->hard_state.current_term ||
        r->read_count >= READS_PENDING_MAX) {
        raft_trace(r, "read_index from %" PRIu64 " -> refuse", m->from);
        answer(r, &refused, false);
        return;
    }
    leader_begin(r, m->u.read_index.token, m->from);
}

void receive_read_index_reply(struct raft *r, const struct message *m)
{
    for (size_t i = 0; i < r->read_count; i++) {
        struct raft_pending_read read = r->reads[i];

        if (read.wire_token != 0 && read.wire_token == m->u.read_index_reply.token) {
            read.read_index = m->u.read_index_reply.read_index;
            pending_drop(r, i, 1);
            answer(r, &read, m->u.read_index_reply.is_ok);
            return;
        }
    }
}

void reads_release(struct raft *r)
{
    bool has_lease = lease_is_held(r);
    uint64_t confirmed;
    size_t count = 0;

    if (r->role != RAFT_LEADER || r->read_count == 0 || r->commit_index < r->term_start_index) {
        return;
    }
    confirmed = has_lease || TOOTH(READ_WITHOUT_QUORUM) ? UINT64_MAX
                                                        : members_quorum(r, members_value_read);
    while (count < r->read_count && r->reads[count].sequence <= confirmed) {
        if (has_lease) {
            raft_trace(r, "read at %" PRIu64 " confirmed by the lease", r->reads[count].read_index);
        } else {
            raft_trace(r, "read at %" PRIu64 " confirmed by round %" PRIu64,
                       r->reads[count].read_index, r->reads[count].sequence);
        }
        answer(r, &r->reads[count], true);
        count++;
    }
    *(has_lease ? &r->reads_by_lease : &r->reads_by_round) += count;
    pending_drop(r, 0, count);
    r->is_round_due = r->is_round_due && r->read_count > 0;
}

void reads_fail(struct raft *r)
{
    for (size_t i = 0; i < r->read_count; i++) {
        answer(r, &r->reads[i], false);
    }
    r->read_count = 0;
    r->is_round_due = false;
}

time_ms reads_deadline_ms(const struct raft *r)
{
    if (r->role == RAFT_LEADER || r->read_count == 0) {
        return INT64_MAX;
    }
    return r->reads[0].since_ms + 2 * r->config.election_timeout_ms;
}

void reads_expire(struct raft *r)
{
    size_t count = 0;

    while (r->role != RAFT_LEADER && count < r->read_count &&
           r->now_ms - r->reads[count].since_ms >= 2 * r->config.election_timeout_ms) {
        answer(r, &r->reads[count], false);
        count++;
    }
    pending_drop(r, 0, count);
}
