/* SPDX-License-Identifier: Apache-2.0 */
/* The leader's rules: Figure 2 of the paper, thesis 6.2 and 6.4, and the windows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/core.h"

#define TERMS(...) ((const raft_term[]){ __VA_ARGS__, 0 })

static void submit(struct core *c, uint32_t count, uint64_t bytes)
{
    struct raft_event event = { .type = RAFT_SUBMIT, .now_ms = c->now_ms };

    event.u.submit.count = count;
    event.u.submit.bytes = bytes;
    raft_step(c->raft, &event, &c->effects);
}

static unsigned sent_count(const struct core *c, enum message_type type, node_id to)
{
    unsigned count = 0;

    for (size_t i = 0; i < c->effects.send_count; i++) {
        count += c->effects.sends[i].message.type == type && c->effects.sends[i].message.to == to;
    }
    return count;
}

static void its_first_entry_is_a_noop_of_its_term(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    core_lead(&c);
    assert_int_equal(c.effects.append_kind, RAFT_APPEND_NOOP);
    assert_int_equal(c.effects.append_first, 2);
    assert_int_equal(c.effects.append_term, 2);
    assert_int_equal(c.effects.send_count, 0); /* entries leave at the end of the turn */
    core_event(&c, RAFT_TURN);
    assert_non_null(core_sent(&c, MESSAGE_APPEND_ENTRIES, 2));
    assert_non_null(core_sent(&c, MESSAGE_APPEND_ENTRIES, 3));
    core_close(&c);
}

static void entries_of_earlier_terms_are_not_committed_by_counting(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 2, 0, TERMS(1, 2));
    core_lead(&c);
    core_persist(&c);
    core_append_reply(&c, 2, 3, 2, 0);
    assert_int_equal(core_status(&c).commit_index, 0);
    core_append_reply(&c, 2, 3, 3, 0);
    assert_int_equal(core_status(&c).commit_index, 3); /* and with it what is before */
    core_close(&c);
}

static void its_own_disk_counts_only_when_done(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    core_lead(&c);
    core_append_reply(&c, 2, 2, 2, 0);
    assert_int_equal(core_status(&c).commit_index, 0);
    core_persist(&c);
    assert_int_equal(core_status(&c).commit_index, 2);
    core_close(&c);
}

static void two_followers_commit_before_its_own_disk(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    core_lead(&c);
    core_append_reply(&c, 2, 2, 2, 0);
    core_append_reply(&c, 3, 2, 2, 0);
    assert_int_equal(core_status(&c).commit_index, 2);
    assert_int_equal(core_status(&c).durable_index, 1);
    core_close(&c);
}

static void a_single_voter_commits_on_its_own_disk_and_reads_at_once(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 1, 1, 0, TERMS(1));
    core_event(&c, RAFT_CAMPAIGN);
    core_persist(&c);
    core_persist(&c);
    assert_int_equal(core_status(&c).commit_index, 2);
    core_read(&c, 7);
    assert_int_equal(c.effects.read_count, 1);
    assert_int_equal(c.effects.reads[0].token, 7);
    assert_int_equal(c.effects.reads[0].status, RK_OK);
    assert_int_equal(c.effects.reads[0].read_index, 2);
    assert_true(raft_deadline_ms(c.raft) < INT64_MAX);
    core_close(&c);
}

static void it_steps_down_when_no_quorum_is_heard(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    core_lead(&c);
    core_pass(&c, 900);
    core_append_reply(&c, 3, 2, 1, 0);
    core_pass(&c, 900);
    assert_int_equal(core_status(&c).role, RAFT_LEADER);
    core_pass(&c, 200);
    assert_int_equal(core_status(&c).role, RAFT_FOLLOWER);
    assert_int_equal(core_status(&c).current_term, 2); /* its term and vote stay */
    core_close(&c);
}

static void proposals_get_contiguous_indexes_and_a_bound(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    submit(&c, 1, 10);
    assert_int_equal(c.effects.submit_status, RK_NOLEADER);
    core_lead(&c);
    submit(&c, 3, 9000);
    assert_int_equal(c.effects.submit_status, RK_OK);
    assert_int_equal(c.effects.append_kind, RAFT_APPEND_PROPOSALS);
    assert_int_equal(c.effects.append_first, 3);
    assert_int_equal(c.effects.append_last, 5);
    submit(&c, 1, 1001);
    assert_int_equal(c.effects.submit_status, RK_OVERLOADED);
    assert_int_equal(c.effects.append_kind, RAFT_APPEND_NONE);
    core_append_reply(&c, 2, 2, 5, 0);
    core_append_reply(&c, 3, 2, 5, 0);
    submit(&c, 1, 20000); /* one batch always fits into an empty tail */
    assert_int_equal(c.effects.submit_status, RK_OK);
    core_close(&c);
}

