/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The consensus core: one event in, one list of effects out.
 *
 * Pure: no clock, no I/O, no randomness but a seed, no payload.  It knows the log only
 * as runs of (index, term) - the trail - and names entries by range; the node keeps the
 * bytes.  Time comes in with each event, the next deadline goes out by raft_deadline_ms().
 *
 * The driver's duties, in this order, for each step [thesis 3.3-3.6, 10.2.1]:
 *
 *   1. hand effects->hard_state, truncate, append to the log writer, in that order
 *      (one queue, one thread: a term is durable before any entry of that term);
 *   2. send each message as soon as its `need` is durable - at once when it is already;
 *      the core never asks to send an entry of a term whose hard state is not durable;
 *   3. apply entries up to effects->commit_index that are locally durable, in order;
 *   4. answer reads, accept or refuse proposals;
 *   5. when the writer reports, feed RAFT_PERSISTED; at the end of each loop turn feed
 *      RAFT_TURN: appends and read rounds leave only there, gathered once per turn.
 *
 * Thread: the loop.  Sources: [paper] Ongaro & Ousterhout 2014, [thesis] Ongaro 2014.
 */
#ifndef RAFT_RAFT_H
#define RAFT_RAFT_H

#include <stddef.h>

#include "base/status.h"
#include "model/membership.h"
#include "model/message.h"
#include "model/types.h"
#include "raft/raft_status.h"

struct raft;

/* ---- What must survive a crash ---- */

struct raft_hard_state {
    raft_term current_term;
    node_id voted_for;   /* in current_term; 0 = nobody */
    time_ms promised_ms; /* votes may be promised not to be given for so long; 0 = none is */
};

/* A run of entries with one term: first_index up to the next run's first_index - 1. */
struct raft_run {
    raft_index first_index;
    raft_term term;
};

/* ---- Start ---- */

struct raft_config {
    node_id id;
    uint64_t seed;               /* of the timeouts */
    time_ms election_timeout_ms; /* lower bound; each timeout is drawn from [t, 2t) */
    time_ms heartbeat_interval_ms;
    bool has_leases; /* promise votes to a leader that is heard, and read by such promises */
    unsigned clock_drift_percent; /* how much faster one member's steady clock may be than ours */
    uint64_t uncommitted_bytes_max;
    uint64_t inflight_bytes_max; /* per peer */
    uint32_t inflight_count_max; /* per peer */
    uint32_t append_bytes_max;   /* per message; one whole entry always fits */
    uint32_t append_count_max;   /* per message */

    /*
     * The last index of as many entries from `first` (at most up to `last`) as fit into
     * `bytes_max`; at least `first` itself.  Their bytes go to *ret_bytes.  Pure question,
     * called during raft_step for indexes the trail holds.
     */
    raft_index (*fit)(void *context, raft_index first, raft_index last, uint64_t bytes_max,
                      uint64_t *ret_bytes);
    /* One line of what was decided and why; NULL = silent.  Scenario tests read it. */
    void (*trace)(void *context, const char *text);
    void *context;
};

/* What recovery found. */
struct raft_recovered {
    struct raft_hard_state hard_state;
    raft_index snapshot_last_index; /* the log begins after it or earlier; 0 = none */
    raft_term snapshot_last_term;
    raft_index log_first_index; /* first entry held; last + 1 when the log is empty */
    raft_index log_last_index;
    const struct raft_run *runs; /* of the entries held, in order; borrowed */
    size_t run_count;
    const struct membership *committed_membership; /* borrowed; of snapshot or configuration */
    raft_index committed_membership_index;      /* 0 = from configuration: not yet bootstrapped */
    const struct membership *latest_membership; /* NULL = the same */
    raft_index latest_membership_index;
    raft_index commit_index;   /* known committed: at least the snapshot's */
    struct raft_run lost_last; /* where the log ended before damage; zeros = nothing is missing */
};

/*
 * A follower that has heard nobody.  A node with an empty log and no hard state neither
 * campaigns nor votes before RAFT_BOOTSTRAP or its first entry.  Everything borrowed is
 * copied.
 */
struct raft *raft_new(const struct raft_config *config, const struct raft_recovered *recovered,
                      time_ms now_ms, time_ms steady_ms);
void raft_free(struct raft *r); /* accepts NULL */

/* ---- Events ---- */

