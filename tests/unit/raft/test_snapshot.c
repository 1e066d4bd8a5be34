/* SPDX-License-Identifier: Apache-2.0 */
/* What a received snapshot makes of the log [paper 7, fig 13]. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/core.h"

#define TERMS(...) ((const raft_term[]){ __VA_ARGS__, 0 })
#define NONE ((const raft_term[]){ 0 })

static void chunk(struct core *c, raft_index last_index, raft_term last_term)
{
    struct message m = { .type = MESSAGE_INSTALL_SNAPSHOT, .from = 2, .to = 1, .term = 5 };

    m.u.install_snapshot.last_index = last_index;
    m.u.install_snapshot.last_term = last_term;
    core_receive(c, &m);
}

static void received(struct core *c, raft_index last_index, raft_term last_term)
{
    struct raft_event event = { .type = RAFT_SNAPSHOT_RECEIVED, .now_ms = c->now_ms };

    event.u.snapshot_received.last_index = last_index;
    event.u.snapshot_received.last_term = last_term;
    event.u.snapshot_received.membership = &c->membership;
    event.u.snapshot_received.membership_index = 1;
    raft_step(c->raft, &event, &c->effects);
}

static void installed(struct core *c, raft_index last_index, raft_term last_term)
{
    struct raft_event event = { .type = RAFT_SNAPSHOT_INSTALLED, .now_ms = c->now_ms };

    event.u.snapshot_installed.last_index = last_index;
    event.u.snapshot_installed.last_term = last_term;
    raft_step(c->raft, &event, &c->effects);
}

static bool replied_installed(const struct core *c, raft_index last_index)
{
    const struct raft_send *send = core_sent(c, MESSAGE_INSTALL_SNAPSHOT_REPLY, 2);

    return send != NULL && send->message.u.install_snapshot_reply.is_installed &&
           send->message.u.install_snapshot_reply.last_index == last_index;
}

static void a_newer_one_replaces_the_log(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 5, 0, TERMS(1, 2, 2));
    chunk(&c, 10, 4);
    assert_true(c.effects.is_chunk_accepted);
    received(&c, 10, 4);
    assert_true(c.effects.has_install);
    assert_false(c.effects.install_keeps_suffix);
    core_append_entries(&c, 2, 5, 3, 2, TERMS(5), 0); /* not taken meanwhile */
    assert_int_equal(c.effects.append_kind, RAFT_APPEND_NONE);
    installed(&c, 10, 4);
    assert_int_equal(core_status(&c).commit_index, 10);
    assert_int_equal(core_status(&c).log_first_index, 11);
    assert_int_equal(core_status(&c).last_term, 4);
    assert_true(replied_installed(&c, 10));
    core_append_entries(&c, 2, 5, 10, 4, TERMS(5), 10);
    assert_int_equal(core_status(&c).log_last_index, 11);
    core_close(&c);
}

static void what_follows_an_entry_that_is_held_is_kept(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 5, 0, TERMS(1, 2, 2, 4, 4));
    chunk(&c, 3, 2);
    received(&c, 3, 2);
    assert_true(c.effects.install_keeps_suffix);
    installed(&c, 3, 2);
    assert_int_equal(core_status(&c).log_first_index, 4);
    assert_int_equal(core_status(&c).log_last_index, 5);
    assert_int_equal(core_status(&c).durable_index, 5);
    core_close(&c);
}

static void an_entry_of_another_term_there_keeps_nothing(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 5, 0, TERMS(1, 2, 2, 4, 4));
    chunk(&c, 3, 3);
    received(&c, 3, 3);
    assert_false(c.effects.install_keeps_suffix);
    installed(&c, 3, 3);
    assert_int_equal(core_status(&c).log_last_index, 3);
    assert_int_equal(core_status(&c).durable_index, 3);
    core_close(&c);
}

static void an_old_one_is_confirmed_and_ignored(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 5, 0, TERMS(1, 2, 2));
    core_append_entries(&c, 2, 5, 3, 2, NONE, 3);
    chunk(&c, 2, 2);
    assert_false(c.effects.is_chunk_accepted);
    assert_true(replied_installed(&c, 2));
    received(&c, 3, 2); /* it was on its way when the entries came */
    assert_false(c.effects.has_install);
    core_close(&c);
}

