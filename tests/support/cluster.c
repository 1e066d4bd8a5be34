/* SPDX-License-Identifier: Apache-2.0 */
/* The clock, the event queue, and the driver of each node: events in, effects out. */
#include "support/cluster.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/heap.h"
#include "model/command.h"
#include "support/cluster_internal.h"

/* ---- Chance ---- */

time_ms sim_between(struct cluster *c, time_ms min_ms, time_ms max_ms)
{
    if (max_ms <= min_ms) {
        return min_ms;
    }
    return min_ms + (time_ms)rng_below(&c->rng, (uint64_t)(max_ms - min_ms) + 1);
}

bool sim_chance(struct cluster *c, unsigned permille)
{
    return permille > 0 && rng_below(&c->rng, 1000) < permille;
}

/* ---- Event queue ---- */

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

void sim_push(struct cluster *c, struct sim_event event)
{
    size_t i;

    if (c->queue_count == c->queue_capacity) {
        c->queue_capacity = c->queue_capacity == 0 ? 256 : 2 * c->queue_capacity;
        c->queue = heap_grow(c->queue, c->queue_capacity * sizeof *c->queue);
    }
    event.order = c->order++;
    for (i = c->queue_count++; i > 0 && is_before(&event, &c->queue[(i - 1) / 2]);
         i = (i - 1) / 2) {
        c->queue[i] = c->queue[(i - 1) / 2];
    }
    c->queue[i] = event;
}

static struct sim_event queue_pop(struct cluster *c)
{
    struct sim_event first = c->queue[0];
    struct sim_event last = c->queue[--c->queue_count];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= c->queue_count) {
            break;
        }
        if (child + 1 < c->queue_count && is_before(&c->queue[child + 1], &c->queue[child])) {
            child++;
        }
        if (!is_before(&c->queue[child], &last)) {
            break;
        }
        c->queue[i] = c->queue[child];
        i = child;
    }
    c->queue[i] = last;
    return first;
}

/* ---- Things kept until the end ---- */

const struct membership *sim_keep_membership(struct cluster *c, const struct membership *m)
{
    struct membership *copy = heap_copy(m, sizeof *m);

    c->memberships = heap_grow(c->memberships,
                               (c->membership_count + 1) * sizeof(struct membership *));
    c->memberships[c->membership_count++] = copy;
    return copy;
}

const struct buffer *sim_keep_blob(struct cluster *c, const struct membership *m)
{
    struct buffer *blob = heap_new(struct buffer);

    command_encode_membership(blob, m);
    c->blobs = heap_grow(c->blobs, (c->blob_count + 1) * sizeof(struct buffer *));
    c->blobs[c->blob_count++] = blob;
    return blob;
}

/* ---- Driver ---- */

raft_index sim_fit(void *context, raft_index first, raft_index last, uint64_t bytes_max,
                   uint64_t *ret_bytes)
{
    const struct sim_node *n = context;
    raft_index i = first;

    *ret_bytes = sim_log_at(&n->log, first)->bytes;
    while (i < last && *ret_bytes + sim_log_at(&n->log, i + 1)->bytes <= bytes_max) {
        i++;
        *ret_bytes += sim_log_at(&n->log, i)->bytes;
    }
    return i;
}

void sim_on_trace(void *context, const char *text)
{
    const struct sim_node *n = context;
    const struct cluster *c = n->cluster;

    c->options.trace(c->options.context, c->now_ms, n->id, text);
}

static struct sim_entry own_entry(struct sim_node *n)
{
    struct cluster *c = n->cluster;
    const struct raft_effects *e = &n->effects;

    if (e->append_kind == RAFT_APPEND_BOOTSTRAP || e->append_kind == RAFT_APPEND_MEMBERSHIP) {
        return (struct sim_entry){ .term = e->append_term,
                                   .bytes = 200,
                                   .blob = sim_keep_blob(c, raft_membership(n->raft)) };
    }
    return (struct sim_entry){ .term = e->append_term,
                               .value = ++c->next_value,
                               .bytes = 30 + (uint32_t)(c->next_value * 37 % 300) };
}

static void append(struct sim_node *n)
{
    const struct raft_effects *e = &n->effects;

    for (raft_index i = e->append_first; i <= e->append_last; i++) {
        struct disk_op op = { .type = DISK_APPEND, .index = i };

        if (i != sim_log_last(&n->log) + 1) {
            sim_fail(n->cluster, "%" PRIu64 " appends %" PRIu64 " out of order", n->id, i);
        }
        if (e->append_kind == RAFT_APPEND_RECEIVED) {
            const struct sim_message *envelope = n->cluster->received;

            op.entry = envelope->entries[i - envelope->message.u.append_entries.prev_log_index - 1];
        } else {
            op.entry = own_entry(n);
        }
        sim_log_append(&n->log, &op.entry);
        sim_disk_queue(n, &op);
    }
}

