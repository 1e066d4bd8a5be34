/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the virtual cluster share: see cluster.h. */
#ifndef SUPPORT_CLUSTER_INTERNAL_H
#define SUPPORT_CLUSTER_INTERNAL_H

#include <inttypes.h>

#include "base/bytes.h"
#include "support/cluster.h"

#define TERMS_MAX 65536

/* ---- A log with payload that is one number ---- */

struct sim_entry {
    raft_term term;
    uint64_t value;            /* unique in a run; 0 = a membership */
    uint32_t bytes;            /* as if encoded */
    raft_term committed_in;    /* term of the leader that committed it */
    const struct buffer *blob; /* encoded membership; owned by the cluster */
};

struct sim_log {
    raft_index first;
    size_t count, capacity;
    struct sim_entry *entries;
};

void sim_log_release(struct sim_log *l);
raft_index sim_log_last(const struct sim_log *l);
const struct sim_entry *sim_log_at(const struct sim_log *l, raft_index index); /* or NULL */
void sim_log_append(struct sim_log *l, const struct sim_entry *e);
void sim_log_truncate(struct sim_log *l, raft_index from);
void sim_log_trim(struct sim_log *l, raft_index first);
void sim_log_reset(struct sim_log *l, raft_index first);
void sim_log_copy(struct sim_log *to, const struct sim_log *from);

struct sim_snapshot {
    raft_index last_index; /* 0 = none */
    raft_term last_term;
    const struct membership *membership; /* owned by the cluster */
    raft_index membership_index;
};

/* ---- Disk ---- */

enum disk_op_type { DISK_HARD_STATE, DISK_TRUNCATE, DISK_APPEND, DISK_TRIM, DISK_INSTALL };

struct disk_op {
    enum disk_op_type type;
    time_ms queued_ms;
    struct raft_hard_state hard_state;
    uint64_t generation;
    raft_index index;
    struct sim_entry entry;
    struct sim_snapshot snapshot;
    bool keeps_suffix;
};

struct sim_disk {
    struct raft_hard_state hard_state;
    struct sim_log log;
    struct sim_snapshot snapshot;
    struct disk_op *ops; /* queued, oldest first */
    size_t op_count, op_capacity;
    size_t in_flight;    /* of them, being written */
    uint64_t generation; /* newest hard state written in this life */
    time_ms stalled_until_ms;
    time_ms report_ms; /* newest report scheduled */
};

/* ---- Messages and events ---- */

struct sim_message {
    struct message message;
    struct raft_need need;
    struct sim_entry *entries;
    struct sim_snapshot snapshot; /* of INSTALL_SNAPSHOT */
};

enum sim_event_type {
    SIM_DELIVER,
    SIM_DISK_DONE,
    SIM_REPORT,
    SIM_INSTALLED,
    SIM_WAKE,
    SIM_TURN,
    SIM_PEER,
    SIM_SNAPSHOT_SENT,
    SIM_SNAPSHOT_RECEIVED,
};

struct sim_event {
    time_ms at_ms;
    uint64_t order;
    enum sim_event_type type;
    node_id node;
    unsigned boot; /* of the node; another one = void */
    struct sim_message *envelope;
    node_id peer;
    bool flag; /* opened; ok; keeps suffix */
    uint64_t generation;
    raft_term term;
    raft_index index;
    struct sim_snapshot snapshot;
};

struct sim_read {
    uint64_t token;
    node_id node;
    unsigned boot;
    raft_index committed; /* when it began */
};

struct sim_node {
    struct cluster *cluster;
    node_id id;
    bool is_up;
    unsigned boot;
    uint64_t incarnation; /* of its disk */
    struct raft *raft;
    struct raft_effects effects;
    struct sim_log log; /* as handed to the writer */
    raft_index applied;
    raft_index known_commit;
    enum raft_role known_role;
    struct sim_disk disk;
    struct sim_message **held; /* waiting for a hard state */
    size_t held_count, held_capacity;
    time_ms paused_until_ms;
    time_ms wake_ms; /* scheduled; INT64_MAX = none */
    bool is_turn_scheduled;
};

struct cluster {
    struct cluster_options options;
    struct rng rng;
    time_ms now_ms;
    uint64_t order;
    unsigned node_count;
    struct sim_node nodes[CLUSTER_NODES_MAX + 1]; /* by id */
    bool is_cut[CLUSTER_NODES_MAX + 1][CLUSTER_NODES_MAX + 1];
    struct membership membership; /* the first one */
    struct sim_event *queue;      /* binary heap */
    size_t queue_count, queue_capacity;
    const struct sim_message *received; /* in the step in hand */
    uint64_t next_value;
    uint64_t next_token;
    uint64_t message_count;
    struct buffer **blobs;
    size_t blob_count;
    struct membership **memberships;
    size_t membership_count;

    /* What the checks remember */
    node_id leaders[TERMS_MAX];
    node_id votes[CLUSTER_NODES_MAX + 1][TERMS_MAX];
    struct sim_log committed; /* from 1 on */
    struct sim_read *reads;
    size_t read_count, read_capacity;
    uint64_t reads_ok, reads_failed, reads_by_lease, installs, elections;
    uint64_t steps;
};

/* cluster.c */
void sim_push(struct cluster *c, struct sim_event event);
time_ms sim_between(struct cluster *c, time_ms min_ms, time_ms max_ms);
bool sim_chance(struct cluster *c, unsigned permille);
void sim_step(struct sim_node *n, const struct raft_event *event); /* and the end of a turn */
void sim_step_once(struct sim_node *n, const struct raft_event *event);
void sim_step_simple(struct cluster *c, node_id id, enum raft_event_type type);
void sim_schedule(struct sim_node *n);
raft_index sim_fit(void *context, raft_index first, raft_index last, uint64_t bytes_max,
                   uint64_t *ret_bytes);
void sim_on_trace(void *context, const char *text);
const struct membership *sim_keep_membership(struct cluster *c, const struct membership *m);
const struct buffer *sim_keep_blob(struct cluster *c, const struct membership *m);

/* cluster_members.c */
/* The newest membership in its snapshot or in `log` up to `index`, and its index. */
const struct membership *sim_membership_at(const struct sim_node *n, const struct sim_log *log,
                                           raft_index index, raft_index *ret_index);
/* The two would refuse to talk: one knows the other under another incarnation. */
bool sim_is_refused(const struct cluster *c, node_id a, node_id b);

/* cluster_disk.c */
void sim_disk_queue(struct sim_node *n, const struct disk_op *op);
void sim_disk_start(struct sim_node *n);
void sim_disk_done(struct sim_node *n);
void sim_disk_crash(struct sim_node *n, bool may_keep);
raft_term sim_disk_term_at(const struct sim_disk *d, raft_index index);

/* cluster_net.c */
void sim_send(struct sim_node *n, const struct raft_send *send);
void sim_send_snapshot(struct sim_node *n, node_id peer);
void sim_release_held(struct sim_node *n);
void sim_drop_held(struct sim_node *n);
void sim_deliver(struct sim_node *n, struct sim_message *envelope);
void sim_envelope_free(struct sim_message *envelope);

/* cluster_check.c */
_Noreturn void sim_fail(struct cluster *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void sim_check_step(struct sim_node *n);
void sim_check_leaving(struct sim_node *n, const struct sim_message *envelope);
void sim_check_applied(struct sim_node *n, raft_index index);
void sim_check_read(struct sim_node *n, const struct raft_read *read);

#endif