enum raft_event_type {
    RAFT_RECEIVE,            /* a message from a member, checked by the transport */
    RAFT_TIMEOUT,            /* raft_deadline_ms() has passed; harmless when early */
    RAFT_TURN,               /* end of a loop turn: send what is due */
    RAFT_SUBMIT,             /* commands that want to become entries */
    RAFT_READ,               /* a batch of linearizable reads [thesis 6.4] */
    RAFT_PERSISTED,          /* the writer finished something */
    RAFT_PEER_CLOSED,        /* a member's connection was closed by its host */
    RAFT_PEER_OPENED,        /* ... or opened anew: probe it at once */
    RAFT_BOOTSTRAP,          /* all initial members are connected and empty */
    RAFT_CAMPAIGN,           /* tests and operators: start an election now */
    RAFT_SNAPSHOT_RECEIVED,  /* a complete, verified, durable snapshot file from the leader */
    RAFT_SNAPSHOT_INSTALLED, /* effects->install was carried out: map loaded, log reset */
    RAFT_SNAPSHOT_SENT,      /* effects->send_snapshots was finished or failed */
    RAFT_COMPACTED,          /* the log now begins at `first_index` */
    RAFT_CHANGE_MEMBERSHIP,  /* leader: the cluster shall become this [thesis 4] */
    RAFT_DISTRUST,           /* this node's state is not the others' (or is again) */
    RAFT_SEND_STATE,         /* leader: a member asks for a snapshot instead of its state */
    RAFT_TRANSFER,           /* leader: hand the office to another voter [thesis 3.10] */
};

struct raft_event {
    enum raft_event_type type;
    time_ms now_ms;      /* never backwards; read after all that the event brings had come */
    time_ms steady_ms;   /* likewise, of a clock that runs while the machine sleeps: of leases */
    time_ms disk_age_ms; /* of the oldest order the log writer has not finished; 0 = none */
    bool is_disk_full;   /* short of space for entries to come */
    union {
        const struct message *receive;
        struct {
            uint32_t count;
            uint64_t bytes;
        } submit;
        struct {
            uint64_t token; /* comes back in effects->reads */
        } read;
        struct {
            uint64_t hard_state_generation; /* all up to this are durable; 0 = no news */
            raft_term last_term;   /* (term, index) of the newest durable entry; counts only */
            raft_index last_index; /* while the log still holds that pair; 0 = no news */
        } persisted;
        struct {
            node_id peer;
        } peer_closed, peer_opened;
        struct {
            /* Borrowed: of the first entry, with cluster id and incarnations; NULL = recovered. */
            const struct membership *membership;
        } bootstrap;
        struct {
            raft_index last_index;
            raft_term last_term;
            const struct membership *membership; /* borrowed */
            raft_index membership_index;
        } snapshot_received;
        struct {
            raft_index last_index;
            raft_term last_term;
        } snapshot_installed;
        struct {
            node_id peer;
            bool is_ok;
            bool is_gone;          /* failed, as the file is not there any more */
            raft_index last_index; /* of the snapshot sent */
        } snapshot_sent;
        struct {
            raft_index first_index;
            raft_index snapshot_last_index; /* newest snapshot available for sending */
            raft_term snapshot_last_term;
        } compacted;
        struct {
            /* Borrowed: all members that shall be, MEMBER_VOTER saying who votes; newly only a
             * learner that has caught up.  Other voters: by way of a joint membership. */
            const struct membership *membership;
        } change_membership;
        bool is_distrusted; /* it appends and votes, and takes a snapshot it does not need */
        struct {
            node_id peer;
            raft_index above; /* the snapshot must be newer than that */
        } send_state;
        struct {
            node_id target; /* 0 = the voter that is furthest */
        } transfer;
    } u;
};

/* ---- Effects ---- */

/*
 * What must be durable here before a message leaves; zeros = nothing.  Acknowledgements are
 * only emitted for what is durable already, so the log half is zero today.
 */
struct raft_need {
    uint64_t hard_state_generation;
    raft_term log_term;
    raft_index log_index;
};

struct raft_send {
    struct message message; /* entries and chunks named by range only */
    struct raft_need need;
};

enum raft_append_kind {
    RAFT_APPEND_NONE,
    RAFT_APPEND_PROPOSALS,  /* the commands just submitted, in their order */
    RAFT_APPEND_NOOP,       /* a new leader's first entry [paper 8] */
    RAFT_APPEND_BOOTSTRAP,  /* the very first entry: raft_membership() as it is now */
    RAFT_APPEND_RECEIVED,   /* entries of the received message */
    RAFT_APPEND_MEMBERSHIP, /* one entry: raft_membership() as it is now; also of RAFT_TURN */
};

