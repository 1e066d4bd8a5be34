/* SPDX-License-Identifier: Apache-2.0 */
/* Figure 2 of the paper, "Rules for Servers": followers, candidates, leaders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/core.h"

#define TERMS(...) ((const raft_term[]){ __VA_ARGS__, 0 })
#define NONE ((const raft_term[]){ 0 })

static const struct message *sent(const struct core *c, enum message_type type, node_id to)
{
    const struct raft_send *send = core_sent(c, type, to);

    return send == NULL ? NULL : &send->message;
}

static void append_refused(struct core *c, node_id from, raft_index reject_index,
                           raft_index conflict_index, raft_term conflict_term)
{
    struct message m = { .type = MESSAGE_APPEND_ENTRIES_REPLY, .from = from, .to = 1 };

    m.term = core_status(c).current_term;
    m.u.append_entries_reply.reject_index = reject_index;
    m.u.append_entries_reply.conflict_index = conflict_index;
    m.u.append_entries_reply.conflict_term = conflict_term;
    m.u.append_entries_reply.last_log_index = conflict_index;
    core_receive(c, &m);
}

/* ---- AppendEntries, step 4 ---- */

static void entries_that_are_new_are_appended_and_no_others(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 2, 0, TERMS(1, 2));
    core_append_entries(&c, 2, 2, 1, 1, TERMS(2, 2, 2), 0);
    assert_int_equal(c.effects.truncate_from, 0);
    assert_int_equal(c.effects.append_kind, RAFT_APPEND_RECEIVED);
    assert_int_equal(c.effects.append_first, 3);
    assert_int_equal(c.effects.append_last, 4);
    core_close(&c);
}

/* ---- Followers ---- */

static void a_follower_that_hears_nobody_starts_an_election(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    core_pass(&c, 999);
    assert_int_equal(core_status(&c).role, RAFT_FOLLOWER);
    core_pass(&c, 1001);
    assert_int_equal(core_status(&c).role, RAFT_PRE_CANDIDATE);
    core_close(&c);
}

static void hearing_the_leader_puts_the_election_off(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 2, 0, TERMS(1));
    for (unsigned i = 0; i < 10; i++) {
        core_pass(&c, 900);
        assert_int_equal(core_status(&c).role, RAFT_FOLLOWER);
        core_append_entries(&c, 2, 2, 1, 1, NONE, 0);
    }
    core_pass(&c, 2000);
    assert_int_equal(core_status(&c).role, RAFT_PRE_CANDIDATE);
    core_close(&c);
}

static void giving_a_vote_puts_the_election_off(void **state)
{
    struct core c;
    time_ms before_ms;

    (void)state;
    core_open(&c, 3, 2, 0, TERMS(1));
    before_ms = raft_deadline_ms(c.raft);
    c.now_ms += 500;
    core_request_vote(&c, 2, 3, 1, 1, false);
    assert_int_equal(raft_deadline_ms(c.raft), before_ms + 500);
    before_ms = raft_deadline_ms(c.raft);
    c.now_ms += 100;
    core_request_vote(&c, 3, 3, 1, 1, false); /* refused: the vote is given */
    assert_int_equal(raft_deadline_ms(c.raft), before_ms);
    core_close(&c);
}

static void a_message_of_an_older_leader_does_not(void **state)
{
    struct core c;
    time_ms before_ms;

    (void)state;
    core_open(&c, 3, 5, 0, TERMS(1));
    before_ms = raft_deadline_ms(c.raft);
    c.now_ms += 500;
    core_append_entries(&c, 2, 4, 1, 1, NONE, 0);
    assert_int_equal(raft_deadline_ms(c.raft), before_ms);
    core_close(&c);
}

/* ---- Candidates ---- */

static void a_majority_of_votes_makes_a_leader_and_less_does_not(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 5, 1, 0, TERMS(1));
    core_event(&c, RAFT_CAMPAIGN);
    core_persist(&c);
    core_vote_reply(&c, 2, 2, true, false);
    core_vote_reply(&c, 3, 2, false, false);
    assert_int_equal(core_status(&c).role, RAFT_CANDIDATE);
    core_vote_reply(&c, 2, 2, true, false); /* the same one again counts once */
    assert_int_equal(core_status(&c).role, RAFT_CANDIDATE);
    core_vote_reply(&c, 4, 1, true, false); /* of an older term: not at all */
    assert_int_equal(core_status(&c).role, RAFT_CANDIDATE);
    core_vote_reply(&c, 4, 2, true, false);
    assert_int_equal(core_status(&c).role, RAFT_LEADER);
    core_close(&c);
}

static void a_candidate_follows_the_leader_of_its_term(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    core_event(&c, RAFT_CAMPAIGN);
    core_append_entries(&c, 3, 2, 1, 1, TERMS(2), 0);
    assert_int_equal(core_status(&c).role, RAFT_FOLLOWER);
    assert_int_equal(core_status(&c).leader, 3);
    assert_int_equal(core_status(&c).current_term, 2);
    assert_int_equal(core_status(&c).log_last_index, 2);
    core_request_vote(&c, 2, 2, 9, 1, false); /* its vote of this term stays its own */
    assert_false(sent(&c, MESSAGE_REQUEST_VOTE_REPLY, 2)->u.request_vote_reply.is_granted);
    core_close(&c);
}

