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

static raft_index fit(void *context, raft_index first, raft_index last, uint64_t bytes_max,
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

static void on_trace(void *context, const char *text)
{
    const struct sim_node *n = context;
    const struct cluster *c = n->cluster;

    c->options.trace(c->options.context, c->now_ms, n->id, text);
}

static struct sim_entry own_entry(struct sim_node *n)
{
    struct cluster *c = n->cluster;
    const struct raft_effects *e = &n->effects;

    if (e->append_kind == RAFT_APPEND_BOOTSTRAP) {
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

static void schedule(struct sim_node *n)
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
static void step_once(struct sim_node *n, const struct raft_event *event)
{
    struct raft_effects *e = &n->effects;

    raft_step(n->raft, event, e);
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

    step_once(n, event);
    is_chunk_accepted = n->effects.is_chunk_accepted;
    if (sim_chance(c, c->options.late_turn_permille)) {
        if (!n->is_turn_scheduled) {
            n->is_turn_scheduled = true;
            sim_push(
                c, (struct sim_event){
                       .at_ms = c->now_ms + 1, .type = SIM_TURN, .node = n->id, .boot = n->boot });
        }
    } else {
        step_once(n, &(struct raft_event){ .type = RAFT_TURN, .now_ms = c->now_ms });
    }
    n->effects.is_chunk_accepted = is_chunk_accepted; /* of the event, for the caller */
    schedule(n);
}

static void step_simple(struct cluster *c, node_id id, enum raft_event_type type)
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
    step_once(n, &step);
    if (n->effects.has_install) {
        sim_disk_queue(n, &(struct disk_op){ .type = DISK_INSTALL,
                                             .index = n->effects.install_last_index,
                                             .snapshot = event->snapshot,
                                             .keeps_suffix = n->effects.install_keeps_suffix });
        sim_disk_start(n);
    }
    schedule(n);
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

bool cluster_compact(struct cluster *c, node_id id, unsigned trailing)
{
    struct sim_node *n = &c->nodes[id];
    struct raft_event step = { .type = RAFT_COMPACTED, .now_ms = c->now_ms };
    struct sim_snapshot *s = &n->disk.snapshot;
    raft_index first;

    for (size_t i = 0; i < n->disk.op_count; i++) {
        if (n->disk.ops[i].type == DISK_INSTALL) {
            return false; /* not while another one is being installed */
        }
    }
    if (!n->is_up || n->applied <= s->last_index || raft_term_at(n->raft, n->applied) == 0 ||
        sim_log_last(&n->disk.log) < n->applied) {
        return false;
    }
    s->last_term = raft_term_at(n->raft, n->applied);
    s->last_index = n->applied;
    s->membership = sim_keep_membership(c, raft_membership(n->raft));
    s->membership_index = 1;
    first = n->applied + 1 > trailing ? n->applied + 1 - trailing : 1;
    first = first > n->log.first ? first : n->log.first;
    sim_log_trim(&n->log, first);
    sim_disk_queue(n, &(struct disk_op){ .type = DISK_TRIM, .index = first });
    step.u.compacted.first_index = first;
    step.u.compacted.snapshot_last_index = s->last_index;
    step.u.compacted.snapshot_last_term = s->last_term;
    sim_step(n, &step);
    return true;
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
        step_simple(n->cluster, n->id, RAFT_TIMEOUT);
    } else {
        schedule(n);
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
        step_once(n, &step);
        schedule(n);
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

/* ---- Actions ---- */

static void tell_peers(struct cluster *c, node_id id, bool is_opened)
{
    for (node_id peer = 1; peer <= c->node_count; peer++) {
        if (peer == id || !c->nodes[peer].is_up || c->is_cut[id][peer] || c->is_cut[peer][id]) {
            continue;
        }
        sim_push(c, (struct sim_event){ .at_ms = c->now_ms + sim_between(c, 0, 3),
                                        .type = SIM_PEER,
                                        .node = peer,
                                        .boot = c->nodes[peer].boot,
                                        .peer = id,
                                        .flag = is_opened });
    }
}

/* What recovery would say of this disk. */
static struct raft *recover(struct sim_node *n)
{
    struct cluster *c = n->cluster;
    struct sim_disk *d = &n->disk;
    struct raft_config config = {
        .id = n->id,
        .seed = rng_next(&c->rng),
        .election_timeout_ms = c->options.election_timeout_ms,
        .heartbeat_interval_ms = c->options.heartbeat_interval_ms,
        .uncommitted_bytes_max = c->options.uncommitted_bytes_max,
        .inflight_bytes_max = c->options.inflight_bytes_max,
        .inflight_count_max = 8,
        .append_bytes_max = 2000,
        .append_count_max = c->options.append_count_max,
        .fit = fit,
        .trace = c->options.trace == NULL ? NULL : on_trace,
        .context = n,
    };
    struct raft_recovered recovered = {
        .hard_state = d->hard_state,
        .snapshot_last_index = d->snapshot.last_index,
        .snapshot_last_term = d->snapshot.last_term,
        .commit_index = d->snapshot.last_index,
    };
    struct raft_run *runs;
    struct raft *raft;

    if (sim_log_last(&d->log) < d->snapshot.last_index) {
        sim_log_reset(&d->log, d->snapshot.last_index + 1);
    }
    runs = heap_alloc((d->log.count + 1) * sizeof *runs);
    recovered.log_first_index = d->log.first;
    recovered.log_last_index = sim_log_last(&d->log);
    recovered.committed_membership = &c->membership;
    recovered.committed_membership_index = d->snapshot.last_index > 0 ? 1 : 0;
    for (raft_index i = d->log.first; i <= sim_log_last(&d->log); i++) {
        const struct sim_entry *e = sim_log_at(&d->log, i);

        if (recovered.run_count == 0 || runs[recovered.run_count - 1].term != e->term) {
            runs[recovered.run_count++] = (struct raft_run){ i, e->term };
        }
        if (e->blob != NULL) {
            recovered.latest_membership = &c->membership;
            recovered.latest_membership_index = i;
        }
    }
    recovered.runs = runs;
    raft = raft_new(&config, &recovered, c->now_ms);
    heap_free(runs);
    return raft;
}

void cluster_start(struct cluster *c, node_id id)
{
    struct sim_node *n = &c->nodes[id];

    PRE(!n->is_up);
    n->boot++;
    n->is_up = true;
    n->raft = recover(n);
    sim_log_copy(&n->log, &n->disk.log);
    n->applied = n->disk.snapshot.last_index;
    n->known_commit = n->applied;
    n->known_role = RAFT_FOLLOWER;
    n->wake_ms = INT64_MAX;
    n->is_turn_scheduled = false;
    tell_peers(c, id, true);
    for (node_id peer = 1; peer <= c->node_count; peer++) {
        if (peer != id && c->nodes[peer].is_up && !c->is_cut[id][peer]) {
            sim_push(c, (struct sim_event){ .at_ms = c->now_ms,
                                            .type = SIM_PEER,
                                            .node = id,
                                            .boot = n->boot,
                                            .peer = peer,
                                            .flag = true });
        }
    }
    schedule(n);
}

void cluster_start_all(struct cluster *c)
{
    for (node_id id = 1; id <= c->node_count; id++) {
        if (!c->nodes[id].is_up) {
            cluster_start(c, id);
        }
    }
}

void cluster_crash(struct cluster *c, node_id id, bool may_keep, bool is_closed)
{
    struct sim_node *n = &c->nodes[id];

    PRE(n->is_up);
    n->is_up = false;
    raft_free(n->raft);
    n->raft = NULL;
    sim_drop_held(n);
    sim_disk_crash(n, may_keep);
    for (size_t i = 0; i < c->read_count;) {
        if (c->reads[i].node == id) {
            c->reads[i] = c->reads[--c->read_count];
        } else {
            i++;
        }
    }
    if (is_closed) {
        tell_peers(c, id, false);
    }
}

void cluster_bootstrap(struct cluster *c, node_id id)
{
    struct raft_event step = { .type = RAFT_BOOTSTRAP, .now_ms = c->now_ms };

    step.u.bootstrap.membership = &c->membership;
    sim_step(&c->nodes[id], &step);
}

void cluster_pause(struct cluster *c, node_id id, time_ms until_ms)
{
    c->nodes[id].paused_until_ms = until_ms;
}

void cluster_stall_disk(struct cluster *c, node_id id, time_ms until_ms)
{
    c->nodes[id].disk.stalled_until_ms = until_ms;
}

void cluster_cut(struct cluster *c, node_id from, node_id to, bool is_cut)
{
    c->is_cut[from][to] = is_cut;
}

void cluster_heal(struct cluster *c, bool reopen)
{
    memset(c->is_cut, 0, sizeof c->is_cut);
    for (node_id id = 1; id <= c->node_count && reopen; id++) {
        tell_peers(c, id, true);
    }
}

void cluster_faults(struct cluster *c, unsigned drop_permille, unsigned duplicate_permille)
{
    c->options.drop_permille = drop_permille;
    c->options.duplicate_permille = duplicate_permille;
}

void cluster_campaign(struct cluster *c, node_id id)
{
    step_simple(c, id, RAFT_CAMPAIGN);
}

void cluster_fire(struct cluster *c, node_id id)
{
    PRE(c->nodes[id].is_up);
    cluster_run(c, raft_deadline_ms(c->nodes[id].raft) - 1);
    c->now_ms++;
    step_simple(c, id, RAFT_TIMEOUT);
}

enum rk_status cluster_submit(struct cluster *c, node_id id, unsigned count)
{
    struct raft_event step = { .type = RAFT_SUBMIT, .now_ms = c->now_ms };
    enum rk_status status;

    if (!c->nodes[id].is_up || c->nodes[id].paused_until_ms > c->now_ms) {
        return RK_UNREACHABLE;
    }
    step.u.submit.count = count;
    step.u.submit.bytes = (uint64_t)count * 150;
    step_once(&c->nodes[id], &step);
    status = c->nodes[id].effects.submit_status;
    step_simple(c, id, RAFT_TURN);
    return status;
}

void cluster_read(struct cluster *c, node_id id)
{
    struct raft_event step = { .type = RAFT_READ, .now_ms = c->now_ms };

    if (!c->nodes[id].is_up || c->nodes[id].paused_until_ms > c->now_ms) {
        return;
    }
    if (c->read_count == c->read_capacity) {
        c->read_capacity = c->read_capacity == 0 ? 64 : 2 * c->read_capacity;
        c->reads = heap_grow(c->reads, c->read_capacity * sizeof *c->reads);
    }
    c->reads[c->read_count++] = (struct sim_read){ .token = ++c->next_token,
                                                   .node = id,
                                                   .boot = c->nodes[id].boot,
                                                   .committed = sim_log_last(&c->committed) };
    step.u.read.token = c->next_token;
    sim_step(&c->nodes[id], &step);
}

void cluster_inject(struct cluster *c, const struct message *m)
{
    struct sim_message *envelope = heap_new(struct sim_message);

    envelope->message = *m;
    sim_push(c, (struct sim_event){
                    .at_ms = c->now_ms, .type = SIM_DELIVER, .node = m->to, .envelope = envelope });
}
