/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of Figure 2 of the Raft paper, one test each, named after the sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/core.h"

#define TERMS(...) ((const raft_term[]){ __VA_ARGS__, 0 })
#define NONE ((const raft_term[]){ 0 })

static bool vote_granted(const struct core *c, node_id to)
{
    const struct raft_send *send = core_sent(c, MESSAGE_REQUEST_VOTE_REPLY, to);

    assert_non_null(send);
    return send->message.u.request_vote_reply.is_granted;
}

static const struct message *append_reply(const struct core *c, node_id to)
{
    const struct raft_send *send = core_sent(c, MESSAGE_APPEND_ENTRIES_REPLY, to);

    return send == NULL ? NULL : &send->message;
}

/* ---- All servers ---- */

static void a_higher_term_is_adopted_and_makes_a_follower(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    core_lead(&c);
    core_append_reply(&c, 2, 9, 1, 0);
    assert_int_equal(core_status(&c).current_term, 9);
    assert_int_equal(core_status(&c).role, RAFT_FOLLOWER);
    assert_true(c.effects.has_hard_state);
    assert_int_equal(c.effects.hard_state.voted_for, 0);
    core_close(&c);
}

static void a_request_of_an_older_term_is_rejected_with_ours(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 5, 0, TERMS(1));
    core_append_entries(&c, 2, 4, 1, 1, TERMS(4), 0);
    assert_false(append_reply(&c, 2)->u.append_entries_reply.is_success);
    assert_int_equal(append_reply(&c, 2)->term, 5);
    core_request_vote(&c, 3, 4, 9, 4, false);
    assert_false(vote_granted(&c, 3));
    assert_int_equal(core_sent(&c, MESSAGE_REQUEST_VOTE_REPLY, 3)->message.term, 5);
    assert_int_equal(core_status(&c).log_last_index, 1);
    core_close(&c);
}

/* ---- RequestVote ---- */

static void a_vote_is_given_once_per_term_and_again_to_the_same(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    core_request_vote(&c, 2, 2, 1, 1, false);
    assert_true(vote_granted(&c, 2));
    core_request_vote(&c, 3, 2, 1, 1, false);
    assert_false(vote_granted(&c, 3));
    core_request_vote(&c, 2, 2, 1, 1, false);
    assert_true(vote_granted(&c, 2));
    core_close(&c);
}

static void a_vote_survives_a_restart(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 2, 2, TERMS(1));
    core_request_vote(&c, 3, 2, 1, 1, false);
    assert_false(vote_granted(&c, 3));
    core_close(&c);
}

static void a_granted_vote_waits_until_it_is_durable(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    core_request_vote(&c, 2, 2, 1, 1, false);
    assert_true(c.effects.has_hard_state);
    assert_int_equal(c.effects.hard_state.voted_for, 2);
    assert_int_equal(core_sent(&c, MESSAGE_REQUEST_VOTE_REPLY, 2)->need.hard_state_generation,
                     c.effects.hard_state_generation);
    core_persist(&c);
    core_request_vote(&c, 2, 2, 1, 1, false);
    assert_int_equal(core_sent(&c, MESSAGE_REQUEST_VOTE_REPLY, 2)->need.hard_state_generation, 0);
    core_close(&c);
}

static void a_vote_is_refused_when_the_candidates_log_is_behind(void **state)
{
    static const struct {
        raft_index last_index;
        raft_term last_term;
        bool is_granted;
    } rows[] = {
        { 3, 3, true },  /* equal */
        { 4, 3, true },  /* longer */
        { 1, 4, true },  /* later term, though shorter */
        { 2, 3, false }, /* shorter */
        { 9, 2, false }, /* older term, though longer */
        { 0, 0, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct core c;

        core_open(&c, 3, 4, 0, TERMS(1, 1, 3));
        core_request_vote(&c, 2, 5, rows[i].last_index, rows[i].last_term, false);
        assert_int_equal(vote_granted(&c, 2), rows[i].is_granted);
        core_close(&c);
    }
}

static void a_vote_is_refused_while_a_leader_is_heard(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 2, 0, TERMS(1));
    core_append_entries(&c, 2, 2, 1, 1, NONE, 0);
    core_request_vote(&c, 3, 7, 9, 6, false);
    assert_false(vote_granted(&c, 3));
    assert_int_equal(core_status(&c).current_term, 2);
    c.now_ms += 1000; /* the shortest timeout */
    core_request_vote(&c, 3, 7, 9, 6, false);
    assert_true(vote_granted(&c, 3));
    core_close(&c);
}

