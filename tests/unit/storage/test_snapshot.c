/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshot files, transfer, compaction and installation. */
#include "storage_case.h"

#include <string.h>

#include "base/heap.h"

static const uint8_t any_cluster[CLUSTER_ID_BYTES];

static void a_snapshot_gives_back_what_was_put_in(void **state)
{
    static const size_t sizes[] = { 0, 1, 1000, 256 * KIB, 256 * KIB + 1, 2 * MIB };
    struct store *t = *state;
    size_t size;

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        OK(store_snapshot(t, 10 + i, 2, sizes[i]));
        OK(store_check_snapshot(t, 10 + i, 2, &size));
        assert_int_equal(size, sizes[i]);
    }
}

static void the_two_newest_are_kept(void **state)
{
    struct store *t = *state;

    OK(store_snapshot(t, 9, 1, 100));
    OK(store_snapshot(t, 10, 1, 100));
    OK(store_snapshot(t, 100, 2, 100));
    assert_false(case_file_exists(t, "raft-snapshot-9-1.dat"));
    assert_true(case_file_exists(t, "raft-snapshot-10-1.dat"));
    assert_true(case_file_exists(t, "raft-snapshot-100-2.dat"));
}

/* Each byte of a small file in turn: no flip may go unnoticed. */
static void any_flipped_bit_is_found_before_the_first_byte_is_given_out(void **state)
{
    struct store *t = *state;
    uint64_t bytes;

    OK(store_snapshot(t, 5, 1, 700));
    bytes = case_file_bytes(t, "raft-snapshot-5-1.dat");
    for (uint64_t i = 0; i < bytes; i++) {
        struct snapshot_meta meta;
        struct snapshot_reader *r = NULL;
        enum rk_status status;

        case_flip(t, "raft-snapshot-5-1.dat", i);
        status = snapshot_reader_open(t->fs, t->data_dir, 5, 1, &meta, &r, &t->why);
        if (status != RK_CORRUPT) {
            fail_msg("byte %u: %s", (unsigned)i, rk_status_word(status));
        }
        case_flip(t, "raft-snapshot-5-1.dat", i);
    }
    for (uint64_t size = 0; size < bytes; size++) {
        struct snapshot_meta meta;
        struct snapshot_reader *r = NULL;

        case_truncate(t, "raft-snapshot-5-1.dat", bytes - 1 - size);
        assert_int_equal(snapshot_reader_open(t->fs, t->data_dir, 5, 1, &meta, &r, &t->why),
                         RK_CORRUPT);
    }
}

static void a_damaged_newest_snapshot_falls_back_to_the_older(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 100, 50));
    OK(store_snapshot(t, 50, 1, 3000));
    OK(store_snapshot(t, 90, 1, 3000));
    OK(storage_compact(t->s, 41, &t->why));
    store_close(t);
    case_flip(t, "raft-snapshot-90-1.dat", 130);
    OK(store_open(t));
    assert_int_equal(t->recovered.snapshot_last_index, 50);
    assert_int_equal(t->recovered.snapshots_damaged, 1);
    assert_false(case_file_exists(t, "raft-snapshot-90-1.dat"));
    assert_int_equal(case_count_entries(t, 1), 60);
    OK(store_snapshot(t, 95, 1, 3000));
    assert_true(case_file_exists(t, "raft-snapshot-50-1.dat"));
    assert_false(case_file_exists(t, "raft-snapshot-90-1.damaged"));
    OK(storage_compact(t->s, 96, &t->why));
    store_close(t);
    case_flip(t, "raft-snapshot-95-1.dat", 130);
    assert_int_equal(store_open(t), RK_CORRUPT);
    assert_non_null(strstr(t->why.text, "after entry 95"));
}

