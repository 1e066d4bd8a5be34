/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PreVote with CheckQuorum: what keeps the two from locking each other out, rule by rule, and
 * what a ReadIndex round may confirm.  The same as text: tests/scenario/pre_vote_deadlocks.txt.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/core.h"

#define TERMS(...) ((const raft_term[]){ __VA_ARGS__, 0 })
#define NONE ((const raft_term[]){ 0 })

static const struct message *vote_reply(const struct core *c, node_id to)
{
    const struct raft_send *send = core_sent(c, MESSAGE_REQUEST_VOTE_REPLY, to);

    assert_non_null(send);
    return &send->message;
}

/* (a) */
static void a_refused_pre_vote_carries_our_term_a_granted_one_the_term_asked_for(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 5, 0, TERMS(1, 5));
    core_request_vote(&c, 2, 9, 1, 1, true); /* its log is behind */
    assert_false(vote_reply(&c, 2)->u.request_vote_reply.is_granted);
    assert_int_equal(vote_reply(&c, 2)->term, 5);
    core_request_vote(&c, 2, 9, 2, 5, true);
    assert_true(vote_reply(&c, 2)->u.request_vote_reply.is_granted);
    assert_int_equal(vote_reply(&c, 2)->term, 9);
    core_close(&c);
}

/* (b) */
static void a_leader_of_an_older_term_is_told_ours_and_steps_down(void **state)
{
    struct core c;
    struct message reply;

    (void)state;
    core_open(&c, 3, 7, 0, TERMS(1));
    core_append_entries(&c, 2, 3, 1, 1, NONE, 0);
    assert_non_null(core_sent(&c, MESSAGE_APPEND_ENTRIES_REPLY, 2));
    reply = core_sent(&c, MESSAGE_APPEND_ENTRIES_REPLY, 2)->message;
    assert_int_equal(reply.term, 7);
    core_close(&c);
    core_open(&c, 3, 2, 0, TERMS(1));
    core_lead(&c);
    reply.from = 2;
    reply.to = 1;
    core_receive(&c, &reply);
    assert_int_equal(core_status(&c).role, RAFT_FOLLOWER);
    assert_int_equal(core_status(&c).current_term, 7);
    core_close(&c);
}

/* (c) */
static void a_pre_vote_of_an_older_term_is_refused_with_ours(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 7, 0, TERMS(1));
    core_request_vote(&c, 2, 4, 9, 3, true);
    assert_false(vote_reply(&c, 2)->u.request_vote_reply.is_granted);
    assert_true(vote_reply(&c, 2)->u.request_vote_reply.is_pre_vote);
    assert_int_equal(vote_reply(&c, 2)->term, 7);
    core_close(&c);
}

/* (d) */
static void a_pre_candidate_forgets_the_leader(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 2, 0, TERMS(1));
    core_append_entries(&c, 2, 2, 1, 1, NONE, 0);
    core_request_vote(&c, 3, 3, 1, 1, true);
    assert_false(vote_reply(&c, 3)->u.request_vote_reply.is_granted);
    core_pass(&c, 2000);
    assert_int_equal(core_status(&c).role, RAFT_PRE_CANDIDATE);
    assert_int_equal(core_status(&c).leader, 0);
    core_request_vote(&c, 3, 3, 1, 1, true);
    assert_true(vote_reply(&c, 3)->u.request_vote_reply.is_granted);
    core_close(&c);
}

/* (e) */
static void a_pre_vote_leaves_a_pre_candidate_and_a_candidate_as_they_are(void **state)
{
    struct core c;
    time_ms deadline_ms;

    (void)state;
    core_open(&c, 3, 2, 0, TERMS(1));
    core_pass(&c, 2000);
    deadline_ms = raft_deadline_ms(c.raft);
    core_request_vote(&c, 3, 3, 1, 1, true);
    assert_true(vote_reply(&c, 3)->u.request_vote_reply.is_granted);
    assert_int_equal(core_status(&c).role, RAFT_PRE_CANDIDATE);
    assert_int_equal(raft_deadline_ms(c.raft), deadline_ms);
    core_event(&c, RAFT_CAMPAIGN);
    deadline_ms = raft_deadline_ms(c.raft);
    core_request_vote(&c, 3, 4, 1, 1, true);
    assert_int_equal(core_status(&c).role, RAFT_CANDIDATE);
    assert_int_equal(core_status(&c).current_term, 3);
    assert_false(c.effects.has_hard_state);
    assert_int_equal(raft_deadline_ms(c.raft), deadline_ms);
    core_close(&c);
}

