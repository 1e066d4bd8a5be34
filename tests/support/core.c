/* SPDX-License-Identifier: Apache-2.0 */
#include "support/core.h"

#include <stdio.h>

#include "base/assert.h"
#include "model/command.h"

#define ENTRIES_MAX 64

static raft_index fit(void *context, raft_index first, raft_index last, uint64_t bytes_max,
                      uint64_t *ret_bytes)
{
    uint64_t count = bytes_max / 100; /* every entry takes 100 bytes */

    (void)context;
    count = count == 0 ? 1 : count;
    count = count > last - first + 1 ? last - first + 1 : count;
    *ret_bytes = 100 * count;
    return first + count - 1;
}

static void open_core(struct core *c, unsigned voters, struct raft_hard_state hard_state,
                      const raft_term *terms, struct raft_run lost_last)
{
    struct raft_run runs[ENTRIES_MAX];
    struct raft_config config = {
        .id = 1,
        .seed = 42,
        .election_timeout_ms = 1000,
        .heartbeat_interval_ms = 100,
        .has_leases = c->has_leases,
        .clock_drift_percent = 10,
        .uncommitted_bytes_max = 10000,
        .inflight_bytes_max = 2000,
        .inflight_count_max = 4,
        .append_bytes_max = 1000,
        .append_count_max = 100,
        .fit = fit,
    };
    struct raft_recovered recovered = { .hard_state = hard_state,
                                        .log_first_index = 1,
                                        .lost_last = lost_last };

    *c = (struct core){ .now_ms = 1,
                        .has_leases = c->has_leases,
                        .feature_level = c->feature_level };
    c->membership.feature_level = c->feature_level;
    for (node_id id = 1; id <= voters; id++) {
        struct member m = { .id = id, .flags = MEMBER_VOTER | MEMBER_VOTER_OLD };

        (void)snprintf(m.name, sizeof m.name, "n%u", (unsigned)id);
        PRE(membership_add(&c->membership, &m) == RK_OK);
    }
    for (raft_index i = 0; terms[i] != 0; i++) {
        runs[recovered.run_count] = (struct raft_run){ i + 1, terms[i] };
        recovered.run_count += i == 0 || terms[i] != terms[i - 1];
        recovered.log_last_index = i + 1;
    }
    recovered.runs = runs;
    recovered.committed_membership = &c->membership;
    c->raft = raft_new(&config, &recovered, c->now_ms, c->has_leases ? c->now_ms : 0);
    raft_effects_init(&c->effects);
}

void core_open(struct core *c, unsigned voters, raft_term term, node_id voted_for,
               const raft_term *terms)
{
    *c = (struct core){ .has_leases = false };
    open_core(c, voters, (struct raft_hard_state){ term, voted_for, 0 }, terms,
              (struct raft_run){ 0 });
}

void core_open_damaged(struct core *c, unsigned voters, raft_term term, const raft_term *terms,
                       struct raft_run lost_last)
{
    *c = (struct core){ .has_leases = false };
    open_core(c, voters, (struct raft_hard_state){ term, 0, 0 }, terms, lost_last);
}

void core_open_leases(struct core *c, unsigned voters, raft_term term, const raft_term *terms,
                      time_ms promised_ms)
{
    *c = (struct core){ .has_leases = true, .feature_level = FEATURE_LEVEL_PROMISES };
    open_core(c, voters, (struct raft_hard_state){ term, 0, promised_ms }, terms,
              (struct raft_run){ 0 });
}

void core_open_leases_too_early(struct core *c, unsigned voters, raft_term term,
                                const raft_term *terms, time_ms promised_ms)
{
    *c = (struct core){ .has_leases = true, .feature_level = FEATURE_LEVEL_PROMISES - 1 };
    open_core(c, voters, (struct raft_hard_state){ term, 0, promised_ms }, terms,
              (struct raft_run){ 0 });
}

void core_close(struct core *c)
{
    raft_free(c->raft);
    raft_effects_release(&c->effects);
}

static void step(struct core *c, struct raft_event *event)
{
    event->now_ms = c->now_ms;
    event->steady_ms = c->has_leases ? c->now_ms : 0;
    raft_step(c->raft, event, &c->effects);
    c->generation = c->effects.hard_state_generation;
}

