/* SPDX-License-Identifier: Apache-2.0 */
/* Log, index and state on the real file system. */
#include "storage_case.h"

static void empty_directory_becomes_a_member(void **state)
{
    struct store *t = *state;
    uint64_t incarnation;

    OK(store_open(t));
    assert_true(t->recovered.is_new);
    assert_int_equal(t->recovered.state.boot_count, 1);
    assert_int_not_equal(t->recovered.state.incarnation, 0);
    assert_int_equal(t->recovered.log_first_index, 1);
    assert_int_equal(t->recovered.log_last_index, 0);
    incarnation = t->recovered.state.incarnation;
    store_close(t);
    OK(store_open(t));
    assert_false(t->recovered.is_new);
    assert_int_equal(t->recovered.state.boot_count, 2);
    assert_int_equal(t->recovered.state.incarnation, incarnation);
}

static void synced_entries_come_back_after_a_restart(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 10, 100));
    OK(store_append_sync(t, 2, 5000, 30));
    OK(store_append_sync(t, 7, 1, 2 * MIB));
    store_close(t);
    OK(store_open(t));
    assert_int_equal(t->recovered.log_last_index, 5011);
    assert_int_equal(t->recovered.log_last_term, 7);
    assert_int_equal(t->recovered.state.current_term, 7);
    assert_int_equal(t->recovered.torn_bytes, 0);
    assert_false(t->recovered.is_index_rebuilt);
    assert_int_equal(case_count_entries(t, 1), 5011);
    assert_int_equal(case_count_entries(t, 3000), 2012);
    assert_int_equal(case_count_entries(t, 6000), 0);
}

static void ranges_are_read_within_a_byte_limit(void **state)
{
    struct store *t = *state;
    struct buffer out = BUFFER_INIT;
    raft_index last;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 100, 76));
    OK(storage_read(t->s, 11, 20, 1 * MIB, &out, &last, &t->why));
    assert_int_equal(last, 20);
    assert_int_equal(out.size, 1000);
    OK(storage_read(t->s, 1, 100, 450, &out, &last, &t->why));
    assert_int_equal(last, 4);
    assert_int_equal(out.size, 1400);
    OK(storage_read(t->s, 100, 1000, 1, &out, &last, &t->why));
    assert_int_equal(last, 100);
    assert_int_equal(out.size, 1500);
    assert_int_equal(storage_read(t->s, 101, 200, 1, &out, &last, &t->why), RK_NOT_FOUND);
    OK(store_append(t, 1, 1, 10));
    assert_int_equal(storage_read(t->s, 101, 200, 1, &out, &last, &t->why), RK_NOT_FOUND);
    assert_int_equal(storage_last_index(t->s), 101);
    buffer_release(&out);
}

static void a_conflicting_suffix_is_cut_and_replaced(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 3000, 50));
    OK(storage_tick(t->s, 5000, &t->why));
    OK(store_append(t, 1, 10, 50));
    OK(storage_truncate(t->s, 2001, &t->why));
    assert_int_equal(storage_last_index(t->s), 2000);
    OK(store_append_sync(t, 3, 7, 60));
    store_close(t);
    OK(store_open(t));
    assert_int_equal(t->recovered.log_last_index, 2007);
    assert_int_equal(t->recovered.log_last_term, 3);
    assert_int_equal(case_count_entries(t, 1), 2007);
    OK(storage_truncate(t->s, 1, &t->why));
    store_close(t);
    OK(store_open(t));
    assert_int_equal(t->recovered.log_last_index, 0);
}

static void hard_state_comes_back(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(store_set_term(t, 4, 3));
    store_close(t);
    OK(store_open(t));
    assert_int_equal(t->recovered.state.current_term, 4);
    assert_int_equal(t->recovered.state.voted_for, 3);
    assert_string_equal(t->recovered.state.node_name, "n1");
}

static void a_promise_comes_back(void **state)
{
    struct store *t = *state;
    struct persistent_state kept;

    OK(store_open(t));
    kept = *storage_get_state(t->s);
    kept.promised_ms = ELECTION_TIMEOUT_MS_MAX;
    OK(storage_save_state(t->s, &kept, &t->why));
    store_close(t);
    OK(store_open(t));
    assert_int_equal(t->recovered.state.promised_ms, ELECTION_TIMEOUT_MS_MAX);
    assert_false(t->recovered.is_new);
}

static void a_second_process_is_locked_out(void **state)
{
    struct store *t = *state;
    struct store other = STORE_INIT(t->fs, t->data_dir);

    OK(store_open(t));
    assert_int_equal(store_open(&other), RK_LOCKED);
    other.is_read_only = true;
    assert_int_equal(store_open(&other), RK_OK);
    store_release(&other);
}

static void another_nodes_directory_is_refused(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    store_close(t);
    t->node_name = "n2";
    assert_int_equal(store_open(t), RK_FOREIGN);
    assert_non_null(strstr(t->why.text, "\"n1\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(empty_directory_becomes_a_member),
        CASE(synced_entries_come_back_after_a_restart),
        CASE(ranges_are_read_within_a_byte_limit),
        CASE(a_conflicting_suffix_is_cut_and_replaced),
        CASE(hard_state_comes_back),
        CASE(a_promise_comes_back),
        CASE(a_second_process_is_locked_out),
        CASE(another_nodes_directory_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