static void write_effects(struct sim_node *n)
{
    const struct raft_effects *e = &n->effects;

    if (e->has_hard_state) {
        sim_disk_queue(n, &(struct disk_op){ .type = DISK_HARD_STATE,
                                             .hard_state = e->hard_state,
                                             .generation = e->hard_state_generation });
    }
    if (e->truncate_from != 0) {
        sim_log_truncate(&n->log, e->truncate_from);
        sim_disk_queue(n, &(struct disk_op){ .type = DISK_TRUNCATE, .index = e->truncate_from });
    }
    if (e->append_kind != RAFT_APPEND_NONE) {
        append(n);
    }
}

void sim_schedule(struct sim_node *n)
{
    struct cluster *c = n->cluster;
    time_ms deadline_ms = raft_deadline_ms(n->raft);

    if (deadline_ms < n->wake_ms) {
        n->wake_ms = deadline_ms > c->now_ms ? deadline_ms : c->now_ms;
        sim_push(c, (struct sim_event){
                        .at_ms = n->wake_ms, .type = SIM_WAKE, .node = n->id, .boot = n->boot });
    }
}

static void apply(struct sim_node *n)
{
    struct raft_status status;
    raft_index upto;

    raft_get_status(n->raft, &status);
    upto = status.commit_index < status.durable_index ? status.commit_index : status.durable_index;
    while (n->applied < upto) {
        sim_check_applied(n, ++n->applied);
    }
}

/* Carries out one step, in the order that raft.h asks for. */
void sim_step_once(struct sim_node *n, const struct raft_event *event)
{
    struct raft_effects *e = &n->effects;
    struct raft_event aged = *event;
    struct raft_status before, after;

    aged.steady_ms = n->cluster->now_ms;
    if (n->disk.op_count > 0) {
        aged.disk_age_ms = n->cluster->now_ms - n->disk.ops[0].queued_ms;
    }
    raft_get_status(n->raft, &before);
    raft_step(n->raft, &aged, e);
    raft_get_status(n->raft, &after);
    n->cluster->reads_by_lease += after.reads_by_lease - before.reads_by_lease;
    if (e->halt != NULL) {
        sim_fail(n->cluster, "%" PRIu64 " halts: %s", n->id, e->halt);
    }
    write_effects(n);
    sim_check_step(n);
    for (size_t i = 0; i < e->send_count; i++) {
        sim_send(n, &e->sends[i]);
    }
    apply(n);
    for (size_t i = 0; i < e->read_count; i++) {
        sim_check_read(n, &e->reads[i]);
    }
    for (size_t i = 0; i < e->send_snapshot_count; i++) {
        sim_send_snapshot(n, e->send_snapshots[i]);
    }
    sim_disk_start(n);
}

void sim_step(struct sim_node *n, const struct raft_event *event)
{
    struct cluster *c = n->cluster;
    bool is_chunk_accepted;

    sim_step_once(n, event);
    is_chunk_accepted = n->effects.is_chunk_accepted;
    if (sim_chance(c, c->options.late_turn_permille)) {
        if (!n->is_turn_scheduled) {
            n->is_turn_scheduled = true;
            sim_push(
                c, (struct sim_event){
                       .at_ms = c->now_ms + 1, .type = SIM_TURN, .node = n->id, .boot = n->boot });
        }
    } else {
        sim_step_once(n, &(struct raft_event){ .type = RAFT_TURN, .now_ms = c->now_ms });
    }
    n->effects.is_chunk_accepted = is_chunk_accepted; /* of the event, for the caller */
    sim_schedule(n);
}

void sim_step_simple(struct cluster *c, node_id id, enum raft_event_type type)
{
    if (c->nodes[id].is_up) {
        sim_step(&c->nodes[id], &(struct raft_event){ .type = type, .now_ms = c->now_ms });
    }
}

/* ---- Snapshots at a node ---- */