static void compaction_cuts_the_front_and_keeps_the_rest(void **state)
{
    struct store *t = *state;
    struct buffer out = BUFFER_INIT;
    raft_index last;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 3000, 40));
    OK(store_append(t, 2, 3000, 40));
    OK(store_snapshot(t, 4000, 2, 100));
    OK(storage_compact(t->s, 3501, &t->why));
    assert_int_equal(storage_first_index(t->s), 3501);
    assert_int_equal(storage_last_index(t->s), 6000);
    assert_int_equal(storage_log_bytes(t->s), 2500 * 64);
    assert_int_equal(storage_read(t->s, 3500, 3600, 1000, &out, &last, &t->why), RK_COMPACTED);
    OK(storage_read(t->s, 3501, 3600, 1 * MIB, &out, &last, &t->why));
    assert_int_equal(last, 3600);
    OK(store_append_sync(t, 3, 10, 40));
    OK(storage_compact(t->s, 3000, &t->why)); /* cut already */
    store_close(t);
    OK(store_open(t));
    assert_int_equal(t->recovered.log_first_index, 3501);
    assert_int_equal(t->recovered.log_last_index, 6010);
    assert_false(t->recovered.is_index_rebuilt);
    assert_int_equal(case_count_entries(t, 1), 2510);
    OK(storage_truncate(t->s, 3501, &t->why));
    assert_int_equal(storage_last_index(t->s), 3500);
    OK(store_append_sync(t, 4, 600, 1));
    buffer_release(&out);
}

static void compaction_may_take_everything(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(storage_compact(t->s, 1, &t->why)); /* an empty log */
    OK(store_append_sync(t, 3, 20, 40));
    OK(store_snapshot(t, 20, 3, 100));
    OK(storage_compact(t->s, 21, &t->why));
    assert_int_equal(storage_first_index(t->s), 21);
    assert_int_equal(storage_last_index(t->s), 20);
    store_close(t);
    OK(store_open(t));
    assert_int_equal(t->recovered.log_first_index, 21);
    assert_int_equal(t->recovered.log_last_index, 20);
    assert_int_equal(t->recovered.log_last_term, 3);
    OK(store_append_sync(t, 3, 1, 40));
    assert_int_equal(storage_last_index(t->s), 21);
}

/* Chunks of 10,000 bytes, each sent twice; the receiver is opened anew before each, as after
 * a crash. */
static enum rk_status transfer(struct store *from, struct store *to, raft_index index,
                               raft_term term, struct snapshot_meta *meta)
{
    struct snapshot_source *source = NULL;
    struct snapshot_receiver *r = NULL;
    struct buffer chunk = BUFFER_INIT;
    enum rk_status status = snapshot_source_open(from->fs, from->data_dir, index, term, &source,
                                                 &to->why);
    uint64_t offset = 0;

    while (status == RK_OK && offset < snapshot_source_bytes(source)) {
        uint64_t rest = snapshot_source_bytes(source) - offset;
        size_t size = rest < 10000 ? (size_t)rest : 10000;

        snapshot_receiver_close(r);
        r = NULL;
        status = snapshot_receiver_open(to->fs, to->data_dir, snapshot_source_id(source), &r,
                                        &to->why);
        if (status == RK_OK) {
            assert_int_equal(snapshot_receiver_bytes(r), offset);
            buffer_clear(&chunk);
            assert_int_equal(snapshot_source_read(source, offset, size, &chunk, &to->why), RK_OK);
            status = snapshot_receiver_put(r, offset, buffer_slice(&chunk), &to->why);
        }
        if (status == RK_OK) { /* a duplicate changes nothing */
            status = snapshot_receiver_put(r, offset, buffer_slice(&chunk), &to->why);
            offset = snapshot_receiver_bytes(r);
        }
    }
    snapshot_source_close(source);
    buffer_release(&chunk);
    if (status == RK_OK) {
        assert_int_equal(snapshot_receiver_put(r, offset + 1, slice_of("x", 1), &to->why),
                         RK_PROTOCOL);
        return snapshot_receiver_commit(r, any_cluster, meta, &to->why);
    }
    snapshot_receiver_abort(r);
    return status;
}

