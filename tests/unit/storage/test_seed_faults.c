/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the first module got wrong, one test each, at the level where it matters.
 * [DESIGN 4, faults 1-12]
 */
#include "storage_case.h"

#include <string.h>

#include "model/command.h"

#define LOG "raft-log.dat"

static void fault_01_the_field_count_is_read_and_checked(void **state)
{
    struct buffer bytes = BUFFER_INIT;
    struct command command;

    (void)state;
    command_encode_register_repo(&bytes, slice_of_text("a/b.git"), slice_of_text("s1"));
    assert_int_equal(command_decode(buffer_slice(&bytes), &command), RK_OK);
    assert_int_equal(bytes.data[4], 2);
    bytes.data[4] = 3;
    assert_int_equal(command_decode(buffer_slice(&bytes), &command), RK_PROTOCOL);
    bytes.data[4] = 2;
    buffer_put_u8(&bytes, 0);
    assert_int_equal(command_decode(buffer_slice(&bytes), &command), RK_PROTOCOL);
    buffer_release(&bytes);
}

static void fault_02_an_undecodable_command_is_an_error_and_its_entry_stays(void **state)
{
    struct store *t = *state;
    struct command command;
    struct entry entry = { .term = 1, .index = 1, .command = slice_of("\377 no command", 12) };
    struct storage_record record = { 1, 1, 36 };
    struct buffer bytes = BUFFER_INIT;

    assert_int_not_equal(command_decode(entry.command, &command), RK_OK);
    OK(store_open(t));
    OK(store_set_term(t, 1, 1));
    entry_encode(&bytes, &entry);
    OK(storage_append(t->s, buffer_slice(&bytes), &record, 1, &t->why));
    OK(storage_sync(t->s, &t->why));
    store_close(t);
    OK(store_open(t)); /* a good crc: never cut for what it says */
    assert_int_equal(t->recovered.log_last_index, 1);
    assert_int_equal(t->recovered.torn_bytes, 0);
    buffer_release(&bytes);
}

static void fault_03_acknowledged_is_what_fdatasync_returned_for(void **state)
{
    struct store *t = *state;

    OK(store_open(t)); /* created files and the directory survive the cut as well */
    OK(store_append_sync(t, 1, 5, 100));
    OK(store_append(t, 1, 5, 100));
    case_kill(t, FS_CRASH_LOSE);
    OK(store_open(t));
    assert_int_equal(t->recovered.log_last_index, 5);
    assert_false(t->recovered.is_new);
}

static void fault_04_applying_starts_at_the_snapshot_not_at_the_last_entry(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 50, 10));
    store_close(t);
    OK(store_open(t));
    assert_int_equal(t->recovered.snapshot_last_index, 0);
    OK(store_snapshot(t, 20, 1, 100));
    store_close(t);
    OK(store_open(t));
    assert_int_equal(t->recovered.snapshot_last_index, 20);
    assert_int_equal(t->recovered.log_last_index, 50);
    assert_int_equal(case_count_entries(t, 21), 30);
}

static void fault_05_a_torn_tail_is_cut_before_anything_is_appended(void **state)
{
    struct store *t = *state;
    struct buffer log = BUFFER_INIT;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 5, 10));
    store_close(t);
    case_read_file(t, LOG, &log);
    store_encode(&log, 1, 6, 100);
    log.size -= 7;
    case_write_file(t, LOG, buffer_slice(&log));
    OK(store_open(t));
    assert_int_equal(t->recovered.torn_bytes, 117);
    OK(store_append_sync(t, 2, 1, 10));
    case_kill(t, FS_CRASH_LOSE);
    OK(store_open(t));
    assert_int_equal(t->recovered.log_last_index, 6);
    assert_int_equal(t->recovered.log_last_term, 2);
    buffer_release(&log);
}

/* No prefix is written anew: what was on the disk before never stops being there. */
static void fault_06_truncation_and_compaction_never_rewrite_in_place(void **state)
{
    struct store *t = *state;
    struct buffer before = BUFFER_INIT;
    struct buffer after = BUFFER_INIT;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 50, 10));
    case_read_file(t, LOG, &before);
    OK(storage_truncate(t->s, 31, &t->why));
    case_read_file(t, LOG, &after);
    assert_int_equal(after.size, 30 * 34);
    assert_memory_equal(before.data, after.data, after.size);
    OK(store_snapshot(t, 30, 1, 100));
    fs_faulty_arm(case_faulty(t), (struct fs_fault){ .kind = FS_FAULT_NONE });
    OK(storage_compact(t->s, 11, &t->why));
    case_kill(t, FS_CRASH_LOSE);
    OK(store_open(t));
    assert_int_equal(t->recovered.log_first_index, 11);
    assert_int_equal(t->recovered.log_last_index, 30);
    buffer_release(&before);
    buffer_release(&after);
}

static void fault_07_an_empty_log_and_a_log_covered_entirely_are_compacted(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(storage_compact(t->s, 1, &t->why));
    OK(store_append_sync(t, 1, 50, 10));
    OK(store_snapshot(t, 50, 1, 100));
    OK(storage_compact(t->s, 51, &t->why));
    assert_int_equal(storage_log_bytes(t->s), 0);
    OK(storage_compact(t->s, 51, &t->why));
}