/* ---- ReadIndex contexts [etcd 20418] ---- */

static void a_round_of_an_earlier_leadership_confirms_nothing(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    core_lead(&c); /* term 2 */
    core_persist(&c);
    core_append_reply(&c, 2, 2, 2, 0);
    core_read(&c, 1);
    core_event(&c, RAFT_TURN); /* round 1 of term 2, whose echo is late */
    core_append_reply(&c, 3, 4, 0, 0);
    assert_int_equal(core_status(&c).role, RAFT_FOLLOWER);
    core_event(&c, RAFT_CAMPAIGN);
    core_persist(&c);
    core_vote_reply(&c, 2, 5, true, false); /* leads again, in term 5 */
    core_persist(&c);
    core_append_reply(&c, 2, 5, 3, 0);
    core_event(&c, RAFT_TURN);
    core_read(&c, 2);
    core_append_reply(&c, 3, 2, 0, 1); /* here it comes */
    assert_int_equal(c.effects.read_count, 0);
    core_event(&c, RAFT_TURN);
    core_append_reply(&c, 3, 5, 0, 1);
    assert_int_equal(c.effects.read_count, 1);
    assert_int_equal(c.effects.reads[0].token, 2);
    core_close(&c);
}

static void a_round_sent_again_is_a_new_round(void **state)
{
    struct core c;
    uint64_t first;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    core_lead(&c);
    core_persist(&c);
    core_append_reply(&c, 2, 2, 2, 0);
    core_read(&c, 1);
    core_event(&c, RAFT_TURN);
    first = core_sent(&c, MESSAGE_APPEND_ENTRIES, 2)->message.u.append_entries.read_sequence;
    core_read(&c, 2); /* while the first one's echo is under way */
    core_event(&c, RAFT_TURN);
    assert_true(core_sent(&c, MESSAGE_APPEND_ENTRIES, 2)->message.u.append_entries.read_sequence >
                first);
    core_append_reply(&c, 2, 2, 2, first);
    assert_int_equal(c.effects.read_count, 1);
    assert_int_equal(c.effects.reads[0].token, 1);
    core_close(&c);
}

static void a_round_never_sent_is_not_believed(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    core_lead(&c);
    core_persist(&c);
    core_append_reply(&c, 2, 2, 2, 0);
    core_read(&c, 1);
    core_append_reply(&c, 2, 2, 2, 99);
    assert_int_equal(c.effects.read_count, 0);
    core_close(&c);
}

static void a_follower_takes_an_answer_once_and_only_its_own(void **state)
{
    struct core c;
    struct message reply = { .type = MESSAGE_READ_INDEX_REPLY, .from = 2, .to = 1, .term = 2 };

    (void)state;
    core_open(&c, 3, 2, 0, TERMS(1));
    core_append_entries(&c, 2, 2, 1, 1, NONE, 1);
    core_read(&c, 7);
    reply.u.read_index_reply.token =
        core_sent(&c, MESSAGE_READ_INDEX, 2)->message.u.read_index.token;
    reply.u.read_index_reply.is_ok = true;
    reply.u.read_index_reply.read_index = 1;
    reply.u.read_index_reply.token++;
    core_receive(&c, &reply);
    assert_int_equal(c.effects.read_count, 0);
    reply.u.read_index_reply.token--;
    core_receive(&c, &reply);
    assert_int_equal(c.effects.read_count, 1);
    assert_int_equal(c.effects.reads[0].token, 7);
    core_read(&c, 8);
    core_receive(&c, &reply); /* doubled on the way */
    assert_int_equal(c.effects.read_count, 0);
    core_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_pre_vote_carries_our_term_a_granted_one_the_term_asked_for),
        cmocka_unit_test(a_leader_of_an_older_term_is_told_ours_and_steps_down),
        cmocka_unit_test(a_pre_vote_of_an_older_term_is_refused_with_ours),
        cmocka_unit_test(a_pre_candidate_forgets_the_leader),
        cmocka_unit_test(a_pre_vote_leaves_a_pre_candidate_and_a_candidate_as_they_are),
        cmocka_unit_test(a_round_of_an_earlier_leadership_confirms_nothing),
        cmocka_unit_test(a_round_sent_again_is_a_new_round),
        cmocka_unit_test(a_round_never_sent_is_not_believed),
        cmocka_unit_test(a_follower_takes_an_answer_once_and_only_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
