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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_newer_one_replaces_the_log),
        cmocka_unit_test(what_follows_an_entry_that_is_held_is_kept),
        cmocka_unit_test(an_entry_of_another_term_there_keeps_nothing),
        cmocka_unit_test(an_old_one_is_confirmed_and_ignored),
        cmocka_unit_test(the_stream_of_a_deposed_leader_is_refused),
        cmocka_unit_test(nobody_campaigns_while_one_is_installed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
