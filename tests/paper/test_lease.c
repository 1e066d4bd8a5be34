/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases: what a voter promises, and what a leader may conclude from it [thesis 6.4.1].
 *
 * The election timeout is 1000 ms and the drift 10 %, so a promise heard of is worth 898 ms from
 * the moment its heartbeat was sent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/core.h"

#define TERMS(...) ((const raft_term[]){ __VA_ARGS__, 0 })
#define NONE ((const raft_term[]){ 0 })
#define PROMISE_MS 1000
#define WORTH_MS 898

/* Node `from` echoes `sequence` in term 2 and has `match_index`. */
static void promise(struct core *c, node_id from, raft_index match_index, uint64_t sequence,
                    uint32_t promised_ms)
{
    struct message m = { .type = MESSAGE_APPEND_ENTRIES_REPLY, .from = from, .to = 1, .term = 2 };

    m.u.append_entries_reply.is_success = true;
    m.u.append_entries_reply.match_index = match_index;
    m.u.append_entries_reply.last_log_index = match_index;
    m.u.append_entries_reply.read_sequence = sequence;
    m.u.append_entries_reply.promised_ms = promised_ms;
    core_receive(c, &m);
}

static uint64_t beat(struct core *c)
{
    core_event(c, RAFT_TURN);
    return core_sent(c, MESSAGE_APPEND_ENTRIES, 2)->message.u.append_entries.read_sequence;
}

/* Leads in term 2 since now_ms; its no-op is committed when the promise comes. */
static void lead(struct core *c, unsigned voters)
{
    core_open_leases(c, voters, 1, TERMS(1), PROMISE_MS);
    core_pass(c, 3000); /* over: what was promised before this start */
    if (core_status(c).role == RAFT_PRE_CANDIDATE) {
        core_vote_reply(c, 2, 2, true, true);
        core_vote_reply(c, 3, 2, true, true);
    } else {
        core_event(c, RAFT_CAMPAIGN);
    }
    core_persist(c);
    core_vote_reply(c, 2, 2, true, false);
    if (voters == 5) {
        core_vote_reply(c, 3, 2, true, false);
    }
    assert_int_equal(core_status(c).role, RAFT_LEADER);
    core_persist(c);
}

static bool is_answered(struct core *c)
{
    core_read(c, 7);
    return c->effects.read_count > 0 && c->effects.reads[0].status == RK_OK;
}

static void vote_reply_of(struct core *c, node_id from, raft_term term, bool is_transfer)
{
    struct message m = { .type = MESSAGE_REQUEST_VOTE, .from = from, .to = 1, .term = term };

    m.u.request_vote.last_log_index = 9;
    m.u.request_vote.last_log_term = term - 1;
    m.u.request_vote.is_transfer = is_transfer;
    core_receive(c, &m);
}

static bool is_granted(struct core *c, node_id from, raft_term term, bool is_transfer)
{
    vote_reply_of(c, from, term, is_transfer);
    return core_sent(c, MESSAGE_REQUEST_VOTE_REPLY, from)->message.u.request_vote_reply.is_granted;
}

/* ---- The leader ---- */

static void it_counts_from_the_moment_the_heartbeat_was_sent(void **state)
{
    struct core c;
    time_ms sent_ms;
    uint64_t sequence;

    (void)state;
    lead(&c, 3);
    sequence = beat(&c);
    sent_ms = c.now_ms;
    core_pass(&c, 400); /* the answer is slow */
    promise(&c, 2, 2, sequence, PROMISE_MS);
    assert_int_equal(raft_lease_until_ms(c.raft), sent_ms + WORTH_MS);
    assert_true(is_answered(&c));
    assert_int_equal(c.effects.reads[0].read_index, 2);
    assert_int_equal(core_status(&c).reads_by_lease, 1);
    core_pass(&c, 497);
    assert_true(is_answered(&c));
    core_pass(&c, 1);
    assert_false(is_answered(&c)); /* it waits for a round, as without a lease */
    assert_int_equal(core_status(&c).lease_ms, 0);
    core_close(&c);
}

static void a_late_answer_renews_no_lease(void **state)
{
    struct core c;
    uint64_t sequence;

    (void)state;
    lead(&c, 3);
    sequence = beat(&c);
    promise(&c, 2, 2, sequence, PROMISE_MS);
    core_pass(&c, 450);
    (void)beat(&c);
    core_pass(&c, 449);
    promise(&c, 2, 2, sequence, PROMISE_MS); /* the first one again */
    assert_false(is_answered(&c));
    core_close(&c);
}

