/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of the core and what its files offer each other.  For src/raft only.
 *
 * Reading order: role.h, step.c, request_vote.c, append_entries.c, replication.c.
 */
#ifndef RAFT_RAFT_INTERNAL_H
#define RAFT_RAFT_INTERNAL_H

#include <inttypes.h>

#include "base/limits.h"
#include "base/rng.h"
#include "raft/progress.h"
#include "raft/quorum.h"
#include "raft/raft.h"
#include "raft/role.h"
#include "raft/trail.h"

/* Larger values in a message are nonsense; keeps every sum of ours from wrapping. */
#define RAFT_NUMBER_MAX ((uint64_t)1 << 62)

/* A probe is mostly a question: it carries at most this much. */
#define PROBE_BYTES_MAX (64 * KIB)

/* Retries of an election that was surely lost: the jitter doubles this many times. */
#define ELECTION_RETRY_DOUBLINGS_MAX 6

#define POSITION_FMT "%" PRIu64 "^%" PRIu64 /* index^term, everywhere in traces */

/* One member of the membership in force, this node included. */
struct raft_member {
    node_id id;
    unsigned halves;          /* MEMBER_VOTER, MEMBER_VOTER_OLD; 0 = learner */
    bool is_closed;           /* its host closed the connection and nothing came since */
    enum quorum_vote vote;    /* in the election going on here */
    struct progress progress; /* leader only; its own slot is unused */
    struct inflight *window;  /* of progress */
};

/* A linearizable read waiting here: of this leader's node, of a follower, or at the leader. */
struct raft_pending_read {
    uint64_t token;      /* of the node's read; of the asking follower's message */
    uint64_t wire_token; /* asked the leader under this token; 0 = pending on this leader */
    node_id from;        /* follower that asked; 0 = this node */
    uint64_t sequence;   /* leader: confirmed by this round */
    raft_index read_index;
    time_ms since_ms;
};

/* A round of heartbeats whose echo says that a promise began no earlier. */
struct lease_round {
    uint64_t sequence;
    time_ms sent_ms; /* steady */
};

/* Proposals of one submit, uncommitted. */
struct raft_uncommitted {
    raft_index last_index;
    uint64_t bytes;
};

struct raft {
    struct raft_config config;
    struct rng rng;
    time_ms now_ms;               /* of the event in hand */
    time_ms steady_ms;            /* likewise */
    time_ms disk_age_ms;          /* likewise */
    bool is_disk_full;            /* likewise */
    struct raft_effects *effects; /* of the step in hand; NULL between steps */
    const char *halt;             /* set once; nothing is done after it */

    /* What survives a crash, and how much of it is durable already. */
    struct raft_hard_state hard_state;
    uint64_t hard_state_generation; /* newest one; 0 = as recovered */
    uint64_t term_generation;       /* the one that brought current_term */
    uint64_t truncate_generation;   /* newest one when the log was last truncated */
    uint64_t promise_generation;    /* the one that brought promised_ms */
    uint64_t durable_generation;
    struct trail trail;
    raft_index durable_index;
    raft_index lost_last_index; /* where the log ended before it was damaged; 0 = it was not */
    raft_term lost_last_term;
    raft_index snapshot_last_index; /* newest snapshot available; 0 = none */
    raft_term snapshot_last_term;

    struct membership committed_membership;
    raft_index committed_membership_index;
    struct membership latest_membership; /* in force */
    raft_index latest_membership_index;
    struct raft_member members[MEMBERS_MAX]; /* of latest_membership, in its order */
    unsigned member_count;
    bool is_change_due;       /* the newest membership asks for another one to follow it */
    struct inflight *windows; /* one allocation for all members */

    enum raft_role role;
    node_id leader; /* of current_term; 0 = unknown */
    raft_index commit_index;

    /* Elections */
    bool is_distrusted; /* RAFT_DISTRUST */
    bool is_waiting;    /* empty, no hard state: quiet until RAFT_BOOTSTRAP or a first entry */
    bool is_transfer;   /* the election going on was asked for by the leader */
    bool is_lost;       /* the election going on was surely lost */
    unsigned lost_count;
    time_ms timeout_ms; /* as drawn, in [election_timeout_ms, 2 * election_timeout_ms) */
    time_ms election_deadline_ms;
    time_ms leader_heard_ms;
    time_ms promised_until_ms;      /* steady: no vote is given before */
    time_ms start_promise_until_ms; /* likewise, of promises made before this start */

