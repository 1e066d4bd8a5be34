/* SPDX-License-Identifier: Apache-2.0 */
/* A node whose log has lost what it had acknowledged [DESIGN 4]. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/core.h"

#define TERMS(...) ((const raft_term[]){ __VA_ARGS__, 0 })
#define NONE ((const raft_term[]){ 0 })
#define BEAT_MS 100 /* support/core.c */

/* Its log was 1^1 2^2 3^2 .. 6^4; of it 1^1 2^2 are left. */
static void open_damaged(struct core *c)
{
    core_open_damaged(c, 3, 5, TERMS(1, 2), (struct raft_run){ 6, 4 });
}

static bool votes_for(raft_index last_index, raft_term last_term)
{
    const struct raft_send *send;
    struct core c;
    bool is_granted;

    open_damaged(&c);
    core_request_vote(&c, 2, 6, last_index, last_term, false);
    send = core_sent(&c, MESSAGE_REQUEST_VOTE_REPLY, 2);
    is_granted = send != NULL && send->message.u.request_vote_reply.is_granted;
    core_close(&c);
    return is_granted;
}

static void it_votes_as_if_it_had_what_it_lost(void **state)
{
    (void)state;
    assert_false(votes_for(2, 2));
    assert_false(votes_for(5, 4));
    assert_false(votes_for(100, 3));
    assert_true(votes_for(6, 4));
    assert_true(votes_for(3, 5));
}

static void it_does_not_campaign(void **state)
{
    struct core c;

    (void)state;
    open_damaged(&c);
    core_pass(&c, 10000);
    assert_int_equal(core_status(&c).role, RAFT_FOLLOWER);
    core_event(&c, RAFT_CAMPAIGN);
    assert_int_equal(core_status(&c).role, RAFT_FOLLOWER);
    assert_int_equal(core_status(&c).current_term, 5);
    core_close(&c);
}

static const struct message *reply(const struct core *c)
{
    const struct raft_send *send = core_sent(c, MESSAGE_APPEND_ENTRIES_REPLY, 2);

    assert_non_null(send);
    return &send->message;
}

static void it_acknowledges_only_what_it_has_until_all_is_back(void **state)
{
    struct core c;

    (void)state;
    open_damaged(&c);
    core_append_entries(&c, 2, 5, 6, 4, NONE, 6);
    assert_false(reply(&c)->u.append_entries_reply.is_success);
    assert_true(reply(&c)->u.append_entries_reply.is_repairing);
    assert_int_equal(reply(&c)->u.append_entries_reply.last_log_index, 2);
    core_append_entries(&c, 2, 5, 2, 2, TERMS(2, 2, 4), 6);
    core_persist(&c);
    assert_int_equal(reply(&c)->u.append_entries_reply.match_index, 5);
    assert_true(reply(&c)->u.append_entries_reply.is_repairing);
    assert_true(raft_is_repairing(c.raft));
    core_append_entries(&c, 2, 5, 5, 4, TERMS(4), 6);
    assert_true(raft_is_repairing(c.raft)); /* not durable yet */
    core_persist(&c);
    assert_int_equal(reply(&c)->u.append_entries_reply.match_index, 6);
    assert_false(reply(&c)->u.append_entries_reply.is_repairing);
    assert_false(raft_is_repairing(c.raft));
    core_pass(&c, 10000);
    assert_int_equal(core_status(&c).role, RAFT_PRE_CANDIDATE);
    core_close(&c);
}

/* Others may have agreed on less, in a later term: that is as good as what was lost. */
static void a_shorter_log_of_a_later_term_will_do(void **state)
{
    struct core c;

    (void)state;
    open_damaged(&c);
    core_append_entries(&c, 2, 5, 2, 2, TERMS(5), 2);
    core_persist(&c);
    assert_false(raft_is_repairing(c.raft));
    core_close(&c);
}

static void a_snapshot_that_reaches_as_far_will_do(void **state)
{
    struct raft_event event = { .type = RAFT_SNAPSHOT_RECEIVED };
    struct core c;

    (void)state;
    open_damaged(&c);
    core_append_entries(&c, 2, 5, 6, 4, NONE, 6);
    event.now_ms = c.now_ms;
    event.u.snapshot_received.last_index = 6;
    event.u.snapshot_received.last_term = 4;
    event.u.snapshot_received.membership = &c.membership;
    event.u.snapshot_received.membership_index = 1;
    raft_step(c.raft, &event, &c.effects);
    assert_true(c.effects.has_install);
    event = (struct raft_event){ .type = RAFT_SNAPSHOT_INSTALLED, .now_ms = c.now_ms };
    event.u.snapshot_installed.last_index = 6;
    event.u.snapshot_installed.last_term = 4;
    raft_step(c.raft, &event, &c.effects);
    assert_false(raft_is_repairing(c.raft));
    core_close(&c);
}

/* ---- The leader's side ---- */

static void damaged_reply(struct core *c, raft_index last_index, raft_index reject_index)
{
    struct message m = { .type = MESSAGE_APPEND_ENTRIES_REPLY, .from = 3, .to = 1, .term = 6 };

    m.u.append_entries_reply.is_repairing = true;
    m.u.append_entries_reply.reject_index = reject_index;
    m.u.append_entries_reply.conflict_index = last_index;
    m.u.append_entries_reply.conflict_term = 2;
    m.u.append_entries_reply.last_log_index = last_index;
    core_receive(c, &m);
}