static void the_stream_of_a_deposed_leader_is_refused(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 6, 0, TERMS(1));
    chunk(&c, 10, 4);
    assert_false(c.effects.is_chunk_accepted);
    assert_int_equal(core_sent(&c, MESSAGE_INSTALL_SNAPSHOT_REPLY, 2)->message.term, 6);
    core_close(&c);
}

static void nobody_campaigns_while_one_is_installed(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 5, 0, TERMS(1));
    chunk(&c, 10, 4);
    received(&c, 10, 4);
    core_pass(&c, 5000);
    assert_int_equal(core_status(&c).role, RAFT_FOLLOWER);
    installed(&c, 10, 4);
    core_pass(&c, 5000);
    assert_int_equal(core_status(&c).role, RAFT_PRE_CANDIDATE);
    core_close(&c);
}

/* ---- The leader's side ---- */

static void compacted(struct core *c, raft_index first_index, raft_index snapshot_last_index,
                      raft_term snapshot_last_term)
{
    struct raft_event event = { .type = RAFT_COMPACTED, .now_ms = c->now_ms };

    event.u.compacted.first_index = first_index;
    event.u.compacted.snapshot_last_index = snapshot_last_index;
    event.u.compacted.snapshot_last_term = snapshot_last_term;
    raft_step(c->raft, &event, &c->effects);
}

static void sent(struct core *c, node_id peer, bool is_ok, bool is_gone, raft_index last_index)
{
    struct raft_event event = { .type = RAFT_SNAPSHOT_SENT, .now_ms = c->now_ms };

    event.u.snapshot_sent.peer = peer;
    event.u.snapshot_sent.is_ok = is_ok;
    event.u.snapshot_sent.is_gone = is_gone;
    event.u.snapshot_sent.last_index = last_index;
    raft_step(c->raft, &event, &c->effects);
}

/* Node 3 has entry 1 and nothing else. */
static void refuse_probe(struct core *c, raft_index prev_index)
{
    struct message m = { .type = MESSAGE_APPEND_ENTRIES_REPLY, .from = 3, .to = 1, .term = 6 };

    m.u.append_entries_reply.reject_index = prev_index;
    m.u.append_entries_reply.conflict_index = 1;
    m.u.append_entries_reply.conflict_term = 1;
    m.u.append_entries_reply.last_log_index = 1;
    core_receive(c, &m);
    core_event(c, RAFT_TURN);
}

/* Leads in term 6 with entries up to 6 and a snapshot up to 4; node 3 needs entry 2. */
static void lead_with_snapshot(struct core *c)
{
    core_open(c, 3, 5, 0, TERMS(1, 1, 2, 2, 2));
    core_lead(c);
    core_persist(c);
    core_append_reply(c, 2, 6, 6, 0);
    compacted(c, 4, 4, 2);
    core_event(c, RAFT_TURN);
    refuse_probe(c, 5);
    assert_int_equal(c->effects.send_snapshot_count, 1);
    assert_int_equal(c->effects.send_snapshots[0], 3);
}

static void assert_wanted(const struct core *c, raft_index wanted_index)
{
    raft_index last_index = 0;
    raft_term last_term = 0;

    assert_true(raft_snapshot_for(c->raft, 3, &last_index, &last_term));
    assert_int_equal(last_index, wanted_index);
    assert_int_equal(last_term, raft_term_at(c->raft, wanted_index));
}

/* Lets time pass until it is sent one again, the others being well. */
static void wait_for_retry(struct core *c)
{
    for (unsigned i = 0; i < 10000; i++) {
        core_pass(c, 10);
        core_append_reply(c, 2, 6, 6, 0); /* else it steps down */
        core_event(c, RAFT_TURN);
        if (core_status(c).peers[1].mode == RAFT_PROGRESS_PROBE) {
            refuse_probe(c, core_status(c).peers[1].next_index - 1);
            assert_int_equal(c->effects.send_snapshot_count, 1);
            return;
        }
    }
    fail();
}