    /* Follower: what this leader was told and has told. */
    raft_index verified_index; /* equal to the leader's log up to here */
    raft_index acked_index;
    uint64_t echo_sequence; /* newest read sequence heard */
    time_ms replied_ms;

    /* A snapshot being installed: entries are not taken meanwhile.  last_index 0 = none. */
    struct {
        raft_index last_index;
        raft_term last_term;
        bool keeps_suffix;
        struct membership membership;
        raft_index membership_index;
    } install;

    /* Leader */
    raft_index term_start_index; /* its first entry */
    time_ms leader_since_ms;
    time_ms heartbeat_due_ms;
    uint64_t read_sequence; /* newest round sent */
    struct {
        node_id target; /* 0 = no transfer */
        time_ms deadline_ms;
        time_ms retry_ms; /* a leader without space tries again then */
        bool is_sent;     /* TimeoutNow has left */
        bool is_leaving;  /* this leader ends in any case: removed, or its disk hangs */
    } transfer;
    bool is_round_due;
    bool is_doubt_due; /* the next beat is a round: somebody's log seems too short */
    struct {
        struct lease_round rounds[LEASE_ROUNDS_MAX]; /* ring; the newest is round_count - 1 */
        uint64_t round_count;
        bool is_void; /* TimeoutNow was sent in this term */
    } lease;
    uint64_t reads_by_lease, reads_by_round;
    struct raft_uncommitted *uncommitted; /* ring */
    size_t uncommitted_first, uncommitted_count, uncommitted_capacity;
    uint64_t uncommitted_bytes;

    struct raft_pending_read *reads; /* in order of arrival */
    size_t read_count, read_capacity;
    uint64_t wire_token; /* last one used; starts at random, so that boots do not share them */

    struct membership scratch_membership; /* of a received entry being examined */
};

/* ---- step.c ---- */

/* Stops the core for good: `why` is a string literal. */
void raft_halt(struct raft *r, const char *why);