static void snapshot_received(struct sim_node *n, const struct sim_event *event)
{
    struct raft_event step = { .type = RAFT_SNAPSHOT_RECEIVED, .now_ms = n->cluster->now_ms };

    step.u.snapshot_received.last_index = event->snapshot.last_index;
    step.u.snapshot_received.last_term = event->snapshot.last_term;
    step.u.snapshot_received.membership = event->snapshot.membership;
    step.u.snapshot_received.membership_index = event->snapshot.membership_index;
    sim_step_once(n, &step);
    if (n->effects.has_install) {
        sim_disk_queue(n, &(struct disk_op){ .type = DISK_INSTALL,
                                             .index = n->effects.install_last_index,
                                             .snapshot = event->snapshot,
                                             .keeps_suffix = n->effects.install_keeps_suffix });
        sim_disk_start(n);
    }
    sim_schedule(n);
}

static void snapshot_installed(struct sim_node *n, const struct sim_event *event)
{
    struct cluster *c = n->cluster;
    raft_index last_index = event->snapshot.last_index;
    struct raft_event step = { .type = RAFT_SNAPSHOT_INSTALLED, .now_ms = c->now_ms };
    const struct sim_entry *known = sim_log_at(&c->committed, last_index);

    if (known == NULL || known->term != event->snapshot.last_term) {
        sim_fail(c, "%" PRIu64 " installs a snapshot of what was not committed", n->id);
    }
    if (event->flag) {
        sim_log_trim(&n->log, last_index + 1);
    } else {
        sim_log_reset(&n->log, last_index + 1);
    }
    n->applied = n->applied > last_index ? n->applied : last_index;
    c->installs++;
    step.u.snapshot_installed.last_index = last_index;
    step.u.snapshot_installed.last_term = event->snapshot.last_term;
    sim_step(n, &step);
}

static void snapshot_sent(struct sim_node *n, const struct sim_event *event)
{
    struct raft_event step = { .type = RAFT_SNAPSHOT_SENT, .now_ms = n->cluster->now_ms };

    step.u.snapshot_sent.peer = event->peer;
    step.u.snapshot_sent.is_ok = event->flag;
    step.u.snapshot_sent.last_index = event->index;
    sim_step(n, &step);
}

/* ---- Events ---- */

static void report(struct sim_node *n, const struct sim_event *event)
{
    struct raft_event step = { .type = RAFT_PERSISTED, .now_ms = n->cluster->now_ms };

    sim_release_held(n);
    step.u.persisted.hard_state_generation = event->generation;
    step.u.persisted.last_term = event->term;
    step.u.persisted.last_index = event->index;
    sim_step(n, &step);
}

static void wake(struct sim_node *n)
{
    n->wake_ms = INT64_MAX;
    if (raft_deadline_ms(n->raft) <= n->cluster->now_ms) {
        sim_step_simple(n->cluster, n->id, RAFT_TIMEOUT);
    } else {
        sim_schedule(n);
    }
}

static void happen(struct cluster *c, struct sim_event *event)
{
    struct sim_node *n = &c->nodes[event->node];
    struct raft_event step = { .now_ms = c->now_ms };

    switch (event->type) {
    case SIM_DELIVER:
        sim_deliver(n, event->envelope);
        break;
    case SIM_DISK_DONE:
        sim_disk_done(n);
        break;
    case SIM_REPORT:
        report(n, event);
        break;
    case SIM_INSTALLED:
        snapshot_installed(n, event);
        break;
    case SIM_WAKE:
        wake(n);
        break;
    case SIM_TURN:
        n->is_turn_scheduled = false;
        step.type = RAFT_TURN;
        sim_step_once(n, &step);
        sim_schedule(n);
        break;
    case SIM_PEER:
        step.type = event->flag ? RAFT_PEER_OPENED : RAFT_PEER_CLOSED;
        step.u.peer_opened.peer = event->peer;
        sim_step(n, &step);
        break;
    case SIM_SNAPSHOT_SENT:
        snapshot_sent(n, event);
        break;
    case SIM_SNAPSHOT_RECEIVED:
        snapshot_received(n, event);
        break;
    }
}

void cluster_run(struct cluster *c, time_ms until_ms)
{
    while (c->queue_count > 0 && c->queue[0].at_ms <= until_ms) {
        struct sim_event event = queue_pop(c);
        struct sim_node *n = &c->nodes[event.node];

        c->now_ms = event.at_ms;
        if (!n->is_up || (event.type != SIM_DELIVER && event.boot != n->boot)) {
            sim_envelope_free(event.envelope);
            continue;
        }
        if (n->paused_until_ms > c->now_ms && event.type != SIM_DISK_DONE) {
            event.at_ms = n->paused_until_ms;
            sim_push(c, event);
            continue;
        }
        happen(c, &event);
        if (c->steps % 64 == 0) {
            cluster_check_logs(c);
        }
    }
    if (until_ms > c->now_ms) {
        c->now_ms = until_ms;
    }
}