static void the_window_closes_and_heartbeats_go_on(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    core_lead(&c);
    core_event(&c, RAFT_TURN);
    core_append_reply(&c, 2, 2, 2, 0); /* 2 replicates; 3 never answers */
    submit(&c, 50, 5000);
    core_event(&c, RAFT_TURN);
    assert_int_equal(sent_count(&c, MESSAGE_APPEND_ENTRIES, 2), 2); /* 2 x 1000 of 2000 bytes */
    assert_int_equal(core_sent(&c, MESSAGE_APPEND_ENTRIES, 2)->message.u.append_entries.count, 10);
    core_event(&c, RAFT_TURN);
    assert_int_equal(c.effects.send_count, 0);
    core_pass(&c, 100);
    core_event(&c, RAFT_TURN);
    assert_int_equal(sent_count(&c, MESSAGE_APPEND_ENTRIES, 2), 1);
    assert_int_equal(core_sent(&c, MESSAGE_APPEND_ENTRIES, 2)->message.u.append_entries.count, 0);
    core_append_reply(&c, 2, 2, 12, 0); /* the first one */
    core_event(&c, RAFT_TURN);
    assert_int_equal(sent_count(&c, MESSAGE_APPEND_ENTRIES, 2), 1);
    core_close(&c);
}

static void commits_are_told_when_nothing_else_is(void **state)
{
    struct core c;
    const struct raft_send *send;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    core_lead(&c);
    core_event(&c, RAFT_TURN);
    core_persist(&c);
    core_append_reply(&c, 2, 2, 2, 0);
    core_event(&c, RAFT_TURN);
    send = core_sent(&c, MESSAGE_APPEND_ENTRIES, 2);
    assert_non_null(send);
    assert_int_equal(send->message.u.append_entries.leader_commit, 2);
    assert_int_equal(send->message.u.append_entries.count, 0);
    assert_null(core_sent(&c, MESSAGE_APPEND_ENTRIES, 3)); /* it does not have it yet */
    core_event(&c, RAFT_TURN);
    assert_int_equal(c.effects.send_count, 0);
    core_close(&c);
}

static void reads_wait_for_a_round_begun_after_them(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    core_lead(&c);
    core_persist(&c);
    core_append_reply(&c, 2, 2, 2, 0);
    core_event(&c, RAFT_TURN);
    core_read(&c, 1);
    core_read(&c, 2);
    core_event(&c, RAFT_TURN); /* round 1 for both */
    assert_int_equal(
        core_sent(&c, MESSAGE_APPEND_ENTRIES, 3)->message.u.append_entries.read_sequence, 1);
    core_read(&c, 3);
    core_append_reply(&c, 3, 2, 0, 1);
    assert_int_equal(c.effects.read_count, 2);
    assert_int_equal(c.effects.reads[0].read_index, 2);
    core_event(&c, RAFT_TURN);
    core_append_reply(&c, 3, 2, 0, 1); /* an old echo confirms nothing more */
    assert_int_equal(c.effects.read_count, 0);
    core_append_reply(&c, 2, 2, 2, 2);
    assert_int_equal(c.effects.read_count, 1);
    assert_int_equal(c.effects.reads[0].token, 3);
    core_close(&c);
}

static void reads_wait_for_the_first_commit_of_the_term(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    core_lead(&c);
    core_read(&c, 1);
    core_event(&c, RAFT_TURN);
    core_append_reply(&c, 2, 2, 0, 1); /* round confirmed, nothing committed */
    assert_int_equal(c.effects.read_count, 0);
    core_persist(&c);
    core_append_reply(&c, 2, 2, 2, 1);
    assert_int_equal(c.effects.read_count, 1);
    assert_int_equal(c.effects.reads[0].read_index, 2);
    core_close(&c);
}

static void reads_fail_with_the_leadership(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    core_lead(&c);
    core_read(&c, 1);
    core_append_reply(&c, 2, 9, 0, 0);
    assert_int_equal(c.effects.read_count, 1);
    assert_int_equal(c.effects.reads[0].status, RK_NOLEADER);
    core_close(&c);
}

static void the_first_entry_of_all_is_the_membership(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 0, 0, TERMS(0));
    core_pass(&c, 10000);
    assert_int_equal(core_status(&c).role, RAFT_FOLLOWER);
    assert_true(raft_deadline_ms(c.raft) == INT64_MAX);
    core_request_vote(&c, 2, 1, 0, 0, false);
    assert_false(
        core_sent(&c, MESSAGE_REQUEST_VOTE_REPLY, 2)->message.u.request_vote_reply.is_granted);
    core_event(&c, RAFT_BOOTSTRAP);
    assert_true(raft_deadline_ms(c.raft) <= c.now_ms + 30);
    core_lead(&c);
    assert_int_equal(c.effects.append_kind, RAFT_APPEND_BOOTSTRAP);
    assert_int_equal(c.effects.append_first, 1);
    core_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_first_entry_is_a_noop_of_its_term),
        cmocka_unit_test(entries_of_earlier_terms_are_not_committed_by_counting),
        cmocka_unit_test(its_own_disk_counts_only_when_done),
        cmocka_unit_test(two_followers_commit_before_its_own_disk),
        cmocka_unit_test(a_single_voter_commits_on_its_own_disk_and_reads_at_once),
        cmocka_unit_test(it_steps_down_when_no_quorum_is_heard),
        cmocka_unit_test(proposals_get_contiguous_indexes_and_a_bound),
        cmocka_unit_test(the_window_closes_and_heartbeats_go_on),
        cmocka_unit_test(commits_are_told_when_nothing_else_is),
        cmocka_unit_test(reads_wait_for_a_round_begun_after_them),
        cmocka_unit_test(reads_wait_for_the_first_commit_of_the_term),
        cmocka_unit_test(reads_fail_with_the_leadership),
        cmocka_unit_test(the_first_entry_of_all_is_the_membership),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