static void an_echo_of_a_round_counts_as_no_later_one(void **state)
{
    struct core c;
    uint64_t first;
    time_ms sent_ms;

    (void)state;
    lead(&c, 3);
    first = beat(&c);
    sent_ms = c.now_ms;
    for (int i = 0; i < 5; i++) {
        core_pass(&c, 100);
        (void)beat(&c);
    }
    promise(&c, 2, 2, first + 2, PROMISE_MS);
    assert_int_equal(raft_lease_until_ms(c.raft), sent_ms + 200 + WORTH_MS);
    core_close(&c);
}

static void it_needs_a_majority_that_promised(void **state)
{
    struct core c;
    uint64_t sequence;

    (void)state;
    lead(&c, 5);
    sequence = beat(&c);
    promise(&c, 2, 2, sequence, PROMISE_MS);
    promise(&c, 3, 2, sequence, 0); /* leases are off there, or it knows none */
    assert_int_equal(core_status(&c).commit_index, 2);
    assert_int_equal(raft_lease_until_ms(c.raft), 0);
    core_read(&c, 1);
    core_event(&c, RAFT_TURN);
    promise(&c, 4, 0, sequence, PROMISE_MS);
    assert_int_equal(c.effects.read_count, 1); /* by the lease: no round was confirmed */
    assert_true(core_status(&c).lease_ms > 0);
    core_close(&c);
}

static void a_shorter_promise_is_a_shorter_lease(void **state)
{
    struct core c;

    (void)state;
    lead(&c, 3);
    promise(&c, 2, 2, beat(&c), 500);
    assert_int_equal(raft_lease_until_ms(c.raft), c.now_ms + 448);
    core_pass(&c, 100);
    promise(&c, 3, 2, beat(&c), PROMISE_MS); /* the better one of a majority counts */
    assert_int_equal(raft_lease_until_ms(c.raft), c.now_ms + WORTH_MS);
    core_close(&c);
}

static void there_is_none_before_the_first_commit_of_the_term(void **state)
{
    struct core c;

    (void)state;
    lead(&c, 3);
    promise(&c, 2, 1, beat(&c), PROMISE_MS);
    assert_int_equal(raft_lease_until_ms(c.raft), 0);
    assert_false(is_answered(&c));
    promise(&c, 2, 2, 0, PROMISE_MS);
    assert_int_equal(c.effects.read_count, 1);
    core_close(&c);
}

static void without_the_setting_promises_mean_nothing(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    core_lead(&c);
    core_persist(&c);
    promise(&c, 2, 2, beat(&c), PROMISE_MS);
    assert_int_equal(raft_lease_until_ms(c.raft), 0);
    assert_false(is_answered(&c));
    core_close(&c);
}

static void both_halves_must_have_promised(void **state)
{
    struct raft_event event = { .type = RAFT_CHANGE_MEMBERSHIP };
    struct member added = { .id = 4, .incarnation = 1, .name = "n4" };
    struct membership to;
    struct core c;

    (void)state;
    lead(&c, 3);
    promise(&c, 2, 2, beat(&c), PROMISE_MS);
    to = *raft_membership(c.raft);
    assert_int_equal(membership_add(&to, &added), RK_OK);
    event.u.change_membership.membership = &to;
    event.now_ms = event.steady_ms = c.now_ms;
    raft_step(c.raft, &event, &c.effects);
    assert_null(c.effects.refusal);
    core_persist(&c);
    for (int i = 0; i < 3; i++) { /* the learner catches up */
        core_pass(&c, 100);
        promise(&c, 2, 3, beat(&c), PROMISE_MS);
        promise(&c, 3, 3, 0, 0);
        promise(&c, 4, 3, 0, 0);
    }
    to.members[3].flags = MEMBER_VOTER;
    assert_true(membership_remove(&to, 2));
    raft_step(c.raft,
              &(struct raft_event){ .type = RAFT_CHANGE_MEMBERSHIP,
                                    .now_ms = c.now_ms,
                                    .steady_ms = c.now_ms,
                                    .u.change_membership.membership = &to },
              &c.effects);
    assert_null(c.effects.refusal);
    assert_true(membership_is_joint(raft_membership(c.raft)));
    /* 1 and 2 are a majority of 1, 2, 3; of 1, 3, 4 only 1 counts. */
    assert_int_equal(raft_lease_until_ms(c.raft), 0);
    core_pass(&c, 100);
    promise(&c, 4, 3, beat(&c), PROMISE_MS);
    assert_true(raft_lease_until_ms(c.raft) > c.now_ms);
    core_close(&c);
}