/* The file of a transfer goes on to be readable, though two newer ones have replaced it. */
static void a_snapshot_being_sent_outlives_its_name(void **state)
{
    struct store *t = *state;
    struct snapshot_source *source = NULL;
    struct buffer before = BUFFER_INIT;
    struct buffer after = BUFFER_INIT;

    OK(store_snapshot(t, 5, 1, 50000));
    case_read_file(t, "raft-snapshot-5-1.dat", &before);
    OK(snapshot_source_open(t->fs, t->data_dir, 5, 1, &source, &t->why));
    OK(store_snapshot(t, 6, 1, 1000));
    OK(store_snapshot(t, 7, 1, 1000));
    assert_false(case_file_exists(t, "raft-snapshot-5-1.dat"));
    OK(snapshot_source_read(source, 0, before.size, &after, &t->why));
    assert_int_equal(snapshot_source_bytes(source), before.size);
    assert_memory_equal(after.data, before.data, before.size);
    snapshot_source_close(source);
    assert_int_equal(snapshot_source_open(t->fs, t->data_dir, 5, 1, &source, &t->why),
                     RK_NOT_FOUND);
    buffer_release(&before);
    buffer_release(&after);
}

/* Bytes of one snapshot are never continued with those of another. */
static void another_snapshot_starts_anew(void **state)
{
    struct store *t = *state;
    struct snapshot_receiver *r = NULL;

    OK(store_open(t));
    OK(snapshot_receiver_open(t->fs, t->data_dir, (struct snapshot_id){ 5, 1, 77 }, &r, &t->why));
    OK(snapshot_receiver_put(r, 0, slice_of("abc", 3), &t->why));
    snapshot_receiver_close(r);
    store_close(t);
    OK(store_open(t)); /* a restart keeps it */
    OK(snapshot_receiver_open(t->fs, t->data_dir, (struct snapshot_id){ 5, 1, 77 }, &r, &t->why));
    assert_int_equal(snapshot_receiver_bytes(r), 3);
    snapshot_receiver_close(r);
    OK(snapshot_receiver_open(t->fs, t->data_dir, (struct snapshot_id){ 5, 1, 78 }, &r, &t->why));
    assert_int_equal(snapshot_receiver_bytes(r), 0);
    assert_false(case_file_exists(t, "raft-snapshot-5-1-000000000000004d.part"));
    snapshot_receiver_abort(r);
    assert_false(case_file_exists(t, "raft-snapshot-5-1-000000000000004e.part"));
}

/* Bytes that a failed sync left are read as if they were there, and may not outlive a power cut. */
static void a_failed_sync_takes_what_was_received_along(void **state)
{
    struct store *t = *state;
    struct snapshot_receiver *r = NULL;
    uint8_t *bytes = heap_zalloc(9 * MIB);

    OK(store_open(t));
    OK(snapshot_receiver_open(t->fs, t->data_dir, (struct snapshot_id){ 5, 1, 77 }, &r, &t->why));
    fs_memory_fail_next_sync(case_memory(t));
    assert_int_equal(snapshot_receiver_put(r, 0, slice_of(bytes, 9 * MIB), &t->why), RK_IO);
    assert_false(case_file_exists(t, "raft-snapshot-5-1-000000000000004d.part"));
    snapshot_receiver_close(r);
    heap_free(bytes);
}

static void a_received_snapshot_replaces_the_log(void **state)
{
    struct store *t = *state;
    struct store *to;
    struct snapshot_meta meta;

    case_setup((void **)&to);
    OK(store_open(to));
    OK(store_append_sync(to, 1, 30, 40));
    OK(store_snapshot(t, 500, 7, 400 * KIB));
    t->why = to->why;
    OK(transfer(t, to, 500, 7, &meta));
    assert_int_equal(meta.last_index, 500);
    OK(store_set_term(to, 7, 1));
    OK(storage_install(to->s, 500, 7, false, &to->why));
    assert_int_equal(storage_first_index(to->s), 501);
    OK(store_append_sync(to, 7, 10, 40));
    OK(store_snapshot(t, 505, 7, 1000));
    OK(transfer(t, to, 505, 7, &meta));
    OK(storage_install(to->s, 505, 7, true, &to->why));
    store_close(to);
    OK(store_open(to));
    assert_int_equal(to->recovered.snapshot_last_index, 505);
    assert_int_equal(to->recovered.log_first_index, 506);
    assert_int_equal(to->recovered.log_last_index, 510);
    case_teardown((void **)&to);
}

