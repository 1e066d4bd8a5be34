/* SPDX-License-Identifier: Apache-2.0 */
/* A cluster's beginning and end, what its disks hold at first, and questions. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/heap.h"
#include "model/command.h"
#include "support/cluster_internal.h"

static void membership_fill(struct cluster *c)
{
    for (node_id id = 1; id <= c->options.voter_count + c->options.learner_count; id++) {
        struct member m = { .id = id, .incarnation = c->nodes[id].incarnation };

        if (id <= c->options.voter_count) {
            m.flags = MEMBER_VOTER | MEMBER_VOTER_OLD;
        }
        (void)snprintf(m.name, sizeof m.name, "n%" PRIu64, id);
        (void)snprintf(m.peer_address, sizeof m.peer_address, "127.0.0.%" PRIu64 ":7480", id);
        PRE(membership_add(&c->membership, &m) == RK_OK);
    }
}

struct cluster *cluster_new(const struct cluster_options *options)
{
    struct cluster *c = heap_new(struct cluster);

    c->options = *options;
    if (c->options.inflight_bytes_max == 0) {
        c->options.inflight_bytes_max = 6000;
    }
    if (c->options.append_count_max == 0) {
        c->options.append_count_max = 16;
    }
    if (c->options.uncommitted_bytes_max == 0) {
        c->options.uncommitted_bytes_max = 1 << 20;
    }
    c->node_count = options->voter_count + options->learner_count + options->spare_count;
    PRE(c->node_count <= CLUSTER_NODES_MAX);
    rng_init(&c->rng, options->seed);
    for (node_id id = 1; id <= c->node_count; id++) {
        c->nodes[id].incarnation = 100 + id;
    }
    c->membership.feature_level = options->lease_permille > 0 ? FEATURE_LEVEL_PROMISES : 0;
    membership_fill(c);
    c->committed.first = 1;
    for (node_id id = 1; id <= c->node_count; id++) {
        struct sim_node *n = &c->nodes[id];

        n->cluster = c;
        n->id = id;
        n->log.first = 1;
        n->disk.log.first = 1;
        raft_effects_init(&n->effects);
        if (options->is_bootstrapped && cluster_is_first(c, id)) {
            struct sim_entry e = { .term = 1, .bytes = 200 };

            e.blob = sim_keep_blob(c, &c->membership);
            sim_log_append(&n->disk.log, &e);
            n->disk.hard_state.current_term = 1;
        }
    }
    return c;
}

static void node_free(struct sim_node *n)
{
    raft_free(n->raft);
    raft_effects_release(&n->effects);
    sim_drop_held(n);
    heap_free(n->held);
    heap_free(n->disk.ops);
    sim_log_release(&n->log);
    sim_log_release(&n->disk.log);
}

void cluster_free(struct cluster *c)
{
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < c->queue_count; i++) {
        sim_envelope_free(c->queue[i].envelope);
    }
    for (node_id id = 1; id <= c->node_count; id++) {
        node_free(&c->nodes[id]);
    }
    for (size_t i = 0; i < c->blob_count; i++) {
        buffer_release(c->blobs[i]);
        heap_free(c->blobs[i]);
    }
    for (size_t i = 0; i < c->membership_count; i++) {
        heap_free(c->memberships[i]);
    }
    sim_log_release(&c->committed);
    heap_free(c->blobs);
    heap_free(c->memberships);
    heap_free(c->queue);
    heap_free(c->reads);
    heap_free(c);
}

void cluster_put_entries(struct cluster *c, node_id id, raft_term term, unsigned count)
{
    struct sim_disk *d = &c->nodes[id].disk;

    PRE(!c->nodes[id].is_up);
    for (unsigned i = 0; i < count; i++) {
        raft_index index = sim_log_last(&d->log) + 1;

        /* Equal position, equal content. */
        sim_log_append(&d->log, &(struct sim_entry){
                                    .term = term, .value = 1000000 * term + index, .bytes = 100 });
    }
    if (d->hard_state.current_term < term) {
        d->hard_state.current_term = term;
    }
}

void cluster_put_hard_state(struct cluster *c, node_id id, raft_term term, node_id voted_for)
{
    PRE(!c->nodes[id].is_up);
    c->nodes[id].disk.hard_state = (struct raft_hard_state){ term, voted_for, 0 };
}

time_ms cluster_now_ms(const struct cluster *c)
{
    return c->now_ms;
}

unsigned cluster_size(const struct cluster *c)
{
    return c->node_count;
}

bool cluster_is_first(const struct cluster *c, node_id id)
{
    return membership_find(&c->membership, id) != NULL;
}

bool cluster_is_up(const struct cluster *c, node_id id)
{
    return c->nodes[id].is_up;
}

const struct raft *cluster_raft(const struct cluster *c, node_id id)
{
    return c->nodes[id].raft;
}

node_id cluster_leader(const struct cluster *c)
{
    node_id leader = 0;

    for (node_id id = 1; id <= c->node_count; id++) {
        const struct raft *r = c->nodes[id].raft;

        if (r != NULL && raft_role_of(r) == RAFT_LEADER &&
            (leader == 0 || raft_current_term(r) > raft_current_term(c->nodes[leader].raft))) {
            leader = id;
        }
    }
    return leader;
}

raft_index cluster_applied(const struct cluster *c, node_id id)
{
    return c->nodes[id].applied;
}

raft_index cluster_committed(const struct cluster *c)
{
    return sim_log_last(&c->committed);
}

uint64_t cluster_reads_ok(const struct cluster *c)
{
    return c->reads_ok;
}

uint64_t cluster_reads_failed(const struct cluster *c)
{
    return c->reads_failed;
}

uint64_t cluster_snapshots_installed(const struct cluster *c)
{
    return c->installs;
}

uint64_t cluster_elections(const struct cluster *c)
{
    return c->elections;
}

uint64_t cluster_messages(const struct cluster *c)
{
    return c->message_count;
}

uint64_t cluster_state_hash(const struct cluster *c)
{
    uint64_t hash = 0;

    for (node_id id = 1; id <= c->node_count; id++) {
        hash = hash * 31 + (c->nodes[id].raft == NULL ? 0 : raft_state_hash(c->nodes[id].raft));
    }
    return hash;
}

uint64_t cluster_reads_by_lease(const struct cluster *c)
{
    return c->reads_by_lease;
}