struct raft_read {
    uint64_t token;
    enum rk_status status; /* OK, or NOLEADER: ask again */
    raft_index read_index; /* serve once applied that far */
};

struct raft_effects {
    /* Overwritten by each step; arrays are valid until the next step. */
    bool has_hard_state;
    struct raft_hard_state hard_state;
    uint64_t hard_state_generation;

    raft_index truncate_from; /* drop this entry and all after; 0 = no */

    enum raft_append_kind append_kind;
    raft_term append_term;   /* of our own entries; received ones carry theirs */
    raft_index append_first; /* first entry to append */
    raft_index append_last;

    struct raft_send *sends;
    size_t send_count;

    raft_index commit_index; /* always set; apply up to here once durable */

    struct raft_read *reads;
    size_t read_count;

    /* of RAFT_SUBMIT: OK, NOLEADER (also while raft_holds_proposals()), OVERLOADED, NOSPACE */
    enum rk_status submit_status;
    /* of RAFT_CHANGE_MEMBERSHIP, RAFT_TRANSFER: why not, for people; NULL = it is begun */
    const char *refusal;

    node_id *send_snapshots; /* stream raft_snapshot_for() to these members */
    size_t send_snapshot_count;

    bool is_chunk_accepted; /* of a received INSTALL_SNAPSHOT: store it and reply */

    bool has_install; /* load the received snapshot; the log keeps entries after it only if told */
    raft_index install_last_index;
    raft_term install_last_term;
    bool install_keeps_suffix;

    bool role_changed; /* role, leader or term */

    node_id forgetful; /* acknowledged more than it has, and does not count; 0 = nobody */

    const char *halt; /* a contradiction only a person can solve: stop the node; else NULL */

    size_t send_capacity, read_capacity, send_snapshot_capacity; /* owned by the core */
};

void raft_effects_init(struct raft_effects *effects);
void raft_effects_release(struct raft_effects *effects);

/*
 * Advances the core by one event.  `event` is borrowed, nothing it points to is kept.
 * Bad input in a message never trips an assertion: it is dropped and traced, or halts.
 */
void raft_step(struct raft *r, const struct raft_event *event, struct raft_effects *effects);

/* Absolute time at which RAFT_TIMEOUT should come; INT64_MAX = never. */
time_ms raft_deadline_ms(const struct raft *r);

/* ---- Questions ---- */

void raft_get_status(const struct raft *r, struct raft_status *ret_status);

enum raft_role raft_role_of(const struct raft *r);
node_id raft_leader(const struct raft *r);
raft_term raft_current_term(const struct raft *r);
raft_index raft_commit_index(const struct raft *r);

/* Until this time of the steady clock nobody else can be elected; 0 = this node has no lease. */
time_ms raft_lease_until_ms(const struct raft *r);

bool raft_is_repairing(const struct raft *r); /* its log is not as far again as before damage */
node_id raft_transfer_target(const struct raft *r); /* to hand the office to; 0 = nobody */
/* Why this leader cannot change the members just now, but will be able to; NULL = it can. */
const char *raft_change_delay(const struct raft *r);
/* A leader that takes no proposals just now, as it is about to leave: keep them. */
bool raft_holds_proposals(const struct raft *r);

raft_term raft_term_at(const struct raft *r, raft_index index); /* 0 = not known here */

/* In force, and the index of its entry (0 = from configuration); valid until the next step.
 * The newest one known to be committed, likewise. */
const struct membership *raft_membership(const struct raft *r);
raft_index raft_membership_index(const struct raft *r);
const struct membership *raft_committed_membership(const struct raft *r, raft_index *ret_index);

/*
 * The snapshot `peer` is to be sent: false when it needs none, or not any more.  After a
 * failure it is the same one while the log continues it, so that the transfer can go on.
 */
bool raft_snapshot_for(const struct raft *r, node_id peer, raft_index *ret_last_index,
                       raft_term *ret_last_term);

/* Entries after this one are needed by members that are being sent a snapshot: cut before
 * they have it, they would need another one, and so on.  UINT64_MAX = no limit. */
raft_index raft_compaction_limit(const struct raft *r);

/* Checks every invariant the core can see; aborts on a violation.  Costs O(members). */
void raft_check_invariants(const struct raft *r);

uint64_t raft_state_hash(const struct raft *r); /* of everything, for replay checks */

#endif