static void who_is_alone_needs_none(void **state)
{
    struct core c;

    (void)state;
    core_open_leases(&c, 1, 1, TERMS(1), 0);
    core_event(&c, RAFT_CAMPAIGN);
    core_persist(&c);
    core_persist(&c);
    assert_true(is_answered(&c));
    assert_int_equal(core_status(&c).lease_ms, 60000); /* for ever, and readable */
    core_close(&c);
}

static void a_transfer_voids_it_and_timeout_now_for_the_whole_term(void **state)
{
    struct raft_event event = { .type = RAFT_TRANSFER };
    struct core c;

    (void)state;
    lead(&c, 3);
    promise(&c, 2, 1, beat(&c), PROMISE_MS);
    promise(&c, 3, 2, 1, PROMISE_MS);
    assert_true(raft_lease_until_ms(c.raft) > 0);
    event.now_ms = event.steady_ms = c.now_ms;
    event.u.transfer.target = 2; /* which lacks an entry still */
    raft_step(c.raft, &event, &c.effects);
    assert_null(c.effects.refusal);
    assert_int_equal(raft_lease_until_ms(c.raft), 0);
    core_event(&c, RAFT_TURN);
    assert_null(core_sent(&c, MESSAGE_TIMEOUT_NOW, 2));
    for (int i = 0; i < 11; i++) { /* it gives up */
        core_pass(&c, 100);
        promise(&c, 3, 2, beat(&c), PROMISE_MS);
    }
    assert_int_equal(raft_transfer_target(c.raft), 0);
    assert_true(raft_lease_until_ms(c.raft) > c.now_ms);
    promise(&c, 2, 2, 0, PROMISE_MS);
    event.now_ms = event.steady_ms = c.now_ms;
    raft_step(c.raft, &event, &c.effects);
    core_event(&c, RAFT_TURN);
    assert_non_null(core_sent(&c, MESSAGE_TIMEOUT_NOW, 2));
    for (int i = 0; i < 11; i++) {
        core_pass(&c, 100);
        promise(&c, 3, 2, beat(&c), PROMISE_MS);
    }
    assert_int_equal(raft_transfer_target(c.raft), 0); /* goes on leading ... */
    assert_int_equal(core_status(&c).role, RAFT_LEADER);
    assert_int_equal(raft_lease_until_ms(c.raft), 0); /* ... and TimeoutNow may still arrive */
    core_close(&c);
}

static void who_steps_down_has_none(void **state)
{
    struct core c;

    (void)state;
    lead(&c, 3);
    promise(&c, 2, 2, beat(&c), PROMISE_MS);
    core_append_reply(&c, 3, 9, 0, 0); /* of a later term */
    assert_int_equal(core_status(&c).role, RAFT_FOLLOWER);
    assert_int_equal(raft_lease_until_ms(c.raft), 0);
    assert_false(is_answered(&c));
    core_close(&c);
}

/* ---- The voter ---- */

/* Follows node 2 in term 2; what was promised before this start is over. */
static void follow(struct core *c, time_ms promised_ms)
{
    core_open_leases(c, 3, 2, TERMS(1), promised_ms);
    core_pass(c, 2 * promised_ms);
    core_append_entries(c, 2, 2, 1, 1, NONE, 1);
}

static uint32_t told_ms(const struct core *c)
{
    return core_sent(c, MESSAGE_APPEND_ENTRIES_REPLY, 2)
        ->message.u.append_entries_reply.promised_ms;
}

static void a_promise_is_told_when_it_is_durable(void **state)
{
    struct core c;

    (void)state;
    follow(&c, 0);
    assert_true(c.effects.has_hard_state);
    assert_int_equal(c.effects.hard_state.promised_ms, PROMISE_MS);
    assert_int_equal(told_ms(&c), 0);
    core_persist(&c);
    core_append_entries(&c, 2, 2, 1, 1, NONE, 1);
    assert_int_equal(told_ms(&c), PROMISE_MS);
    core_close(&c);
}

static void nothing_is_told_that_a_member_may_not_know(void **state)
{
    struct core c;

    (void)state;
    core_open_leases_too_early(&c, 3, 2, TERMS(1), PROMISE_MS);
    core_append_entries(&c, 2, 2, 1, 1, NONE, 1);
    assert_int_equal(told_ms(&c), 0);
    assert_false(is_granted(&c, 3, 4, false)); /* it keeps to it all the same */
    core_close(&c);
}