static void fault_08_indexes_go_on_from_the_snapshot(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(store_append_sync(t, 4, 50, 10));
    OK(store_snapshot(t, 50, 4, 100));
    OK(storage_compact(t->s, 51, &t->why));
    assert_int_equal(storage_last_index(t->s), 50);
    OK(store_append_sync(t, 4, 3, 10));
    OK(storage_truncate(t->s, 51, &t->why));
    assert_int_equal(storage_last_index(t->s), 50); /* next is 51, not 1 */
    store_close(t);
    OK(store_open(t));
    assert_int_equal(t->recovered.log_last_index, 50);
    assert_int_equal(t->recovered.log_last_term, 4);
}

static void fault_09_odd_ranges_and_counts_are_errors(void **state)
{
    struct store *t = *state;
    struct buffer bytes = BUFFER_INIT;
    struct command command;
    raft_index last;
    uint8_t header[ENTRY_HEADER_BYTES] = { 0 };

    OK(store_open(t));
    OK(store_append_sync(t, 1, 5, 10));
    assert_int_equal(storage_read(t->s, 4, 3, 100, &bytes, &last, &t->why), RK_BADARG);
    assert_int_equal(storage_read(t->s, 0, 3, 100, &bytes, &last, &t->why), RK_BADARG);
    assert_int_equal(bytes.capacity, 0);
    store_close(t);
    buffer_put_u8(&bytes, 3); /* SetPrimary of 4,294,967,295 paths */
    buffer_put_string(&bytes, slice_of_text("s1"));
    buffer_put_u32(&bytes, UINT32_MAX);
    assert_int_not_equal(command_decode(buffer_slice(&bytes), &command), RK_OK);
    case_read_file(t, LOG, &bytes); /* an entry of 4 GiB in a small file */
    put_be64(header, 1);
    put_be64(header + 8, 6);
    put_be32(header + 20, UINT32_MAX);
    buffer_put(&bytes, header, sizeof header);
    case_write_file(t, LOG, buffer_slice(&bytes));
    OK(store_open(t));
    assert_int_equal(t->recovered.log_last_index, 5);
    buffer_release(&bytes);
}

static void fault_10_what_is_appended_is_also_recovered(void **state)
{
    struct store *t = *state;
    struct buffer bytes = BUFFER_INIT;
    struct buffer large = BUFFER_INIT;
    struct command command;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 1, 1 * MIB + 1));
    OK(store_append_sync(t, 1, 1, COMMAND_BYTES_MAX));
    OK(store_append_sync(t, 1, 1, 10));
    store_close(t);
    OK(store_open(t));
    assert_int_equal(t->recovered.log_last_index, 3);
    for (size_t i = 0; i < SEED_COMMAND_BYTES_MAX; i++) {
        buffer_put_u8(&large, 'p');
    }
    command_encode_remove_repo(&bytes, buffer_slice(&large));
    assert_int_equal(command_decode(buffer_slice(&bytes), &command), RK_TOOLARGE);
    buffer_release(&bytes);
    buffer_release(&large);
}

static void fault_11_term_and_vote_survive(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(store_set_term(t, 7, 3));
    case_kill(t, FS_CRASH_LOSE);
    OK(store_open(t));
    assert_int_equal(t->recovered.state.current_term, 7);
    assert_int_equal(t->recovered.state.voted_for, 3);
}

static bool follows(void *context, const struct entry *entry, uint64_t offset)
{
    uint64_t *end = context;

    assert_int_equal(offset, *end);
    *end += entry_size(entry);
    return true;
}

static void fault_12_entries_reach_the_file_in_order_many_per_sync(void **state)
{
    struct store *t = *state;
    uint64_t end = 0;
    uint64_t calls;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 1, 10)); /* space is taken, the term is noted */
    fs_faulty_arm(case_faulty(t), (struct fs_fault){ .kind = FS_FAULT_NONE });
    OK(store_append(t, 1, 500, 10));
    OK(store_append(t, 1, 500, 20));
    OK(storage_sync(t->s, &t->why));
    calls = case_faulty(t)->calls;
    assert_int_equal(calls, 4); /* two writes, one sync, the index records */
    OK(storage_walk(t->s, 1, follows, &end, &t->why));
    assert_int_equal(end, storage_log_bytes(t->s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE_MEMORY(fault_01_the_field_count_is_read_and_checked),
        CASE_MEMORY(fault_02_an_undecodable_command_is_an_error_and_its_entry_stays),
        CASE_MEMORY(fault_03_acknowledged_is_what_fdatasync_returned_for),
        CASE_MEMORY(fault_04_applying_starts_at_the_snapshot_not_at_the_last_entry),
        CASE_MEMORY(fault_05_a_torn_tail_is_cut_before_anything_is_appended),
        CASE_MEMORY(fault_06_truncation_and_compaction_never_rewrite_in_place),
        CASE_MEMORY(fault_07_an_empty_log_and_a_log_covered_entirely_are_compacted),
        CASE_MEMORY(fault_08_indexes_go_on_from_the_snapshot),
        CASE_MEMORY(fault_09_odd_ranges_and_counts_are_errors),
        CASE_MEMORY(fault_10_what_is_appended_is_also_recovered),
        CASE_MEMORY(fault_11_term_and_vote_survive),
        CASE_MEMORY(fault_12_entries_reach_the_file_in_order_many_per_sync),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