/* Says one decision; `format` is read only when somebody listens. */
void raft_trace(struct raft *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- effects.c ---- */

void effects_begin(struct raft *r, struct raft_effects *effects);
void effects_end(struct raft *r);
/* The hard state has changed: a new generation, one per step. */
void effects_hard_state(struct raft *r);
/* A zeroed message of the current term, needing a durable term. */
struct raft_send *effects_send(struct raft *r, node_id to, enum message_type type);
void effects_read(struct raft *r, uint64_t token, enum rk_status status, raft_index read_index);
void effects_send_snapshot(struct raft *r, node_id peer);

/* ---- members.c ---- */

struct raft_member *members_find(struct raft *r, node_id id); /* NULL = not a member */
/* This node is a voter, or was until a membership that may yet be taken back; its disk works,
 * and its state is the others'. */
bool members_can_campaign(const struct raft *r);
/* Leader: a quorum of voters has space for more entries. */
bool members_have_space(const struct raft *r);
/* Leader: it has replied within an election timeout and not hung up since, or is this node. */
bool members_is_reachable(const struct raft *r, const struct raft_member *member);
bool members_is_caught_up(const struct raft *r, const struct raft_member *member);
/* Puts the membership entry at `index` in force, from its append on [thesis 4.1]. */
void members_adopt(struct raft *r, const struct membership *m, raft_index index);
/* The entry at `from` and all after are gone. */
void members_truncated(struct raft *r, raft_index from);
void members_committed(struct raft *r);
/* Rebuilds members[] from latest_membership, keeping what is known of those that stay. */
void members_refresh(struct raft *r);
uint64_t members_quorum(const struct raft *r,
                        uint64_t (*value)(const struct raft *r, const struct raft_member *member));
uint64_t members_value_match(const struct raft *r, const struct raft_member *member);
uint64_t members_value_heard(const struct raft *r, const struct raft_member *member);
uint64_t members_value_read(const struct raft *r, const struct raft_member *member);

/* ---- membership_change.c ---- */

void membership_change(struct raft *r, const struct membership *to);
/* End of a turn: what the newest membership asks for. */
void membership_turn(struct raft *r);

/* ---- transfer.c ---- */

void transfer_start(struct raft *r, node_id target);
/* Ends this leader, gently when somebody can take over. */
void transfer_leave(struct raft *r, const char *why);
void transfer_turn(struct raft *r);
void transfer_expire(struct raft *r);
/* This node's disk has not answered for too long: it neither leads, campaigns nor votes. */
bool disk_is_stalled(const struct raft *r);

/* ---- election.c ---- */

void election_draw_timeout(struct raft *r);
/* Anything from the leader of the current term was received.  False: halted, as there is
 * another one. */
bool election_heard_leader(struct raft *r, node_id leader);
/* Stickiness [thesis 4.2.3]: a leader is heard, or the vote is promised to one. */
bool election_is_leader_heard(const struct raft *r);
/* A short jitter instead of a timeout, behind what was promised. */
void election_soon(struct raft *r);
void election_start_pre_vote(struct raft *r); /* [thesis 9.6] */
void election_start(struct raft *r, bool is_transfer);
void election_count(struct raft *r); /* acts when the votes decide it */
void election_persisted(struct raft *r);

/* ---- one file per message ---- */

void receive_request_vote(struct raft *r, const struct message *m);
void request_vote_refuse(struct raft *r, const struct message *m);
void send_request_vote(struct raft *r, node_id to);
void receive_request_vote_reply(struct raft *r, const struct message *m);
void receive_append_entries(struct raft *r, const struct message *m);
void append_entries_refuse_stale(struct raft *r, const struct message *m);
void append_entries_persisted(struct raft *r); /* the follower's deferred acknowledgement */
void receive_append_entries_reply(struct raft *r, const struct message *m);
void receive_install_snapshot(struct raft *r, const struct message *m);
void receive_install_snapshot_reply(struct raft *r, const struct message *m);
void install_snapshot_received(struct raft *r, const struct raft_event *event);
void install_snapshot_installed(struct raft *r, const struct raft_event *event);
void receive_read_index(struct raft *r, const struct message *m);
void receive_read_index_reply(struct raft *r, const struct message *m);
void receive_timeout_now(struct raft *r, const struct message *m);

/* ---- log.c ---- */

raft_index follower_match(const struct raft *r); /* durable here and equal to the leader's */
void log_truncate(struct raft *r, raft_index from);
void log_append_own(struct raft *r, enum raft_append_kind kind, uint32_t count);
void log_commit(struct raft *r, raft_index index);
void log_commit_counted(struct raft *r); /* leader: what a quorum holds [paper 5.3, 5.4] */
void log_persisted(struct raft *r, const struct raft_event *event);
/* Forgets what was lost once the durable log is no longer behind it. */
void log_regained(struct raft *r);
void log_compacted(struct raft *r, const struct raft_event *event);

/* ---- proposals.c ---- */

void proposals_submit(struct raft *r, uint32_t count, uint64_t bytes);
void proposals_committed(struct raft *r);
void proposals_clear(struct raft *r);

/* ---- lease.c ---- */

void lease_init(struct raft *r);
/* Follower: anything of the leader of the current term was received. */
void lease_leader_heard(struct raft *r);
time_ms lease_promise_left_ms(const struct raft *r); /* until this node may vote; 0 = it may */
/* What a reply may say: only what is durable, and what all members understand; 0 = nothing. */
uint32_t lease_promise_told_ms(const struct raft *r);
/* Leader: round read_sequence leaves. */
void lease_round_sent(struct raft *r);
void lease_echoed(struct raft *r, struct raft_member *member, uint64_t sequence,
                  uint32_t promised_ms);
bool lease_is_held(const struct raft *r);

/* ---- read_index.c ---- */

void reads_begin(struct raft *r, uint64_t token);
void reads_release(struct raft *r); /* leader: those whose round is confirmed */
void reads_fail(struct raft *r);    /* all: leader or role changed */
void reads_expire(struct raft *r);  /* follower: those the leader never answered */
time_ms reads_deadline_ms(const struct raft *r);

/* ---- replication.c ---- */

void replication_start(struct raft *r); /* on becoming leader */
void replication_turn(struct raft *r);
void replication_peer_opened(struct raft *r, struct raft_member *member);
void replication_peer_closed(struct raft *r, struct raft_member *member);
void replication_acknowledged(struct raft *r, struct raft_member *member, raft_index match_index);
/* It has lost entries it had acknowledged: nothing above `last_index` counts any more. */
void replication_regressed(struct raft *r, struct raft_member *member, raft_index last_index);
void replication_refused(struct raft *r, struct raft_member *member, const struct message *m);
void replication_send_state(struct raft *r, const struct raft_event *event);
void replication_snapshot_sent(struct raft *r, const struct raft_event *event);

/* ---- timer.c ---- */

void timer_fired(struct raft *r);
time_ms timer_quorum_deadline_ms(const struct raft *r); /* CheckQuorum; INT64_MAX = never */

/* ---- invariants.c ---- */

void raft_check_invariants_deep(const struct raft *r); /* O(runs); for tests */

#endif