static void it_votes_for_nobody_while_it_promised(void **state)
{
    struct core c;

    (void)state;
    follow(&c, PROMISE_MS);
    core_pass(&c, 999);
    assert_false(is_granted(&c, 3, 4, false));
    assert_int_equal(core_status(&c).current_term, 2);
    core_pass(&c, 1);
    assert_true(is_granted(&c, 3, 4, false));
    core_close(&c);
}

static void losing_sight_of_the_leader_takes_nothing_back(void **state)
{
    struct raft_event event = { .type = RAFT_PEER_CLOSED };
    struct core c;

    (void)state;
    follow(&c, PROMISE_MS);
    event.now_ms = event.steady_ms = c.now_ms;
    event.u.peer_closed.peer = 2;
    raft_step(c.raft, &event, &c.effects);
    assert_int_equal(core_status(&c).leader, 0);
    assert_false(is_granted(&c, 3, 4, false));
    assert_true(raft_deadline_ms(c.raft) >= c.now_ms + PROMISE_MS); /* it counts for itself, too */
    assert_true(raft_deadline_ms(c.raft) <= c.now_ms + PROMISE_MS + 30);
    core_event(&c, RAFT_CAMPAIGN);
    assert_int_equal(core_status(&c).role, RAFT_FOLLOWER);
    core_append_reply(&c, 3, 5, 0, 0); /* a later term without a vote */
    assert_int_equal(core_status(&c).current_term, 5);
    assert_false(is_granted(&c, 3, 6, false));
    assert_true(is_granted(&c, 3, 6, true)); /* the leader asked for it, and has no lease */
    core_close(&c);
}

static void a_restarted_node_keeps_what_it_promised(void **state)
{
    struct core c;

    (void)state;
    core_open_leases(&c, 3, 2, TERMS(1), PROMISE_MS);
    assert_false(is_granted(&c, 3, 4, false));
    core_pass(&c, 1999); /* one maximum election timeout */
    assert_int_equal(core_status(&c).role, RAFT_FOLLOWER);
    assert_false(is_granted(&c, 3, 4, false));
    core_pass(&c, 1);
    assert_true(is_granted(&c, 3, 4, false));
    core_close(&c);
}

static void a_node_that_never_promised_votes_at_once(void **state)
{
    struct core c;

    (void)state;
    core_open_leases(&c, 3, 2, TERMS(1), 0);
    assert_true(is_granted(&c, 3, 4, false));
    core_close(&c);
}

static void a_longer_promise_of_an_earlier_life_is_forgotten_when_it_is_over(void **state)
{
    struct core c;

    (void)state;
    core_open_leases(&c, 3, 2, TERMS(1), 5000);
    core_append_entries(&c, 2, 2, 1, 1, NONE, 1);
    assert_false(c.effects.has_hard_state);
    core_pass(&c, 9999);
    assert_false(is_granted(&c, 3, 4, false));
    core_pass(&c, 1);
    core_append_entries(&c, 2, 2, 1, 1, NONE, 1);
    assert_int_equal(c.effects.hard_state.promised_ms, PROMISE_MS);
    core_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_counts_from_the_moment_the_heartbeat_was_sent),
        cmocka_unit_test(a_late_answer_renews_no_lease),
        cmocka_unit_test(an_echo_of_a_round_counts_as_no_later_one),
        cmocka_unit_test(it_needs_a_majority_that_promised),
        cmocka_unit_test(a_shorter_promise_is_a_shorter_lease),
        cmocka_unit_test(there_is_none_before_the_first_commit_of_the_term),
        cmocka_unit_test(without_the_setting_promises_mean_nothing),
        cmocka_unit_test(both_halves_must_have_promised),
        cmocka_unit_test(who_is_alone_needs_none),
        cmocka_unit_test(a_transfer_voids_it_and_timeout_now_for_the_whole_term),
        cmocka_unit_test(who_steps_down_has_none),
        cmocka_unit_test(a_promise_is_told_when_it_is_durable),
        cmocka_unit_test(nothing_is_told_that_a_member_may_not_know),
        cmocka_unit_test(it_votes_for_nobody_while_it_promised),
        cmocka_unit_test(losing_sight_of_the_leader_takes_nothing_back),
        cmocka_unit_test(a_restarted_node_keeps_what_it_promised),
        cmocka_unit_test(a_node_that_never_promised_votes_at_once),
        cmocka_unit_test(a_longer_promise_of_an_earlier_life_is_forgotten_when_it_is_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
