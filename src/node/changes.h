/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of the members, and transfers of the leader's office, on their way to an outcome.
 *
 *   queued     not begun: no leader is known, or the leader is in the middle of another change
 *   forwarded  sent to the leader, which has not said yet what became of it
 *   begun      this node leads and has appended its entry, or begun the transfer
 *
 *   queued -> begun       this node leads                          [changes_turn]
 *   queued -> forwarded   another node leads                       [changes_turn]
 *   queued -> refused     the rules of consensus do not allow it, with the reason
 *   forwarded -> queued   it was no leader                         [changes_replied]
 *   forwarded -> OK       of a transfer: the new leader is seen
 *   forwarded -> UNKNOWN  its connection ended
 *   begun -> OK           a membership that holds it is committed, and no joint one
 *   begun -> UNKNOWN      this node leads no more
 *   any -> timeout        NOLEADER or the reason from the queue, else UNKNOWN
 *
 * Also here: what the leader changes by itself, as members say who they are (addresses of their
 * front ends, the incarnation of a directory that was admitted by name).
 * Thread: the loop.
 */
#ifndef NODE_CHANGES_H
#define NODE_CHANGES_H

#include "node/node.h"
#include "wire/raft_codec.h"

struct change_waiter;

struct changes {
    struct change_waiter *first; /* in order of arrival */
    unsigned count;
    uint64_t next_token;
    bool is_identity_due;   /* somebody may have said something new of itself */
    time_ms identity_at_ms; /* not before this: it was refused just now */
};

/* Of a peer that does not lead: FRAME_CHANGE.  Errors: OVERLOADED (the caller answers). */
enum rk_status changes_add_forwarded(struct node *n, node_id peer, uint64_t token,
                                     const struct member_change *change) MUST_USE;

void changes_replied(struct node *n, node_id peer, const struct change_reply *reply);
void changes_peer_lost(struct node *n, node_id peer);

/* The peer is no member any more, and about to be disconnected: it may be what it asked for, so
 * what is decided of its changes is told it first. */
void changes_part_from(struct node *n, node_id peer);

/* End of a turn: begins, forwards, and tells those whose change is decided. */
void changes_turn(struct node *n);
bool changes_are_waiting(const struct node *n);

/* The node is closing: whoever waits is told. */
void changes_abandon(struct node *n);

#endif