static void a_cut_transfer_is_tried_again_with_the_same_snapshot(void **state)
{
    struct core c;

    (void)state;
    lead_with_snapshot(&c);
    assert_wanted(&c, 4);
    compacted(&c, 4, 6, 6); /* a newer one was taken; the log still continues the old one */
    sent(&c, 3, false, false, 4);
    core_event(&c, RAFT_TURN);
    assert_int_equal(c.effects.send_snapshot_count, 0); /* not at once */
    wait_for_retry(&c);
    assert_wanted(&c, 4);
    sent(&c, 3, false, true, 4); /* its file is gone: then the newest */
    wait_for_retry(&c);
    assert_wanted(&c, 6);
    core_close(&c);
}

static void entries_behind_a_snapshot_on_its_way_are_not_cut(void **state)
{
    struct core c;

    (void)state;
    lead_with_snapshot(&c);
    assert_int_equal(raft_compaction_limit(c.raft), 4);
    sent(&c, 3, true, false, 4); /* sent, but not installed there yet */
    assert_int_equal(raft_compaction_limit(c.raft), 4);
    core_append_reply(&c, 3, 6, 4, 0);
    assert_true(raft_compaction_limit(c.raft) == UINT64_MAX);
    core_close(&c);
}

static void a_failed_transfer_does_not_hold_the_log(void **state)
{
    struct core c;

    (void)state;
    lead_with_snapshot(&c);
    sent(&c, 3, false, false, 4);
    assert_true(raft_compaction_limit(c.raft) == UINT64_MAX);
    core_close(&c);
}

/* Each failure in a row doubles the pause, up to 32 election timeouts. */
static void transfers_that_fail_are_tried_ever_more_rarely(void **state)
{
    struct core c;

    (void)state;
    lead_with_snapshot(&c);
    for (unsigned i = 0; i < 8; i++) {
        time_ms failed_ms = c.now_ms;

        sent(&c, 3, false, false, 4);
        wait_for_retry(&c);
        assert_in_range(c.now_ms - failed_ms, (time_ms)1000 << (i < 5 ? i : 5),
                        ((time_ms)1000 << (i < 5 ? i : 5)) + 20);
    }
    core_close(&c);
}

/* What it acknowledged is not in the log any more: no message can tell it that this is committed,
 * and each that tries would be answered, which brings the next turn. */
static void who_waits_for_a_snapshot_is_not_told_of_commits_turn_by_turn(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 5, 0, TERMS(1, 1, 2, 2, 2));
    core_lead(&c);
    core_persist(&c);
    core_append_reply(&c, 2, 6, 6, 0);
    core_append_reply(&c, 3, 6, 3, 0);
    compacted(&c, 6, 6, 6);
    refuse_probe(&c, 5);
    assert_int_equal(c.effects.send_snapshot_count, 1);
    core_append_reply(&c, 3, 6, 3, 0);
    core_event(&c, RAFT_TURN);
    assert_null(core_sent(&c, MESSAGE_APPEND_ENTRIES, 3));
    core_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_newer_one_replaces_the_log),
        cmocka_unit_test(what_follows_an_entry_that_is_held_is_kept),
        cmocka_unit_test(an_entry_of_another_term_there_keeps_nothing),
        cmocka_unit_test(an_old_one_is_confirmed_and_ignored),
        cmocka_unit_test(the_stream_of_a_deposed_leader_is_refused),
        cmocka_unit_test(nobody_campaigns_while_one_is_installed),
        cmocka_unit_test(a_cut_transfer_is_tried_again_with_the_same_snapshot),
        cmocka_unit_test(entries_behind_a_snapshot_on_its_way_are_not_cut),
        cmocka_unit_test(a_failed_transfer_does_not_hold_the_log),
        cmocka_unit_test(transfers_that_fail_are_tried_ever_more_rarely),
        cmocka_unit_test(who_waits_for_a_snapshot_is_not_told_of_commits_turn_by_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