static void a_pre_vote_changes_neither_term_nor_vote_nor_timer(void **state)
{
    struct core c;
    time_ms deadline_ms;

    (void)state;
    core_open(&c, 3, 2, 0, TERMS(1));
    deadline_ms = raft_deadline_ms(c.raft);
    c.now_ms += 500;
    core_request_vote(&c, 3, 3, 1, 1, true);
    assert_true(vote_granted(&c, 3));
    assert_int_equal(core_sent(&c, MESSAGE_REQUEST_VOTE_REPLY, 3)->message.term, 3);
    assert_false(c.effects.has_hard_state);
    assert_int_equal(core_status(&c).current_term, 2);
    assert_int_equal(raft_deadline_ms(c.raft), deadline_ms);
    core_request_vote(&c, 2, 3, 1, 1, false); /* and the vote is still free */
    assert_true(vote_granted(&c, 2));
    core_close(&c);
}

/* ---- AppendEntries ---- */

static void entries_are_refused_without_the_one_before_them(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 4, 0, TERMS(1, 1, 2, 2));
    core_append_entries(&c, 2, 4, 3, 3, TERMS(4), 0); /* other term */
    assert_false(append_reply(&c, 2)->u.append_entries_reply.is_success);
    assert_int_equal(append_reply(&c, 2)->u.append_entries_reply.conflict_index, 3);
    assert_int_equal(append_reply(&c, 2)->u.append_entries_reply.conflict_term, 2);
    core_append_entries(&c, 2, 4, 9, 4, TERMS(4), 0); /* too far */
    assert_false(append_reply(&c, 2)->u.append_entries_reply.is_success);
    assert_int_equal(append_reply(&c, 2)->u.append_entries_reply.conflict_index, 4);
    core_append_entries(&c, 2, 4, 4, 1, TERMS(4), 0); /* a later term here: skip its run */
    assert_int_equal(append_reply(&c, 2)->u.append_entries_reply.conflict_index, 2);
    assert_int_equal(append_reply(&c, 2)->u.append_entries_reply.conflict_term, 1);
    assert_int_equal(core_status(&c).log_last_index, 4);
    core_close(&c);
}

static void a_conflicting_entry_is_deleted_with_all_that_follow(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 4, 0, TERMS(1, 2, 2, 2));
    core_append_entries(&c, 2, 4, 1, 1, TERMS(3), 0);
    assert_int_equal(c.effects.truncate_from, 2);
    assert_int_equal(c.effects.append_kind, RAFT_APPEND_RECEIVED);
    assert_int_equal(c.effects.append_first, 2);
    assert_int_equal(c.effects.append_last, 2);
    assert_int_equal(core_status(&c).log_last_index, 2);
    core_close(&c);
}

static void a_late_or_repeated_message_does_not_shorten_the_log(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 2, 0, TERMS(1, 2, 2, 2));
    core_append_entries(&c, 2, 2, 1, 1, TERMS(2), 0);
    assert_int_equal(c.effects.truncate_from, 0);
    assert_int_equal(c.effects.append_kind, RAFT_APPEND_NONE);
    assert_int_equal(core_status(&c).log_last_index, 4);
    core_close(&c);
}

static void commit_is_at_most_the_last_entry_that_was_verified(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 4, 0, TERMS(1, 2, 2, 2));
    core_append_entries(&c, 2, 4, 2, 2, NONE, 4); /* 3 and 4 may differ from the leader's */
    assert_int_equal(core_status(&c).commit_index, 2);
    core_append_entries(&c, 2, 4, 2, 2, TERMS(2), 4);
    assert_int_equal(core_status(&c).commit_index, 3);
    core_close(&c);
}