void core_event(struct core *c, enum raft_event_type type)
{
    step(c, &(struct raft_event){ .type = type });
}

void core_pass(struct core *c, time_ms ms)
{
    c->now_ms += ms;
    core_event(c, RAFT_TIMEOUT);
}

void core_receive(struct core *c, const struct message *m)
{
    struct raft_event event = { .type = RAFT_RECEIVE };

    event.u.receive = m;
    step(c, &event);
}

void core_persist_as(struct core *c, uint64_t generation, raft_term term, raft_index index)
{
    struct raft_event event = { .type = RAFT_PERSISTED };

    event.u.persisted.hard_state_generation = generation;
    event.u.persisted.last_term = term;
    event.u.persisted.last_index = index;
    step(c, &event);
}

void core_persist(struct core *c)
{
    struct raft_status s = core_status(c);

    core_persist_as(c, c->generation, s.last_term, s.log_last_index);
}

void core_append_entries(struct core *c, node_id from, raft_term term, raft_index prev_index,
                         raft_term prev_term, const raft_term *terms, raft_index leader_commit)
{
    static const uint8_t noop[] = { 16 };
    struct entry entries[ENTRIES_MAX];
    struct message m = { .type = MESSAGE_APPEND_ENTRIES, .from = from, .to = 1, .term = term };
    uint32_t count = 0;

    for (; terms[count] != 0; count++) {
        entries[count].term = terms[count];
        entries[count].index = prev_index + 1 + count;
        entries[count].command = slice_of(noop, sizeof noop);
    }
    m.u.append_entries.prev_log_index = prev_index;
    m.u.append_entries.prev_log_term = prev_term;
    m.u.append_entries.leader_commit = leader_commit;
    m.u.append_entries.count = count;
    m.u.append_entries.entries = entries;
    core_receive(c, &m);
}

void core_request_vote(struct core *c, node_id from, raft_term term, raft_index last_index,
                       raft_term last_term, bool is_pre_vote)
{
    struct message m = { .type = MESSAGE_REQUEST_VOTE, .from = from, .to = 1, .term = term };

    m.u.request_vote.last_log_index = last_index;
    m.u.request_vote.last_log_term = last_term;
    m.u.request_vote.is_pre_vote = is_pre_vote;
    core_receive(c, &m);
}

void core_vote_reply(struct core *c, node_id from, raft_term term, bool is_granted,
                     bool is_pre_vote)
{
    struct message m = { .type = MESSAGE_REQUEST_VOTE_REPLY, .from = from, .to = 1, .term = term };

    m.u.request_vote_reply.is_granted = is_granted;
    m.u.request_vote_reply.is_pre_vote = is_pre_vote;
    core_receive(c, &m);
}

void core_append_reply(struct core *c, node_id from, raft_term term, raft_index match_index,
                       uint64_t read_sequence)
{
    struct message m = {
        .type = MESSAGE_APPEND_ENTRIES_REPLY, .from = from, .to = 1, .term = term
    };

    m.u.append_entries_reply.is_success = true;
    m.u.append_entries_reply.match_index = match_index;
    m.u.append_entries_reply.last_log_index = match_index;
    m.u.append_entries_reply.read_sequence = read_sequence;
    core_receive(c, &m);
}

void core_read(struct core *c, uint64_t token)
{
    struct raft_event event = { .type = RAFT_READ };

    event.u.read.token = token;
    step(c, &event);
}

void core_lead(struct core *c)
{
    core_event(c, RAFT_CAMPAIGN);
    core_persist(c);
    core_vote_reply(c, 2, core_status(c).current_term, true, false);
    PRE(core_status(c).role == RAFT_LEADER);
}

const struct raft_send *core_sent(const struct core *c, enum message_type type, node_id to)
{
    for (size_t i = c->effects.send_count; i-- > 0;) {
        if (c->effects.sends[i].message.type == type && c->effects.sends[i].message.to == to) {
            return &c->effects.sends[i];
        }
    }
    return NULL;
}

struct raft_status core_status(const struct core *c)
{
    struct raft_status s;

    raft_get_status(c->raft, &s);
    return s;
}
