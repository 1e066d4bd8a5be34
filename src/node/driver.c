/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order contract of raft.h, carried out: what must be durable goes to the writer first,
 * then messages leave as their need allows, then commits, reads and snapshots follow.
 */
#include "base/heap.h"
#include "base/teeth.h"
#include "node/node_internal.h"
#include "sys/clock.h"

/* The batch of entries this step appends. */
static struct batch *new_entries(struct node *n, const struct raft_event *event)
{
    const struct raft_effects *e = &n->effects;
    static const uint8_t room[ENTRY_HEADER_BYTES];
    struct buffer bytes = BUFFER_INIT;
    size_t offset = 0;

    if (e->append_kind == RAFT_APPEND_PROPOSALS) {
        return proposals_seal(n, e->append_term, e->append_first);
    }
    if (e->append_kind == RAFT_APPEND_RECEIVED) {
        const struct message *m = event->u.receive;
        size_t skipped = e->append_first - (m->u.append_entries.prev_log_index + 1);

        return batch_copy(m->u.append_entries.entries + skipped,
                          e->append_last + 1 - e->append_first);
    }
    buffer_put(&bytes, room, sizeof room);
    if (e->append_kind == RAFT_APPEND_BOOTSTRAP || e->append_kind == RAFT_APPEND_MEMBERSHIP) {
        command_encode_membership(&bytes, raft_membership(n->raft));
    } else {
        command_encode_noop(&bytes);
    }
    return batch_seal(&bytes, &offset, 1, e->append_term, e->append_first);
}

static void persist(struct node *n, const struct raft_event *event)
{
    const struct raft_effects *e = &n->effects;

    if (e->has_hard_state) {
        n->state.current_term = e->hard_state.current_term;
        n->state.voted_for = e->hard_state.voted_for;
        n->state.promised_ms = (uint32_t)e->hard_state.promised_ms;
        n->state_generation = e->hard_state_generation;
        n->is_empty = false;
        writer_save_state(n->writer, &n->state, n->state_generation);
    }
    if (e->truncate_from != 0) {
        writer_truncate(n->writer, e->truncate_from);
        window_truncate(&n->window, e->truncate_from);
        if (n->durable_index >= e->truncate_from) {
            n->durable_index = e->truncate_from - 1;
        }
    }
    if (e->append_kind != RAFT_APPEND_NONE) {
        struct batch *b = new_entries(n, event);

        n->is_empty = false;
        window_add(&n->window, b);
        writer_append(n->writer, b);
        batch_unref(b);
    }
}

static bool is_durable(const struct node *n, const struct raft_need *need)
{
    return need->hard_state_generation <= n->durable_generation &&
           (need->log_index <= n->durable_index);
}

static void send_when_durable(struct node *n, const struct raft_send *s)
{
    if (is_durable(n, &s->need)) {
        send_message(n, &s->message);
        return;
    }
    if (n->held_count == n->held_capacity) {
        n->held_capacity = n->held_capacity == 0 ? 16 : 2 * n->held_capacity;
        n->held = heap_grow(n->held, n->held_capacity * sizeof n->held[0]);
    }
    n->held[n->held_count++] = *s;
}

/* A message of an older term, or about an entry that was replaced since, has no meaning. */
void driver_release_held(struct node *n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n->held_count; i++) {
        struct raft_send s = n->held[i];

        if (s.message.term < raft_current_term(n->raft) ||
            (s.need.log_index != 0 && raft_term_at(n->raft, s.need.log_index) != s.need.log_term)) {
            continue;
        }
        if (is_durable(n, &s.need)) {
            send_message(n, &s.message);
        } else {
            n->held[kept++] = s;
        }
    }
    n->held_count = kept;
}

static void note_role(struct node *n)
{
    struct raft_status status;

    raft_get_status(n->raft, &status);
    if (status.leader != n->seen_leader && status.leader != 0) {
        const struct member *leader = membership_find(raft_membership(n->raft), status.leader);

        proposals_led_by(n, status.leader);
        n->leader_changes_total++;
        n->cluster_base_ms = node_cluster_ms(n);
        n->cluster_heard_ms = clock_monotonic_ms();
        node_log(n, NODE_LOG_INFO, "%s leads in term %llu", leader == NULL ? "?" : leader->name,
                 (unsigned long long)status.current_term);
    }
    if (status.role != n->seen_role) {
        node_log(n, NODE_LOG_INFO, "%s -> %s, term %llu", raft_role_name(n->seen_role),
                 raft_role_name(status.role), (unsigned long long)status.current_term);
    }
    n->seen_leader = status.leader;
    n->seen_role = status.role;
    n->has_more = true; /* held proposals and reads may go now */
}

struct raft_event driver_event(const struct node *n, enum raft_event_type type)
{
    time_ms now_ms = clock_monotonic_ms();

    return (struct raft_event){
        .type = type,
        .now_ms = now_ms,
        .steady_ms = TOOTH(LEASE_ON_WALL_CLOCK) && raft_role_of(n->raft) == RAFT_LEADER
                         ? clock_wall_ms()
                         : clock_steady_ms(),
        .disk_age_ms = writer_age_ms(n->writer, now_ms),
    };
}

void driver_step(struct node *n, const struct raft_event *event)
{
    struct raft_effects *e = &n->effects;
    struct raft_event now = *event;

    now.is_disk_full = storage_is_short_of_space(n->storage);
    raft_step(n->raft, &now, e);
    if (e->halt != NULL) {
        node_halt(n, 1, "the log contradicts the cluster's: %s", e->halt);
        return;
    }
    persist(n, event);
    for (size_t i = 0; i < e->send_count; i++) {
        send_when_durable(n, &e->sends[i]);
    }
    n->commit_index = e->commit_index;
    for (size_t i = 0; i < e->read_count; i++) {
        node_reads_answered(n, &e->reads[i]);
    }
    for (size_t i = 0; i < e->send_snapshot_count; i++) {
        snapshots_send(n, e->send_snapshots[i]);
    }
    if (e->is_chunk_accepted) {
        snapshots_store_chunk(n, event->u.receive);
    }
    if (e->has_install) {
        snapshots_install(n, e->install_last_index, e->install_last_term, e->install_keeps_suffix);
    }
    if (e->role_changed) {
        note_role(n);
    }
    if (e->forgetful != 0) {
        identity_forgetful(n, e->forgetful);
    }
    members_note(n);
}
