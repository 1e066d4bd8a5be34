/* SPDX-License-Identifier: Apache-2.0 */
/* What the leader believes of a follower, and the window of messages on their way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "raft/progress.h"

static struct inflight window[4];

static struct progress progress_of(raft_index match_index)
{
    struct progress p = { .window = window, .count_max = 4 };

    progress_reset(&p, match_index + 1, 0);
    (void)progress_acknowledge(&p, match_index, 0);
    progress_become_replicate(&p, 0);
    return p;
}

static void a_new_leader_knows_nothing(void **state)
{
    struct progress p = progress_of(5);

    (void)state;
    progress_reset(&p, 9, 77);
    assert_int_equal(p.mode, RAFT_PROGRESS_PROBE);
    assert_int_equal(p.match_index, 0);
    assert_int_equal(p.next_index, 9);
    assert_int_equal(p.heard_ms, 0);
    assert_ptr_equal(p.window, window);
}

static void match_never_moves_back(void **state)
{
    struct progress p = progress_of(5);

    (void)state;
    assert_false(progress_acknowledge(&p, 4, 1));
    assert_false(progress_acknowledge(&p, 5, 1));
    assert_int_equal(p.match_index, 5);
    assert_true(progress_acknowledge(&p, 6, 1));
    assert_int_equal(p.next_index, 7);
}

static void an_acknowledgement_frees_all_messages_up_to_it(void **state)
{
    struct progress p = progress_of(0);

    (void)state;
    progress_sent(&p, 3, 100, 1);
    progress_sent(&p, 5, 50, 1);
    progress_sent(&p, 9, 70, 1);
    assert_int_equal(p.next_index, 10);
    assert_int_equal(p.inflight_bytes, 220);
    assert_true(progress_acknowledge(&p, 6, 2));
    assert_int_equal(p.inflight_count, 1);
    assert_int_equal(p.inflight_bytes, 70);
    assert_int_equal(p.next_index, 10);
}

static void the_window_closes_by_count_and_by_bytes(void **state)
{
    struct progress p = progress_of(0);

    (void)state;
    progress_sent(&p, 1, 10, 1);
    assert_true(progress_admits(&p, 90, 100));
    assert_false(progress_admits(&p, 91, 100));
    progress_sent(&p, 2, 10, 1);
    progress_sent(&p, 3, 10, 1);
    progress_sent(&p, 4, 10, 1);
    assert_false(progress_admits(&p, 1, 100));
    (void)progress_acknowledge(&p, 1, 2);
    assert_true(progress_admits(&p, 1, 100));
    progress_sent(&p, 5, 1, 2); /* the ring wraps */
    (void)progress_acknowledge(&p, 5, 3);
    assert_int_equal(p.inflight_count, 0);
    assert_int_equal(p.inflight_bytes, 0);
}

static void an_empty_window_admits_any_one_message(void **state)
{
    struct progress p = progress_of(0);

    (void)state;
    assert_true(progress_admits(&p, UINT64_MAX, 100));
    progress_sent(&p, 1, 1000, 1);
    assert_false(progress_admits(&p, 1, 100));
}

static void probing_forgets_what_was_on_its_way(void **state)
{
    struct progress p = progress_of(2);

    (void)state;
    progress_sent(&p, 8, 10, 1);
    progress_become_probe(&p, 3);
    assert_int_equal(p.inflight_count, 0);
    assert_int_equal(p.next_index, 3);
    assert_false(p.is_probe_sent);
}

static void a_snapshot_waits_until_its_stream_ends(void **state)
{
    struct progress p = progress_of(2);

    (void)state;
    progress_become_snapshot(&p, 50);
    assert_int_equal(p.mode, RAFT_PROGRESS_SNAPSHOT);
    assert_true(p.snapshot_retry_ms == INT64_MAX);
    (void)progress_acknowledge(&p, 50, 9);
    progress_become_replicate(&p, 9);
    assert_int_equal(p.next_index, 51);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_leader_knows_nothing),
        cmocka_unit_test(match_never_moves_back),
        cmocka_unit_test(an_acknowledgement_frees_all_messages_up_to_it),
        cmocka_unit_test(the_window_closes_by_count_and_by_bytes),
        cmocka_unit_test(an_empty_window_admits_any_one_message),
        cmocka_unit_test(probing_forgets_what_was_on_its_way),
        cmocka_unit_test(a_snapshot_waits_until_its_stream_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