static void a_candidate_without_answer_tries_again(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    core_event(&c, RAFT_CAMPAIGN);
    core_persist(&c);
    core_pass(&c, 2000);
    assert_int_equal(core_status(&c).role, RAFT_PRE_CANDIDATE);
    assert_int_equal(sent(&c, MESSAGE_REQUEST_VOTE, 2)->term, 3);
    core_vote_reply(&c, 2, 3, true, true);
    assert_int_equal(core_status(&c).role, RAFT_CANDIDATE);
    assert_int_equal(core_status(&c).current_term, 3);
    core_close(&c);
}

/* ---- Leaders ---- */

static void an_idle_leader_sends_heartbeats(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    core_lead(&c);
    core_event(&c, RAFT_TURN);
    core_persist(&c);
    core_append_reply(&c, 2, 2, 2, 0);
    core_append_reply(&c, 3, 2, 2, 0);
    core_event(&c, RAFT_TURN); /* tells them that its no-op is committed */
    for (unsigned i = 0; i < 5; i++) {
        core_event(&c, RAFT_TURN);
        assert_int_equal(c.effects.send_count, 0);
        core_pass(&c, 100);
        core_event(&c, RAFT_TURN);
        assert_non_null(sent(&c, MESSAGE_APPEND_ENTRIES, 2));
        assert_non_null(sent(&c, MESSAGE_APPEND_ENTRIES, 3));
        core_append_reply(&c, 2, 2, 2, 0);
        core_append_reply(&c, 3, 2, 2, 0);
    }
    core_close(&c);
}

static void entries_are_sent_from_next_index_on(void **state)
{
    struct core c;
    const struct message *m;

    (void)state;
    core_open(&c, 3, 4, 0, TERMS(1, 1, 4, 4));
    core_lead(&c); /* its no-op is 5 */
    core_event(&c, RAFT_TURN);
    m = sent(&c, MESSAGE_APPEND_ENTRIES, 2);
    assert_int_equal(m->u.append_entries.prev_log_index, 4);
    assert_int_equal(m->u.append_entries.prev_log_term, 4);
    assert_int_equal(m->u.append_entries.count, 1);
    core_close(&c);
}

static void a_success_moves_next_and_match_forward(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    core_lead(&c);
    core_event(&c, RAFT_TURN);
    core_append_reply(&c, 2, 2, 2, 0);
    assert_int_equal(core_status(&c).peers[0].match_index, 2);
    assert_int_equal(core_status(&c).peers[0].next_index, 3);
    core_append_reply(&c, 2, 2, 1, 0); /* an older answer, late */
    assert_int_equal(core_status(&c).peers[0].match_index, 2);
    assert_int_equal(core_status(&c).peers[0].next_index, 3);
    core_close(&c);
}

static void a_refusal_moves_next_back_and_is_tried_again(void **state)
{
    struct core c;
    const struct message *m;

    (void)state;
    core_open(&c, 3, 4, 0, TERMS(1, 1, 4, 4));
    core_lead(&c);
    core_event(&c, RAFT_TURN);
    append_refused(&c, 2, 4, 2, 1);
    core_event(&c, RAFT_TURN);
    m = sent(&c, MESSAGE_APPEND_ENTRIES, 2);
    assert_int_equal(m->u.append_entries.prev_log_index, 2);
    assert_int_equal(m->u.append_entries.prev_log_term, 1);
    assert_int_equal(m->u.append_entries.count, 3);
    assert_int_equal(core_status(&c).peers[0].match_index, 0);
    core_close(&c);
}

static void a_leader_never_counts_an_answer_of_an_older_term(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 2, 0, TERMS(1));
    core_lead(&c); /* term 3 */
    core_persist(&c);
    core_append_reply(&c, 2, 2, 2, 0);
    assert_int_equal(core_status(&c).commit_index, 0);
    core_append_reply(&c, 2, 3, 2, 0);
    assert_int_equal(core_status(&c).commit_index, 2);
    core_close(&c);
}

static void a_deposed_leader_takes_no_more_commands(void **state)
{
    struct core c;
    struct raft_event event = { .type = RAFT_SUBMIT };

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    core_lead(&c);
    core_append_entries(&c, 2, 9, 1, 1, TERMS(9), 0);
    assert_int_equal(core_status(&c).role, RAFT_FOLLOWER);
    event.now_ms = c.now_ms;
    event.u.submit.count = 1;
    event.u.submit.bytes = 10;
    raft_step(c.raft, &event, &c.effects);
    assert_int_equal(c.effects.submit_status, RK_NOLEADER);
    assert_int_equal(c.effects.append_kind, RAFT_APPEND_NONE);
    assert_int_equal(core_status(&c).last_term, 9);
    core_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_that_are_new_are_appended_and_no_others),
        cmocka_unit_test(a_follower_that_hears_nobody_starts_an_election),
        cmocka_unit_test(hearing_the_leader_puts_the_election_off),
        cmocka_unit_test(giving_a_vote_puts_the_election_off),
        cmocka_unit_test(a_message_of_an_older_leader_does_not),
        cmocka_unit_test(a_majority_of_votes_makes_a_leader_and_less_does_not),
        cmocka_unit_test(a_candidate_follows_the_leader_of_its_term),
        cmocka_unit_test(a_candidate_without_answer_tries_again),
        cmocka_unit_test(an_idle_leader_sends_heartbeats),
        cmocka_unit_test(entries_are_sent_from_next_index_on),
        cmocka_unit_test(a_success_moves_next_and_match_forward),
        cmocka_unit_test(a_refusal_moves_next_back_and_is_tried_again),
        cmocka_unit_test(a_leader_never_counts_an_answer_of_an_older_term),
        cmocka_unit_test(a_deposed_leader_takes_no_more_commands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
