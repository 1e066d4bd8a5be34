/* SPDX-License-Identifier: Apache-2.0 */
/* Voters without space: writes are refused only when a quorum cannot take them [DESIGN 4]. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/core.h"

#define TERMS(...) ((const raft_term[]){ __VA_ARGS__, 0 })

static void lead(struct core *c)
{
    core_open(c, 3, 5, 0, TERMS(1, 2));
    core_lead(c);
    core_persist(c);
    core_append_reply(c, 2, 6, 3, 0);
    assert_int_equal(core_status(c).commit_index, 3);
}

static void says(struct core *c, node_id from, bool is_full)
{
    struct message m = { .type = MESSAGE_APPEND_ENTRIES_REPLY, .from = from, .to = 1, .term = 6 };

    m.u.append_entries_reply.is_success = true;
    m.u.append_entries_reply.is_full = is_full;
    m.u.append_entries_reply.match_index = 3;
    m.u.append_entries_reply.last_log_index = 3;
    core_receive(c, &m);
}

static void step(struct core *c, enum raft_event_type type, bool is_full)
{
    struct raft_event event = { .type = type, .now_ms = c->now_ms, .is_disk_full = is_full };

    if (type == RAFT_SUBMIT) {
        event.u.submit.count = 1;
        event.u.submit.bytes = 10;
    }
    raft_step(c->raft, &event, &c->effects);
}

static enum rk_status submit(struct core *c, bool is_full)
{
    step(c, RAFT_SUBMIT, is_full);
    return c->effects.submit_status;
}

static void a_minority_without_space_is_no_matter(void **state)
{
    struct core c;

    (void)state;
    lead(&c);
    says(&c, 3, true);
    assert_int_equal(submit(&c, false), RK_OK);
    core_close(&c);
}

static void a_majority_without_space_refuses_writes_until_it_has_some(void **state)
{
    struct core c;

    (void)state;
    lead(&c);
    says(&c, 2, true);
    says(&c, 3, true);
    assert_int_equal(submit(&c, false), RK_NOSPACE);
    says(&c, 2, false);
    assert_int_equal(submit(&c, false), RK_OK);
    assert_int_equal(submit(&c, true), RK_NOSPACE); /* itself and 3 */
    core_close(&c);
}

static void a_leader_without_space_hands_over_to_one_that_has(void **state)
{
    struct core c;

    (void)state;
    lead(&c);
    says(&c, 2, false);
    says(&c, 3, false);
    step(&c, RAFT_TURN, true);
    assert_true(raft_transfer_target(c.raft) != 0);
    core_close(&c);
    lead(&c);
    says(&c, 2, true);
    says(&c, 3, true);
    step(&c, RAFT_TURN, true);
    assert_int_equal(raft_transfer_target(c.raft), 0); /* nobody is better off */
    core_close(&c);
}

static void a_follower_tells(void **state)
{
    struct message m = { .type = MESSAGE_APPEND_ENTRIES, .from = 2, .to = 1, .term = 5 };
    struct raft_event event = { .type = RAFT_RECEIVE, .is_disk_full = true };
    struct core c;

    (void)state;
    core_open(&c, 3, 5, 0, TERMS(1, 2));
    event.now_ms = c.now_ms;
    event.u.receive = &m;
    raft_step(c.raft, &event, &c.effects);
    assert_true(
        core_sent(&c, MESSAGE_APPEND_ENTRIES_REPLY, 2)->message.u.append_entries_reply.is_full);
    core_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_minority_without_space_is_no_matter),
        cmocka_unit_test(a_majority_without_space_refuses_writes_until_it_has_some),
        cmocka_unit_test(a_leader_without_space_hands_over_to_one_that_has),
        cmocka_unit_test(a_follower_tells),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
