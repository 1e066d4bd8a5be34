/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole cluster of consensus cores in one process, on a virtual clock.
 *
 * Every node has a virtual disk (writes are queued, take time, and only what was written
 * survives a crash), and every pair a virtual network in each direction (delay, loss,
 * repetition, cuts).  All chance comes from one seed, so a run is repeated exactly.
 *
 * After every step the properties of Raft are checked [paper fig 3]; a violation prints
 * what, when and how to see it again, and aborts:
 *
 *   one leader per term; one vote per node and term, also across crashes; nothing leaves
 *   that is not durable as it must be; an index is committed once, with one content, held
 *   by a durable majority; leaders hold all that is committed; equal (index, term) means
 *   equal logs; a linearizable read is not behind what was committed before it began.
 */
#ifndef SUPPORT_CLUSTER_H
#define SUPPORT_CLUSTER_H

#include "base/rng.h"
#include "model/membership.h"
#include "raft/raft.h"

#define CLUSTER_NODES_MAX 7

struct cluster;

struct cluster_options {
    unsigned voter_count;
    unsigned learner_count; /* with the highest ids of the first membership */
    unsigned spare_count;   /* empty nodes that are no members yet, after those */
    uint64_t seed;
    time_ms election_timeout_ms;
    time_ms heartbeat_interval_ms;
    time_ms delay_min_ms, delay_max_ms; /* of a message */
    time_ms disk_min_ms, disk_max_ms;   /* of one sync */
    time_ms report_max_ms;              /* until the node hears of a finished sync */
    unsigned drop_permille;
    unsigned duplicate_permille;
    unsigned lease_permille;        /* a start has leases on */
    unsigned late_turn_permille;    /* a turn ends 1 ms after the event, not with it */
    uint64_t inflight_bytes_max;    /* 0 = default */
    uint32_t append_count_max;      /* 0 = default */
    uint64_t uncommitted_bytes_max; /* 0 = default */
    bool is_bootstrapped;           /* first logs hold the membership entry 1^1 already */
    void (*trace)(void *context, time_ms now_ms, node_id node, const char *text);
    void *context;
    const char *replay; /* said when a check fails */
};

/* Every node is down at first. */
struct cluster *cluster_new(const struct cluster_options *options);
void cluster_free(struct cluster *c);

/* ---- Before start: what a node's disk holds ---- */

void cluster_put_entries(struct cluster *c, node_id id, raft_term term, unsigned count);
void cluster_put_hard_state(struct cluster *c, node_id id, raft_term term, node_id voted_for);

/* ---- Actions ---- */

void cluster_start(struct cluster *c, node_id id);
void cluster_start_all(struct cluster *c);
void cluster_bootstrap(struct cluster *c, node_id id);
/* The process dies: what was not synced is lost, or, `may_keep`, some of it happens to be
 * on disk.  `is_closed`: the host closes the connections, so the others hear of it. */
void cluster_crash(struct cluster *c, node_id id, bool may_keep, bool is_closed);
/* The others are told that its host closed the connection, though it lives: a false alarm. */
void cluster_close(struct cluster *c, node_id id);
/* Nothing happens at the node until then; messages wait. */
void cluster_pause(struct cluster *c, node_id id, time_ms until_ms);
void cluster_stall_disk(struct cluster *c, node_id id, time_ms until_ms);
void cluster_cut(struct cluster *c, node_id from, node_id to, bool is_cut); /* one way */
void cluster_heal(struct cluster *c, bool reopen); /* all links; `reopen` tells the nodes */
void cluster_faults(struct cluster *c, unsigned drop_permille, unsigned duplicate_permille);
void cluster_campaign(struct cluster *c, node_id id);
void cluster_fire(struct cluster *c, node_id id); /* moves the clock to its deadline, fires it */
enum rk_status cluster_submit(struct cluster *c, node_id id, unsigned count);
void cluster_read(struct cluster *c, node_id id);
/* Snapshot of what is applied; the log keeps `trailing` entries behind it.  False = nothing new. */
bool cluster_compact(struct cluster *c, node_id id, unsigned trailing);
/* Asks this node to change the members to these; why not, or NULL. */
const char *cluster_change(struct cluster *c, node_id id, const struct membership *to);
/* The same for one member, starting from what `id` has in force.  `add` makes a learner, to be
 * promoted when `votes`; `replace` one that takes the place of `old`. */
const char *cluster_add(struct cluster *c, node_id id, node_id member, bool votes);
const char *cluster_promote(struct cluster *c, node_id id, node_id member);
const char *cluster_remove(struct cluster *c, node_id id, node_id member);
const char *cluster_replace(struct cluster *c, node_id id, node_id old, node_id member);
const char *cluster_transfer(struct cluster *c, node_id id, node_id target);
/* A node that is down loses its disk; it comes back under its old id. */
void cluster_wipe(struct cluster *c, node_id id);
/* A message of no node of ours, for what should never come. */
void cluster_inject(struct cluster *c, const struct message *m);

/* Lets events happen until the clock shows `until_ms`. */
void cluster_run(struct cluster *c, time_ms until_ms);
void cluster_check_logs(struct cluster *c); /* log matching; O(nodes^2 * entries) */

/* ---- Questions ---- */

time_ms cluster_now_ms(const struct cluster *c);
unsigned cluster_size(const struct cluster *c);
bool cluster_is_first(const struct cluster *c, node_id id); /* a member from the beginning */
bool cluster_is_up(const struct cluster *c, node_id id);
const struct raft *cluster_raft(const struct cluster *c, node_id id); /* NULL when down */
node_id cluster_leader(const struct cluster *c); /* of the highest term; 0 = none */
raft_index cluster_applied(const struct cluster *c, node_id id);
raft_index cluster_committed(const struct cluster *c); /* highest known by anybody ever */
uint64_t cluster_reads_ok(const struct cluster *c);
uint64_t cluster_reads_failed(const struct cluster *c);
uint64_t cluster_reads_by_lease(const struct cluster *c);
uint64_t cluster_snapshots_installed(const struct cluster *c);
uint64_t cluster_elections(const struct cluster *c);
uint64_t cluster_messages(const struct cluster *c); /* that have left a node */
uint64_t cluster_state_hash(const struct cluster *c);

#endif
