/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One consensus core under the hand of a test: events go in one by one, and each answer is
 * looked at.  The disk does nothing until core_persist().
 */
#ifndef SUPPORT_CORE_H
#define SUPPORT_CORE_H

#include "model/membership.h"
#include "raft/raft.h"

struct core {
    struct raft *raft;
    struct raft_effects effects; /* of the newest event */
    time_ms now_ms;
    struct membership membership;
    uint64_t generation; /* newest hard state asked for */
    bool has_leases;
    uint32_t feature_level; /* of the membership it starts with */
};

/* Node 1 of `voters`, term `term`, vote `voted_for`; its log holds entries of `terms`, which
 * end with 0. */
void core_open(struct core *c, unsigned voters, raft_term term, node_id voted_for,
               const raft_term *terms);
/* The same, when its log went on to this entry before it was damaged. */
void core_open_damaged(struct core *c, unsigned voters, raft_term term, const raft_term *terms,
                       struct raft_run lost_last);
/* With leases, for a drift of 10 %, at the feature level that knows them; `promised_ms` as its
 * disk has it. */
void core_open_leases(struct core *c, unsigned voters, raft_term term, const raft_term *terms,
                      time_ms promised_ms);
/* The same where a member may not know them: one level below. */
void core_open_leases_too_early(struct core *c, unsigned voters, raft_term term,
                                const raft_term *terms, time_ms promised_ms);
void core_close(struct core *c);

void core_event(struct core *c, enum raft_event_type type);
void core_pass(struct core *c, time_ms ms); /* time only */
void core_receive(struct core *c, const struct message *m);
/* The disk has done everything so far. */
void core_persist(struct core *c);
void core_persist_as(struct core *c, uint64_t generation, raft_term term, raft_index index);

/* Entries of `terms`, ending with 0, after (prev_index, prev_term). */
void core_append_entries(struct core *c, node_id from, raft_term term, raft_index prev_index,
                         raft_term prev_term, const raft_term *terms, raft_index leader_commit);
void core_request_vote(struct core *c, node_id from, raft_term term, raft_index last_index,
                       raft_term last_term, bool is_pre_vote);
void core_vote_reply(struct core *c, node_id from, raft_term term, bool is_granted,
                     bool is_pre_vote);
void core_append_reply(struct core *c, node_id from, raft_term term, raft_index match_index,
                       uint64_t read_sequence);
void core_read(struct core *c, uint64_t token);
/* Lets it win an election with the vote of node 2. */
void core_lead(struct core *c);

/* The newest message of this type among the effects; NULL = none. */
const struct raft_send *core_sent(const struct core *c, enum message_type type, node_id to);
struct raft_status core_status(const struct core *c);

#endif
