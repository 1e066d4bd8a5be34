/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The running member: what the front ends and the daemon see of it.
 *
 * Threads: the loop owns everything here; the log writer thread owns the files; a
 * snapshot thread writes snapshots of a frozen state.  Every function is called on the
 * loop and every callback comes on it, never from inside the call that registers it.
 *
 * A turn: events are handled (requests parsed, frames decoded, completions taken), then
 * node_turn() gathers - one SUBMIT for all proposals, one RAFT_TURN, one write per
 * connection.  Front ends register a flush callback to write their replies once a turn.
 */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include <event2/event.h>

#include "base/bytes.h"
#include "base/errmsg.h"
#include "base/status.h"
#include "model/member_change.h"
#include "model/membership.h"
#include "node/events.h"
#include "node/replicas.h"
#include "node/tls.h"
#include "raft/raft.h"
#include "refdb/refdb.h"

struct node;

struct node_options {
    const char *name;
    const char *data_dir;
    const char *listen_peer;    /* host:port */
    const char *advertise_peer; /* NULL = listen_peer */
    const char *advertise_client;
    const char *advertise_http;
    struct membership initial_members;  /* ids 1.. in order of name; may be empty if joining */
    bool is_joining;                    /* found no cluster: wait to be admitted to one */
    const struct tls_options *peer_tls; /* NULL = plaintext, which was asked for */
    time_ms election_timeout_ms;
    time_ms heartbeat_interval_ms;
    bool has_leases; /* reads by lease, and votes promised for those of others */
    unsigned clock_drift_percent;
    time_ms proposal_timeout_ms;
    time_ms read_timeout_ms;
    uint64_t log_compact_bytes;
    time_ms snapshot_interval_ms;
    uint64_t trailing_entries;
    uint64_t events_bytes_max;    /* of the events kept; 0 = EVENTS_BYTES_DEFAULT */
    uint64_t snapshot_rate_bytes; /* per second, of all transfers; 0 = no limit */
    bool holds_back_features;     /* the cluster's level stays at feature_level_max */
    uint32_t feature_level_max;
    uint64_t seed;   /* 0 = from entropy */
    bool is_tracing; /* log each decision of the core at debug level */
    /* One line for the log; levels as in daemon/logging. */
    void (*log)(void *context, int level, const char *text);
    void *log_context;
};

enum node_log_level {
    NODE_LOG_DEBUG,
    NODE_LOG_INFO,
    NODE_LOG_WARN,
    NODE_LOG_ERROR,
};

/* Recovers the directory, loads the snapshot, listens, starts the threads.
 * Errors: as storage_open, CONFIG (addresses, names, TLS files). */
enum rk_status node_open(struct event_base *base, const struct node_options *options,
                         struct node **ret_node, struct errmsg *why) MUST_USE;

/* Entries that were durable cannot be read any more: opening the directory anew finds out which,
 * marks them and fetches them from the others, or says why not. */
#define NODE_REOPEN 256

/* Runs loop turns until node_stop() or a halt; returns the exit code of the daemon:
 * 0 asked to stop, 74 I/O failure, 1 other; or NODE_REOPEN. */
int node_run(struct node *n);

/* Graceful: refuses new proposals, answers what can be answered, syncs, closes.
 * A second call stops at once. */
void node_stop(struct node *n);

/* New certificates for connections between nodes made from now on; on errors the old ones stay.
 * Only for a node opened with peer_tls.  Errors: CONFIG. */
enum rk_status node_reload_peer_tls(struct node *n, const struct tls_options *peer_tls,
                                    struct errmsg *why) MUST_USE;

void node_close(struct node *n); /* accepts NULL */

/* ---- Writes ---- */

/*
 * The outcome of a proposal.
 *   OK       applied here; `result` is what the state machine said (valid during the call)
 *   UNKNOWN  may or may not happen later
 *   others   not executed
 */
typedef void (*node_proposed_fn)(void *context, enum rk_status status, raft_term term,
                                 const struct refdb_result *result);

/*
 * Proposes an encoded command; on a follower it is forwarded to the leader.  Commands of
 * one caller keep their order.  The command is copied and stamped with the leader's time.
 * Errors: TOOLARGE, PROTOCOL, UNSUPPORTED, OVERLOADED, NOLEADER, NOMEMBER, STOPPED (nothing was
 * done and the callback will not come).
 */
enum rk_status node_propose(struct node *n, struct slice command, node_proposed_fn done,
                            void *context) MUST_USE;

/* ---- The cluster itself ---- */

