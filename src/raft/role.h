/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roles and the ways between them.
 *
 *                    timeout,                 majority of              majority of votes,
 *                    host closed              pre-votes                own one durable
 *      FOLLOWER ----------------> PRE_CANDIDATE --------> CANDIDATE ------------------> LEADER
 *       ^  |                        |  ^    |              |  |  ^ |                      |
 *       |  +- timeout_now ----------+--+----+--------------|--|--+ |                      |
 *       |                           |  +---- timeout ------+  +----+ timeout_now          |
 *       +---------------------------+---------------------------+-------------------------+
 *            higher term; leader of this term heard; own vote given away; no quorum heard
 *
 *   from           to             function                  cause
 *   FOLLOWER       PRE_CANDIDATE  election_start_pre_vote   timeout, leader's host closed
 *   PRE_CANDIDATE  PRE_CANDIDATE  election_start_pre_vote   timeout
 *   CANDIDATE      PRE_CANDIDATE  election_start_pre_vote   timeout, lost
 *   PRE_CANDIDATE  CANDIDATE      election_start            majority of pre-votes
 *   FOLLOWER       CANDIDATE      election_start            timeout_now, campaign
 *   CANDIDATE      CANDIDATE      election_start            timeout_now, campaign
 *   CANDIDATE      LEADER         role_become_leader        majority of votes
 *   any            FOLLOWER       role_become_follower      see above
 *
 *   FOLLOWER       may know the leader of its term
 *   PRE_CANDIDATE  knows no leader; term and vote are untouched [thesis 9.6]
 *   CANDIDATE      knows no leader; voted for itself
 *   LEADER         is the leader; its newest entry is of its own term
 */
#ifndef RAFT_ROLE_H
#define RAFT_ROLE_H

#include "raft/raft.h"

/* True when the table above has this way. */
bool role_may_change(enum raft_role from, enum raft_role to);

/* The current term grows and the vote is free again: the only place that clears it. */
void role_raise_term(struct raft *r, raft_term term);

/* Sets who leads the current term; a change fails pending reads. */
void role_set_leader(struct raft *r, node_id leader);

/* Same term: keeps the vote [paper 5.2]. */
void role_become_follower(struct raft *r, node_id leader);
void role_become_pre_candidate(struct raft *r);
void role_become_candidate(struct raft *r);
void role_become_leader(struct raft *r);

#endif
