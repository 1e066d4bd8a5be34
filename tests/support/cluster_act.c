/* SPDX-License-Identifier: Apache-2.0 */
/* What a test does to a cluster: start, crash, cut, submit, read, compact. */
#include <string.h>

#include "base/assert.h"
#include "base/heap.h"
#include "support/cluster_internal.h"

static void tell_peers(struct cluster *c, node_id id, bool is_opened)
{
    for (node_id peer = 1; peer <= c->node_count; peer++) {
        if (peer == id || !c->nodes[peer].is_up || c->is_cut[id][peer] || c->is_cut[peer][id] ||
            sim_is_refused(c, id, peer)) {
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
        .has_leases = sim_chance(c, c->options.lease_permille),
        .uncommitted_bytes_max = c->options.uncommitted_bytes_max,
        .inflight_bytes_max = c->options.inflight_bytes_max,
        .inflight_count_max = 8,
        .append_bytes_max = 2000,
        .append_count_max = c->options.append_count_max,
        .fit = sim_fit,
        .trace = c->options.trace == NULL ? NULL : sim_on_trace,
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
    recovered.latest_membership = sim_membership_at(n, &d->log, sim_log_last(&d->log),
                                                    &recovered.latest_membership_index);
    recovered.committed_membership = recovered.latest_membership;
    recovered.committed_membership_index = recovered.latest_membership_index;
    if (recovered.latest_membership_index > d->snapshot.last_index) {
        /* Only one may be uncommitted. */
        recovered.committed_membership = sim_membership_at(n, &d->log,
                                                           recovered.latest_membership_index - 1,
                                                           &recovered.committed_membership_index);
    }
    for (raft_index i = d->log.first; i <= sim_log_last(&d->log); i++) {
        const struct sim_entry *e = sim_log_at(&d->log, i);

        if (recovered.run_count == 0 || runs[recovered.run_count - 1].term != e->term) {
            runs[recovered.run_count++] = (struct raft_run){ i, e->term };
        }
    }
    recovered.runs = runs;
    raft = raft_new(&config, &recovered, c->now_ms, c->now_ms);
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
        if (peer != id && c->nodes[peer].is_up && !c->is_cut[id][peer] &&
            !sim_is_refused(c, id, peer)) {
            sim_push(c, (struct sim_event){ .at_ms = c->now_ms,
                                            .type = SIM_PEER,
                                            .node = id,
                                            .boot = n->boot,
                                            .peer = peer,
                                            .flag = true });
        }
    }
    sim_schedule(n);
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

void cluster_close(struct cluster *c, node_id id)
{
    tell_peers(c, id, false);
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
    sim_step_simple(c, id, RAFT_CAMPAIGN);
}

void cluster_fire(struct cluster *c, node_id id)
{
    PRE(c->nodes[id].is_up);
    cluster_run(c, raft_deadline_ms(c->nodes[id].raft) - 1);
    c->now_ms++;
    sim_step_simple(c, id, RAFT_TIMEOUT);
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
    sim_step_once(&c->nodes[id], &step);
    status = c->nodes[id].effects.submit_status;
    sim_step_simple(c, id, RAFT_TURN);
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
    s->membership = sim_membership_at(n, &n->log, n->applied, &s->membership_index);
    s->last_term = raft_term_at(n->raft, n->applied);
    s->last_index = n->applied;
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