static void a_committed_entry_is_never_truncated(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 4, 0, TERMS(1, 2, 2));
    core_append_entries(&c, 2, 4, 3, 2, NONE, 3);
    assert_null(c.effects.halt);
    core_append_entries(&c, 2, 4, 1, 1, TERMS(4, 4, 4), 3);
    assert_non_null(c.effects.halt);
    assert_int_equal(c.effects.truncate_from, 0);
    assert_int_equal(c.effects.send_count, 0);
    core_close(&c);
}

static void an_acknowledgement_follows_the_disk(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 2, 0, TERMS(1));
    core_append_entries(&c, 2, 2, 1, 1, TERMS(2, 2), 0);
    assert_null(append_reply(&c, 2));
    core_append_entries(&c, 2, 2, 3, 2, TERMS(2), 0);
    assert_null(append_reply(&c, 2));
    core_append_entries(&c, 2, 2, 1, 1, NONE, 0); /* a heartbeat is answered at once */
    assert_int_equal(append_reply(&c, 2)->u.append_entries_reply.match_index, 1);
    core_persist_as(&c, 0, 2, 3);
    assert_int_equal(append_reply(&c, 2)->u.append_entries_reply.match_index, 3);
    core_persist_as(&c, 0, 2, 4);
    assert_int_equal(append_reply(&c, 2)->u.append_entries_reply.match_index, 4);
    core_close(&c);
}

/* ---- Persistence of what was replaced [raft.h, RAFT_PERSISTED] ---- */

static void a_completion_of_replaced_entries_does_not_count(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 2, 0, TERMS(1));
    core_append_entries(&c, 2, 2, 1, 1, TERMS(2, 2), 0);
    c.now_ms += 1000;
    core_append_entries(&c, 3, 3, 1, 1, TERMS(3, 3), 0);
    core_persist_as(&c, 0, 2, 3);
    assert_int_equal(core_status(&c).durable_index, 1);
    assert_int_equal(append_reply(&c, 3)->u.append_entries_reply.match_index, 1);
    core_persist(&c);
    assert_int_equal(core_status(&c).durable_index, 3);
    core_close(&c);
}

/* 2^2 is written, replaced by 2^3, and comes back under term 4: the old write speaks of
 * bytes that are gone, though the log holds that pair again. */
static void a_completion_of_an_entry_that_came_back_does_not_count(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 2, 0, TERMS(1));
    core_append_entries(&c, 2, 2, 1, 1, TERMS(2), 0);
    core_append_entries(&c, 3, 3, 1, 1, TERMS(3), 0);
    core_append_entries(&c, 2, 4, 1, 1, TERMS(2), 0);
    assert_int_equal(c.effects.truncate_from, 2);
    core_persist_as(&c, 0, 2, 2);
    assert_int_equal(core_status(&c).durable_index, 1);
    core_persist_as(&c, c.generation, 2, 2);
    assert_int_equal(core_status(&c).durable_index, 2);
    core_close(&c);
}

static void what_one_leader_verified_is_not_told_to_the_next(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 2, 0, TERMS(1, 2, 2));
    core_append_entries(&c, 2, 2, 3, 2, NONE, 1);
    assert_int_equal(append_reply(&c, 2)->u.append_entries_reply.match_index, 3);
    core_append_entries(&c, 3, 3, 0, 0, NONE, 0);
    assert_int_equal(append_reply(&c, 3)->u.append_entries_reply.match_index, 1);
    core_close(&c);
}

/* Found by the random faults: the acknowledgement never came, and replication stood still. */
static void losing_sight_of_the_leader_keeps_what_it_verified(void **state)
{
    struct core c;
    struct raft_event closed = { .type = RAFT_PEER_CLOSED };

    (void)state;
    core_open(&c, 3, 2, 0, TERMS(1, 2, 2));
    core_append_entries(&c, 2, 2, 3, 2, NONE, 1);
    closed.now_ms = c.now_ms;
    closed.u.peer_closed.peer = 2;
    raft_step(c.raft, &closed, &c.effects);
    assert_int_equal(core_status(&c).leader, 0);
    core_append_entries(&c, 2, 2, 1, 1, NONE, 1);
    assert_int_equal(append_reply(&c, 2)->u.append_entries_reply.match_index, 3);
    core_close(&c);
}