/*
 * The outcome of a change: OK with the index of the membership that has it (0 of a transfer),
 * REFUSED, EXISTS, NOT_FOUND, TOOLARGE with a reason, NOLEADER, STOPPED, or UNKNOWN.
 * `why` is valid during the call; NULL = the text of the status.
 */
typedef void (*node_changed_fn)(void *context, enum rk_status status, raft_index index,
                                const char *why);

/*
 * Changes the members, or who leads; on a follower it is forwarded to the leader.  One at a time
 * takes effect, the others wait for it.  Errors: BADARG (name, address), OVERLOADED, STOPPED
 * (nothing was done and the callback will not come).
 */
enum rk_status node_change_members(struct node *n, const struct member_change *change,
                                   node_changed_fn done, void *context) MUST_USE;

/* ---- Reads ---- */

enum node_consistency {
    NODE_LINEARIZABLE, /* ReadIndex: sees everything acknowledged before the call */
    NODE_MIN_INDEX,    /* this node has applied at least `min_index` */
    NODE_STALE,        /* whatever this node has */
};

typedef void (*node_readable_fn)(void *context, enum rk_status status);

/* Calls back when node_refdb() satisfies `consistency`: OK, NOLEADER, NOMEMBER, BEHIND, STOPPED.
 * STALE, and MIN_INDEX already reached, call back within this turn's end. */
enum rk_status node_read(struct node *n, enum node_consistency consistency, raft_index min_index,
                         node_readable_fn done, void *context) MUST_USE;

/* Valid until the next turn: a snapshot install replaces it. */
const struct refdb *node_refdb(const struct node *n);

/* What applied entries changed.  The ring itself lives as long as the node. */
const struct events *node_events(const struct node *n);
/* What storages reported to this node. */
struct replicas *node_replicas(const struct node *n);

/* Starts a snapshot now.  False when one is under way or nothing is new. */
bool node_take_snapshot(struct node *n);

/* ---- Turns ---- */

/* `flush` is called at the end of every turn, after applies; it may not block. */
void node_on_flush(struct node *n, void (*flush)(void *context), void *context);

/* ---- Status ---- */

struct node_peer_status {
    node_id id;
    char name[NODE_NAME_BYTES_MAX + 1];
    bool is_connected;
    uint64_t sent_bytes, received_bytes;
};

struct node_histogram {   /* cumulative buckets are derived at exposition */
    uint64_t buckets[24]; /* <= 2^i * 16 us */
    uint64_t count;
    uint64_t sum_us;
};

enum node_state_check { /* node/digests.h */
                        NODE_STATE_EQUAL,
                        NODE_STATE_ALARM,
                        NODE_STATE_QUARANTINED,
};

struct node_status {
    const char *name;
    node_id id;
    struct raft_status raft;
    raft_index applied_index;
    raft_index snapshot_last_index;
    uint64_t snapshot_bytes;       /* of its file; 0 = not known */
    uint64_t snapshot_state_bytes; /* what the state in it took in memory */
    uint64_t log_bytes;
    uint64_t proposals_pending, proposals_total, proposals_failed_total, forwards_total;
    uint64_t leader_changes_total, snapshots_taken_total, snapshots_installed_total;
    uint64_t snapshot_sent_bytes_total, snapshot_resent_bytes_total;
    uint64_t snapshot_received_bytes_total, snapshot_duplicate_bytes_total;
    uint64_t snapshot_resumed_bytes_total;
    uint64_t disk_free_bytes;
    bool is_disk_full;                  /* short of space: no new writes if a majority is */
    bool is_repairing;                  /* damaged entries are being fetched again */
    struct node_histogram sync, commit; /* fdatasync; proposal to apply */
    bool is_ready; /* recovered, knows a leader, applied what was committed when it learned it */
    bool is_stopping;
    bool is_removed; /* from the cluster, for good */
    enum node_state_check state_check;
    raft_index state_differs_index; /* where a difference was seen last; 0 = never */
    uint64_t state_compared_total, state_differences_total, state_healed_total;
    time_ms uptime_ms;
    time_ms leader_contact_ms; /* since the leader was last heard; 0 on the leader */
    size_t peer_count;
    struct node_peer_status peers[MEMBERS_MAX];
    uint8_t cluster_id[CLUSTER_ID_BYTES];
};
void node_get_status(const struct node *n, struct node_status *ret_status);
const struct membership *node_membership(const struct node *n);
int64_t node_now_ms(const struct node *n); /* monotonic, as of this turn */

#endif
