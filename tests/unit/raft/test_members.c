/* SPDX-License-Identifier: Apache-2.0 */
/* Memberships come into force with their entries, and go with them [thesis 4.1]. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "model/command.h"
#include "support/core.h"

#define TERMS(...) ((const raft_term[]){ __VA_ARGS__, 0 })

/* A membership of the voters 1..count, and the entry that carries it. */
static void membership_entry(struct core *c, node_id from, raft_term term, raft_index index,
                             raft_term prev_term, unsigned count)
{
    struct membership m = { .count = 0 };
    struct message message = {
        .type = MESSAGE_APPEND_ENTRIES, .from = from, .to = 1, .term = term
    };
    struct buffer bytes = BUFFER_INIT;
    struct entry e = { .term = term, .index = index };

    for (node_id id = 1; id <= count; id++) {
        struct member member = { .id = id, .flags = MEMBER_VOTER | MEMBER_VOTER_OLD };

        (void)snprintf(member.name, sizeof member.name, "n%u", (unsigned)id);
        assert_int_equal(membership_add(&m, &member), RK_OK);
    }
    command_encode_membership(&bytes, &m);
    e.command = buffer_slice(&bytes);
    message.u.append_entries.prev_log_index = index - 1;
    message.u.append_entries.prev_log_term = prev_term;
    message.u.append_entries.count = 1;
    message.u.append_entries.entries = &e;
    core_receive(c, &message);
    buffer_release(&bytes);
}

static void it_is_in_force_from_its_append_on(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    membership_entry(&c, 2, 1, 2, 1, 5);
    assert_int_equal(core_status(&c).commit_index, 0);
    assert_int_equal(raft_membership(c.raft)->count, 5);
    c.now_ms += 5000;
    core_event(&c, RAFT_TIMEOUT);
    assert_non_null(core_sent(&c, MESSAGE_REQUEST_VOTE, 5));
    core_close(&c);
}

static void it_is_given_back_when_its_entry_is_truncated(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    membership_entry(&c, 2, 1, 2, 1, 5);
    core_append_entries(&c, 3, 2, 1, 1, TERMS(2), 0);
    assert_int_equal(c.effects.truncate_from, 2);
    assert_int_equal(raft_membership(c.raft)->count, 3);
    core_close(&c);
}

static void a_second_one_proves_the_first_committed(void **state)
{
    struct core c;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    membership_entry(&c, 2, 1, 2, 1, 4);
    membership_entry(&c, 2, 1, 3, 1, 5);
    core_append_entries(&c, 3, 2, 2, 1, TERMS(2), 0); /* the second is replaced */
    assert_int_equal(raft_membership(c.raft)->count, 4);
    core_append_entries(&c, 2, 3, 1, 1, TERMS(3), 0); /* the first cannot be */
    assert_non_null(c.effects.halt);
    core_close(&c);
}

static void one_that_cannot_be_read_is_not_appended(void **state)
{
    struct core c;
    const uint8_t bad[] = { COMMAND_MEMBERSHIP, 0xff };
    struct entry e = { .term = 1, .index = 2, .command = { bad, sizeof bad } };
    struct message m = { .type = MESSAGE_APPEND_ENTRIES, .from = 2, .to = 1, .term = 1 };

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    m.u.append_entries.prev_log_index = 1;
    m.u.append_entries.prev_log_term = 1;
    m.u.append_entries.count = 1;
    m.u.append_entries.entries = &e;
    core_receive(&c, &m);
    assert_int_equal(core_status(&c).log_last_index, 1);
    assert_int_equal(c.effects.send_count, 0);
    core_close(&c);
}

static void a_node_that_is_no_voter_does_not_campaign_but_votes(void **state)
{
    struct core c;
    struct membership others;

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    others = c.membership;
    core_close(&c);
    others.members[0].flags = 0; /* node 1 is a learner */
    {
        struct buffer bytes = BUFFER_INIT;
        struct entry e = { .term = 1, .index = 2 };
        struct message m = { .type = MESSAGE_APPEND_ENTRIES, .from = 2, .to = 1, .term = 1 };

        core_open(&c, 3, 1, 0, TERMS(1));
        command_encode_membership(&bytes, &others);
        e.command = buffer_slice(&bytes);
        m.u.append_entries.prev_log_index = 1;
        m.u.append_entries.prev_log_term = 1;
        m.u.append_entries.count = 1;
        m.u.append_entries.entries = &e;
        m.u.append_entries.leader_commit = 2; /* until then it might be taken back */
        core_receive(&c, &m);
        buffer_release(&bytes);
    }
    core_pass(&c, 9000);
    assert_int_equal(core_status(&c).role, RAFT_FOLLOWER);
    core_request_vote(&c, 3, 2, 2, 1, false);
    assert_true(
        core_sent(&c, MESSAGE_REQUEST_VOTE_REPLY, 3)->message.u.request_vote_reply.is_granted);
    core_close(&c);
}

static void timeout_now_campaigns_at_once_and_says_so(void **state)
{
    struct core c;
    struct message m = { .type = MESSAGE_TIMEOUT_NOW, .from = 2, .to = 1, .term = 1 };

    (void)state;
    core_open(&c, 3, 1, 0, TERMS(1));
    core_receive(&c, &m); /* not from the leader it follows */
    assert_int_equal(core_status(&c).role, RAFT_FOLLOWER);
    core_append_entries(&c, 2, 1, 1, 1, (const raft_term[]){ 0 }, 0);
    core_receive(&c, &m);
    assert_int_equal(core_status(&c).role, RAFT_CANDIDATE);
    assert_true(core_sent(&c, MESSAGE_REQUEST_VOTE, 3)->message.u.request_vote.is_transfer);
    core_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_in_force_from_its_append_on),
        cmocka_unit_test(it_is_given_back_when_its_entry_is_truncated),
        cmocka_unit_test(a_second_one_proves_the_first_committed),
        cmocka_unit_test(one_that_cannot_be_read_is_not_appended),
        cmocka_unit_test(a_node_that_is_no_voter_does_not_campaign_but_votes),
        cmocka_unit_test(timeout_now_campaigns_at_once_and_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