static raft_index match_of_3(const struct core *c)
{
    return core_status(c).peers[1].match_index;
}

static void the_leader_counts_no_more_what_was_lost(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 5, 0, TERMS(1, 2, 2, 4));
    core_lead(&c); /* entry 5 of term 6, not durable here yet */
    core_append_reply(&c, 3, 6, 5, 0);
    assert_int_equal(core_status(&c).commit_index, 0);
    damaged_reply(&c, 2, 5);
    assert_int_equal(match_of_3(&c), 0);
    core_persist(&c);
    assert_int_equal(core_status(&c).commit_index, 0); /* 1 alone */
    core_append_reply(&c, 2, 6, 5, 0);
    assert_int_equal(core_status(&c).commit_index, 5);
    core_event(&c, RAFT_TURN); /* and it is sent again what it lost */
    assert_non_null(core_sent(&c, MESSAGE_APPEND_ENTRIES, 3));
    assert_int_equal(
        core_sent(&c, MESSAGE_APPEND_ENTRIES, 3)->message.u.append_entries.prev_log_index, 2);
    core_close(&c);
}

static void a_reply_without_the_flag_takes_nothing_back(void **state)
{
    struct core c;
    struct message m = { .type = MESSAGE_APPEND_ENTRIES_REPLY, .from = 3, .to = 1, .term = 6 };

    (void)state;
    core_open(&c, 3, 5, 0, TERMS(1, 2, 2, 4));
    core_lead(&c);
    core_append_reply(&c, 3, 6, 5, 0);
    m.u.append_entries_reply.reject_index = 4;
    m.u.append_entries_reply.last_log_index = 2;
    core_receive(&c, &m);
    assert_int_equal(match_of_3(&c), 5);
    core_close(&c);
}

static void short_reply(struct core *c, raft_index last_index, uint64_t read_sequence)
{
    struct message m = { .type = MESSAGE_APPEND_ENTRIES_REPLY, .from = 3, .to = 1, .term = 6 };

    m.u.append_entries_reply.reject_index = 5;
    m.u.append_entries_reply.last_log_index = last_index;
    m.u.append_entries_reply.read_sequence = read_sequence;
    core_receive(c, &m);
}

static void beat(struct core *c)
{
    core_pass(c, BEAT_MS);
    core_event(c, RAFT_TURN);
}

static bool has_round(const struct core *c)
{
    const struct raft_send *send = core_sent(c, MESSAGE_APPEND_ENTRIES, 3);

    return send != NULL && send->message.u.append_entries.read_sequence > 0;
}

/* A data directory put back from a copy: its log ends before what it had acknowledged. */
static void a_member_that_forgot_is_asked_once_more_and_not_counted(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 5, 0, TERMS(1, 2, 2, 4));
    core_lead(&c);
    core_event(&c, RAFT_TURN); /* the first beat */
    core_append_reply(&c, 3, 6, 5, 0);
    short_reply(&c, 2, 0); /* may be old */
    assert_int_equal(c.effects.forgetful, 0);
    core_event(&c,
               RAFT_TURN); /* the question waits for the beat: answers must not beget questions */
    assert_false(has_round(&c));
    beat(&c);
    assert_int_equal(
        core_sent(&c, MESSAGE_APPEND_ENTRIES, 3)->message.u.append_entries.read_sequence, 1);
    short_reply(&c, 2, 0); /* so may be this one */
    assert_int_equal(c.effects.forgetful, 0);
    assert_int_equal(match_of_3(&c), 5);
    short_reply(&c, 2, 1); /* it has heard a question asked after its acknowledgement */
    assert_int_equal(c.effects.forgetful, 3);
    assert_int_equal(match_of_3(&c), 0);
    core_persist(&c);
    core_append_reply(&c, 3, 6, 5, 1);
    assert_int_equal(core_status(&c).commit_index, 0); /* 1 alone */
    core_append_reply(&c, 2, 6, 5, 0);
    assert_int_equal(core_status(&c).commit_index, 5);
    beat(&c);
    assert_int_equal(core_sent(&c, MESSAGE_APPEND_ENTRIES, 3)->message.u.append_entries.count, 0);
    core_append_reply(&c, 3, 6, 5, 2); /* the right directory is back */
    assert_int_equal(match_of_3(&c), 5);
    core_close(&c);
}

static void an_old_reply_leaves_no_doubt(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 5, 0, TERMS(1, 2, 2, 4));
    core_lead(&c);
    core_append_reply(&c, 3, 6, 5, 0);
    short_reply(&c, 2, 0);
    beat(&c);
    core_append_reply(&c, 3, 6, 5, 1);
    short_reply(&c, 2, 0);
    beat(&c);
    short_reply(&c, 2, 1);
    assert_int_equal(c.effects.forgetful, 0);
    assert_int_equal(match_of_3(&c), 5);
    core_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_votes_as_if_it_had_what_it_lost),
        cmocka_unit_test(it_does_not_campaign),
        cmocka_unit_test(it_acknowledges_only_what_it_has_until_all_is_back),
        cmocka_unit_test(a_shorter_log_of_a_later_term_will_do),
        cmocka_unit_test(a_snapshot_that_reaches_as_far_will_do),
        cmocka_unit_test(the_leader_counts_no_more_what_was_lost),
        cmocka_unit_test(a_reply_without_the_flag_takes_nothing_back),
        cmocka_unit_test(a_member_that_forgot_is_asked_once_more_and_not_counted),
        cmocka_unit_test(an_old_reply_leaves_no_doubt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
