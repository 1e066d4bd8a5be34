/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands on their way to an outcome.
 *
 *   queue      taken in this turn, or held because no leader is known
 *   forwards   sent to the leader, which has not said yet where they went
 *   pending    appended: (term, index) known, waiting to be applied here
 *
 *   queue -> pending    this node leads: appended             [proposals_seal]
 *   queue -> forwards   another node leads: sent there        [proposals_turn]
 *   forwards -> pending the leader appended them              [proposals_forward_replied]
 *   forwards -> queue   it was no leader: nothing was done    [proposals_forward_replied]
 *   forwards -> UNKNOWN the connection ended without a reply  [proposals_peer_lost]
 *   forwards -> UNKNOWN another node leads by now             [proposals_led_by]
 *   pending -> OK       that very entry was applied           [proposals_applied]
 *   pending -> NOLEADER another entry has its index: it can never commit
 *   any -> timeout      NOLEADER from the queue, else UNKNOWN [proposals_expire]
 *
 * The result comes from applying the entry on this very node, so a client that was answered
 * here can read its write here.  Commands keep the order they were proposed in.
 * Thread: the loop.
 */
#ifndef NODE_PROPOSALS_H
#define NODE_PROPOSALS_H

#include "node/batch.h"
#include "node/node.h"
#include "wire/raft_codec.h"

/* One caller waiting. */
struct proposal {
    node_proposed_fn done; /* NULL: nobody waits any more */
    void *context;
    int64_t started_us;
};

/* Commands with room for an entry header in front of each. */
struct proposal_queue {
    struct buffer bytes;
    size_t *offsets;
    struct proposal *items; /* NULL in the queue of forwarded commands */
    size_t count, capacity;
};

struct pending_proposal {
    raft_index index;
    raft_term term;
    struct proposal proposal;
};

/* Commands sent to the leader together. */
struct forward {
    struct forward *next;
    node_id leader;
    uint64_t first_token;
    struct proposal_queue commands;
    bool is_returned; /* the leader was none: they go back to the queue */
};

/* A run of commands a follower forwarded to us; a refused one is not in the queue. */
struct forwarded_run {
    node_id peer;
    uint64_t first_token;
    uint32_t count;
    enum rk_status refused; /* OK = it is not */
};

struct proposals {
    struct proposal_queue queue;  /* our own callers' */
    struct proposal_queue remote; /* forwarded to us in this turn */
    struct forwarded_run *runs;   /* of remote */
    size_t run_count, run_capacity;
    struct forward *forwards; /* oldest first */
    uint64_t next_token;
    struct pending_proposal *pending; /* ring, by index */
    size_t pending_head, pending_count, pending_capacity;
    uint64_t total, failed_total, forwards_total;
};

void proposals_release(struct proposals *p);

/* Everything that waits, for status and bounds. */
size_t proposals_waiting(const struct proposals *p);

/* Errors: OVERLOADED. */
enum rk_status proposals_add(struct proposals *p, struct slice command, node_proposed_fn done,
                             void *context) MUST_USE;

/* Commands of a FRAME_FORWARD, judged as a client's: the follower may go by a newer feature level,
 * or lie.  All of them are refused if one is; that is answered in the order of the frames.
 * Errors: PROTOCOL (what no node sends). */
enum rk_status proposals_add_forwarded(struct node *n, node_id peer, uint64_t first_token,
                                       uint32_t count, struct slice commands) MUST_USE;

/* End of a turn: submits as leader, forwards as follower, or holds. */
void proposals_turn(struct node *n);

/* The queue being submitted becomes a batch: the append that raft_step answered with. */
struct batch *proposals_seal(struct node *n, raft_term term, raft_index first_index);

void proposals_forward_replied(struct node *n, node_id peer, const struct forward_reply *reply);
void proposals_peer_lost(struct node *n, node_id peer);
/* Another node leads now: what its predecessor was sent may not be overtaken, so it ends as
 * UNKNOWN before anything goes to the new one. */
void proposals_led_by(struct node *n, node_id leader);
void proposals_applied(struct node *n, raft_index index, raft_term term,
                       const struct refdb_result *result);

/* The state jumped to `index` by a snapshot: results up to there cannot be known. */
void proposals_skipped(struct node *n, raft_index index);
void proposals_expire(struct node *n);

/* This node is a member no more and learns of nothing: its callers may ask another one. */
void proposals_refuse(struct node *n);

/* The node is closing: whatever waits is told. */
void proposals_abandon(struct node *n);

#endif