/* The crash came between the rename of the snapshot and storage_install. */
static void an_interrupted_installation_is_finished_at_open(void **state)
{
    struct store *t = *state;
    size_t size;

    OK(store_open(t));
    OK(store_append_sync(t, 2, 30, 40));
    store_close(t);
    OK(store_snapshot(t, 40, 2, 1000));
    OK(store_open(t));
    assert_int_equal(t->recovered.log_first_index, 41);
    assert_int_equal(t->recovered.log_last_index, 40);
    assert_int_equal(t->recovered.log_last_term, 2);
    OK(store_check_snapshot(t, 40, 2, &size));
    OK(store_append_sync(t, 2, 30, 40));
    store_close(t);
    OK(store_snapshot(t, 50, 3, 1000)); /* the log has term 2 there */
    OK(store_open(t));
    assert_int_equal(t->recovered.log_first_index, 51);
    assert_int_equal(t->recovered.log_last_term, 3);
}

static void a_damaged_or_foreign_transfer_is_refused(void **state)
{
    struct store *t = *state;
    struct store *to;
    struct snapshot_meta meta;
    struct snapshot_receiver *r = NULL;
    struct buffer bytes = BUFFER_INIT;
    uint8_t other_cluster[CLUSTER_ID_BYTES] = { 7 };

    case_setup((void **)&to);
    OK(store_snapshot(t, 5, 1, 1000));
    case_read_file(t, "raft-snapshot-5-1.dat", &bytes);
    OK(snapshot_receiver_open(to->fs, to->data_dir, (struct snapshot_id){ 5, 1, 0 }, &r, &t->why));
    OK(snapshot_receiver_put(r, 0, buffer_slice(&bytes), &t->why));
    assert_int_equal(snapshot_receiver_commit(r, other_cluster, &meta, &t->why), RK_FOREIGN);
    OK(snapshot_receiver_open(to->fs, to->data_dir, (struct snapshot_id){ 6, 1, 0 }, &r, &t->why));
    OK(snapshot_receiver_put(r, 0, buffer_slice(&bytes), &t->why));
    assert_int_equal(snapshot_receiver_commit(r, any_cluster, &meta, &t->why), RK_CORRUPT);
    bytes.data[bytes.size / 2] ^= 1;
    OK(snapshot_receiver_open(to->fs, to->data_dir, (struct snapshot_id){ 5, 1, 0 }, &r, &t->why));
    OK(snapshot_receiver_put(r, 0, buffer_slice(&bytes), &t->why));
    assert_int_equal(snapshot_receiver_commit(r, any_cluster, &meta, &t->why), RK_CORRUPT);
    assert_false(case_file_exists(to, "raft-snapshot-5-1.dat"));
    assert_false(case_file_exists(to, "raft-snapshot-5-1-0000000000000000.part"));
    case_flip(t, "raft-snapshot-5-1.dat", 130);
    {
        struct snapshot_source *source;

        assert_int_equal(snapshot_source_open(t->fs, t->data_dir, 5, 1, &source, &t->why),
                         RK_CORRUPT);
    }
    buffer_release(&bytes);
    case_teardown((void **)&to);
}

static void left_over_temporary_files_are_removed(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    store_close(t);
    case_write_file(t, "raft-snapshot-5-1.tmp", slice_of("x", 1));
    case_write_file(t, "raft-log.tmp", slice_of("x", 1));
    case_write_file(t, "notes.tmp", slice_of("x", 1));
    OK(store_open(t));
    assert_false(case_file_exists(t, "raft-snapshot-5-1.tmp"));
    assert_false(case_file_exists(t, "raft-log.tmp"));
    assert_true(case_file_exists(t, "notes.tmp"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_snapshot_gives_back_what_was_put_in),
        CASE(a_snapshot_being_sent_outlives_its_name),
        CASE(another_snapshot_starts_anew),
        CASE_MEMORY(a_failed_sync_takes_what_was_received_along),
        CASE(the_two_newest_are_kept),
        CASE(any_flipped_bit_is_found_before_the_first_byte_is_given_out),
        CASE(a_damaged_newest_snapshot_falls_back_to_the_older),
        CASE(compaction_cuts_the_front_and_keeps_the_rest),
        CASE(compaction_may_take_everything),
        CASE(a_received_snapshot_replaces_the_log),
        CASE(an_interrupted_installation_is_finished_at_open),
        CASE(a_damaged_or_foreign_transfer_is_refused),
        CASE(left_over_temporary_files_are_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