/* ---- Candidates ---- */

static void an_election_raises_the_term_and_votes_for_itself(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 4, 0, TERMS(1));
    core_pass(&c, 2000);
    assert_int_equal(core_status(&c).role, RAFT_PRE_CANDIDATE);
    assert_int_equal(core_status(&c).current_term, 4);
    assert_int_equal(core_sent(&c, MESSAGE_REQUEST_VOTE, 2)->message.term, 5);
    core_vote_reply(&c, 3, 5, true, true);
    assert_int_equal(core_status(&c).role, RAFT_CANDIDATE);
    assert_int_equal(c.effects.hard_state.current_term, 5);
    assert_int_equal(c.effects.hard_state.voted_for, 1);
    assert_int_equal(core_sent(&c, MESSAGE_REQUEST_VOTE, 2)->need.hard_state_generation,
                     c.effects.hard_state_generation);
    core_close(&c);
}

static void an_own_vote_counts_when_it_is_durable(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 1, 1, 0, TERMS(1));
    core_event(&c, RAFT_CAMPAIGN);
    assert_int_equal(core_status(&c).role, RAFT_CANDIDATE);
    core_persist(&c);
    assert_int_equal(core_status(&c).role, RAFT_LEADER);
    core_close(&c);
}

static void a_refused_pre_vote_raises_the_term_of_the_one_left_behind(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 4, 0, TERMS(1));
    core_pass(&c, 2000);
    core_vote_reply(&c, 2, 7, false, true);
    assert_int_equal(core_status(&c).current_term, 7);
    assert_int_equal(core_status(&c).role, RAFT_FOLLOWER);
    core_close(&c);
}

static void each_election_draws_a_new_timeout(void **state)
{
    struct core c;
    time_ms first_ms;
    time_ms second_ms;

    (void)state;
    core_open(&c, 3, 4, 0, TERMS(1));
    core_pass(&c, 2000);
    first_ms = raft_deadline_ms(c.raft) - c.now_ms;
    core_pass(&c, 2000);
    second_ms = raft_deadline_ms(c.raft) - c.now_ms;
    assert_true(first_ms >= 1000 && first_ms < 2000);
    assert_true(second_ms >= 1000 && second_ms < 2000);
    assert_int_not_equal(first_ms, second_ms);
    core_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_higher_term_is_adopted_and_makes_a_follower),
        cmocka_unit_test(a_request_of_an_older_term_is_rejected_with_ours),
        cmocka_unit_test(a_vote_is_given_once_per_term_and_again_to_the_same),
        cmocka_unit_test(a_vote_survives_a_restart),
        cmocka_unit_test(a_granted_vote_waits_until_it_is_durable),
        cmocka_unit_test(a_vote_is_refused_when_the_candidates_log_is_behind),
        cmocka_unit_test(a_vote_is_refused_while_a_leader_is_heard),
        cmocka_unit_test(a_pre_vote_changes_neither_term_nor_vote_nor_timer),
        cmocka_unit_test(entries_are_refused_without_the_one_before_them),
        cmocka_unit_test(a_conflicting_entry_is_deleted_with_all_that_follow),
        cmocka_unit_test(a_late_or_repeated_message_does_not_shorten_the_log),
        cmocka_unit_test(commit_is_at_most_the_last_entry_that_was_verified),
        cmocka_unit_test(a_committed_entry_is_never_truncated),
        cmocka_unit_test(an_acknowledgement_follows_the_disk),
        cmocka_unit_test(a_completion_of_replaced_entries_does_not_count),
        cmocka_unit_test(a_completion_of_an_entry_that_came_back_does_not_count),
        cmocka_unit_test(what_one_leader_verified_is_not_told_to_the_next),
        cmocka_unit_test(losing_sight_of_the_leader_keeps_what_it_verified),
        cmocka_unit_test(an_election_raises_the_term_and_votes_for_itself),
        cmocka_unit_test(an_own_vote_counts_when_it_is_durable),
        cmocka_unit_test(a_refused_pre_vote_raises_the_term_of_the_one_left_behind),
        cmocka_unit_test(each_election_draws_a_new_timeout),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
