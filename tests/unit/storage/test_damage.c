/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files as no crash leaves them - flipped, cut, emptied, foreign - and what a crash does
 * leave.  Nothing damaged may pass for whole, and nothing whole be refused or cut.
 */
#include "storage_case.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/heap.h"

#define LOG "raft-log.dat"
#define INDEX "raft-index.dat"
#define STATE "raft-state.dat"
#define SLOT_BYTES (64 * KIB)

/* Five entries, closed cleanly: everything is a witness. */
static void fill_and_close(struct store *t)
{
    OK(store_open(t));
    OK(store_append_sync(t, 1, 3, 20));
    OK(store_append_sync(t, 2, 2, 33));
    store_close(t);
}

/* The same, but the process is killed before any checkpoint: only the index is a witness. */
static void fill_and_kill(struct store *t)
{
    OK(store_open(t));
    OK(store_append_sync(t, 1, 3, 20));
    OK(store_append_sync(t, 2, 2, 33));
    case_kill(t, FS_CRASH_PROCESS);
}

/* ---- The log ---- */

static void any_flipped_bit_in_a_durable_entry_is_refused_and_left_alone(void **state)
{
    struct store *t = *state;
    struct buffer before = BUFFER_INIT;
    struct buffer after = BUFFER_INIT;
    uint64_t bytes;

    fill_and_close(t);
    bytes = case_file_bytes(t, LOG);
    assert_int_equal(bytes, 3 * 44 + 2 * 57);
    for (uint64_t i = 0; i < bytes; i++) {
        enum rk_status status;

        case_flip(t, LOG, i);
        case_read_file(t, LOG, &before);
        status = store_open(t);
        if (status != RK_CORRUPT || strstr(t->why.text, LOG) == NULL ||
            strstr(t->why.text, "offset") == NULL || strstr(t->why.text, "refkeeper") == NULL) {
            fail_msg("byte %u: %s: %s", (unsigned)i, rk_status_word(status), t->why.text);
        }
        case_read_file(t, LOG, &after);
        assert_true(slice_equal(buffer_slice(&before), buffer_slice(&after)));
        case_flip(t, LOG, i);
    }
    OK(store_open(t));
    assert_int_equal(case_count_entries(t, 1), 5);
    buffer_release(&before);
    buffer_release(&after);
}

static void a_shorter_missing_or_emptied_log_is_never_empty(void **state)
{
    struct store *t = *state;
    struct buffer bytes = BUFFER_INIT;

    fill_and_close(t);
    case_read_file(t, LOG, &bytes);
    for (size_t size = 0; size < bytes.size; size++) {
        case_write_file(t, LOG, slice_of(bytes.data, size));
        assert_int_equal(store_open(t), RK_CORRUPT);
    }
    memset(bytes.data, 0, bytes.size);
    case_write_file(t, LOG, buffer_slice(&bytes));
    assert_int_equal(store_open(t), RK_CORRUPT);
    memset(bytes.data, 0xff, bytes.size);
    case_write_file(t, LOG, buffer_slice(&bytes));
    assert_int_equal(store_open(t), RK_CORRUPT);
    case_unlink(t, LOG);
    assert_int_equal(store_open(t), RK_CORRUPT);
    case_unlink(t, INDEX); /* with the index gone as well, the state still knows */
    assert_int_equal(store_open(t), RK_CORRUPT);
    buffer_release(&bytes);
}

static void another_logs_entries_are_foreign(void **state)
{
    struct store *t = *state;
    struct buffer bytes = BUFFER_INIT;

    fill_and_close(t);
    for (raft_index i = 1; i <= 5; i++) {
        store_encode(&bytes, i <= 2 ? 1 : 2, i, 30);
    }
    case_write_file(t, LOG, buffer_slice(&bytes));
    assert_int_equal(store_open(t), RK_FOREIGN);
    assert_non_null(strstr(t->why.text, "is intact but"));
    buffer_release(&bytes);
}

/* ---- The tail ---- */

static void append_to_log(struct store *t, struct slice bytes)
{
    struct buffer log = BUFFER_INIT;

    case_read_file(t, LOG, &log);
    buffer_put_slice(&log, bytes);
    case_write_file(t, LOG, buffer_slice(&log));
    buffer_release(&log);
}

static void a_torn_entry_ends_the_log_and_is_cut(void **state)
{
    struct store *t = *state;
    struct buffer entry = BUFFER_INIT;

    fill_and_close(t);
    store_encode(&entry, 2, 6, 40);
    for (size_t size = 1; size < entry.size; size++) {
        append_to_log(t, slice_of(entry.data, size));
        OK(store_open(t));
        assert_int_equal(t->recovered.log_last_index, 5);
        /* the first seven bytes are zeros, like space taken ahead */
        assert_true((t->recovered.torn_bytes > 0) == (size > 7));
        assert_true(t->recovered.torn_bytes <= size);
        store_close(t);
        assert_int_equal(case_file_bytes(t, LOG), 3 * 44 + 2 * 57);
    }
    append_to_log(t, buffer_slice(&entry));
    OK(store_open(t)); /* complete: it may have been acknowledged, and no harm if not */
    assert_int_equal(t->recovered.log_last_index, 6);
    buffer_release(&entry);
}

static void valid_entries_behind_a_bad_one_above_the_witness_are_cut_for_good(void **state)
{
    struct store *t = *state;
    struct buffer tail = BUFFER_INIT;

    fill_and_close(t);
    store_encode(&tail, 2, 6, 40);
    store_encode(&tail, 2, 7, 40);
    memset(tail.data, 0, 64); /* the page with 6 did not reach the disk */
    append_to_log(t, buffer_slice(&tail));
    OK(store_open(t));
    assert_int_equal(t->recovered.log_last_index, 5);
    assert_int_equal(t->recovered.torn_bytes, 128);
    OK(store_append_sync(t, 2, 1, 40)); /* ends where the old 7 began */
    case_kill(t, FS_CRASH_LOSE);
    OK(store_open(t));
    assert_int_equal(t->recovered.log_last_index, 6);
    buffer_release(&tail);
}

static void the_index_alone_is_a_witness(void **state)
{
    struct store *t = *state;

    fill_and_kill(t);
    case_flip(t, LOG, 3 * 44 + 57 + 30);
    assert_int_equal(store_open(t), RK_CORRUPT);
    case_truncate(t, INDEX, 4 * 20); /* without the fifth record nobody was told */
    OK(store_open(t));
    assert_int_equal(t->recovered.log_last_index, 4);
}

static void preallocated_zeros_are_no_entries(void **state)
{
    struct store *t = *state;

    fill_and_close(t);
    case_truncate(t, LOG, 1 * MIB);
    case_truncate(t, INDEX, 64 * KIB);
    OK(store_open(t));
    assert_int_equal(t->recovered.log_last_index, 5);
    assert_int_equal(t->recovered.torn_bytes, 0);
    assert_false(t->recovered.is_index_rebuilt);
}

/* ---- The index ---- */

static void any_flipped_bit_in_the_index_costs_nothing(void **state)
{
    struct store *t = *state;
    struct buffer good = BUFFER_INIT;
    struct buffer found = BUFFER_INIT;

    fill_and_close(t);
    case_read_file(t, INDEX, &good);
    assert_int_equal(good.size, 100);
    for (uint64_t i = 0; i < good.size; i++) {
        case_flip(t, INDEX, i);
        OK(store_open(t));
        assert_int_equal(case_count_entries(t, 1), 5);
        store_close(t);
        case_read_file(t, INDEX, &found);
        assert_true(slice_equal(buffer_slice(&good), buffer_slice(&found)));
    }
    buffer_release(&good);
    buffer_release(&found);
}

static void a_missing_short_long_or_foreign_index_is_rebuilt(void **state)
{
    struct store *t = *state;
    struct buffer good = BUFFER_INIT;
    struct buffer found = BUFFER_INIT;
    uint8_t junk[400];

    fill_and_close(t);
    case_read_file(t, INDEX, &good);
    for (unsigned kind = 0; kind < 5; kind++) {
        memset(junk, kind == 3 ? 0xff : 0, sizeof junk);
        if (kind == 0) {
            case_unlink(t, INDEX);
        } else if (kind == 1) {
            case_truncate(t, INDEX, 30);
        } else {
            put_be64(junk + 380, kind == 4 ? 20 : 0); /* a record far behind the log's end */
            case_write_file(t, INDEX, slice_of(junk, sizeof junk));
        }
        OK(store_open(t));
        assert_int_equal(case_count_entries(t, 1), 5);
        assert_true(t->recovered.is_index_rebuilt || kind == 1);
        store_close(t);
        case_read_file(t, INDEX, &found);
        assert_true(slice_equal(buffer_slice(&good), buffer_slice(&found)));
    }
    buffer_release(&good);
    buffer_release(&found);
}

/* Half overwritten it must not pass for ours: a far record of it names an entry we never had. */
static void a_rebuild_of_the_index_may_be_cut_short_anywhere(void **state)
{
    struct store *t = *state;
    uint8_t foreign[400] = { 0 };
    bool is_through = false;

    fill_and_close(t);
    put_be64(foreign + 380, 20);
    for (uint64_t call = 1; !is_through; call++) {
        case_write_file(t, INDEX, slice_of(foreign, sizeof foreign));
        fs_faulty_arm(case_faulty(t), (struct fs_fault){ .kind = FS_FAULT_STOP_AFTER, .at = call });
        is_through = store_open(t) == RK_OK;
        case_kill(t, FS_CRASH_PROCESS);
        fs_faulty_arm(case_faulty(t), (struct fs_fault){ .kind = FS_FAULT_NONE });
        OK(store_open(t));
        assert_int_equal(case_count_entries(t, 1), 5);
        store_close(t);
    }
}

static void reads_go_on_when_the_index_rots_while_open(void **state)
{
    struct store *t = *state;
    struct buffer out = BUFFER_INIT;
    raft_index last;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 3000, 20));
    case_flip(t, INDEX, 2000 * 20 + 10);
    OK(storage_read(t->s, 2001, 2010, 10000, &out, &last, &t->why));
    assert_int_equal(last, 2010);
    assert_int_equal(out.size, 440);
    case_flip(t, LOG, 1500 * 44 + 30);
    assert_int_equal(storage_read(t->s, 1501, 1510, 10000, &out, &last, &t->why), RK_CORRUPT);
    assert_non_null(strstr(t->why.text, "offset 66000"));
    OK(storage_read(t->s, 1499, 1510, 10000, &out, &last, &t->why));
    assert_int_equal(last, 1500);
    buffer_release(&out);
}

/* ---- The state file ---- */

static void one_bad_slot_is_repaired_from_the_other(void **state)
{
    struct store *t = *state;
    const size_t used = 350;

    fill_and_close(t);
    for (unsigned slot = 0; slot < 2; slot++) {
        for (uint64_t i = 0; i < used; i++) {
            case_flip(t, STATE, slot * SLOT_BYTES + i);
            OK(store_open(t));
            assert_int_equal(t->recovered.state.current_term, 2);
            assert_int_equal(t->recovered.state.voted_for, 1);
            store_close(t);
        }
    }
    case_flip(t, STATE, 20);
    OK(store_open(t));
    assert_true(t->recovered.is_state_repaired);
}

static void two_bad_slots_are_refused_with_the_way_out(void **state)
{
    struct store *t = *state;

    fill_and_close(t);
    case_flip(t, STATE, 40);
    case_flip(t, STATE, SLOT_BYTES + 40);
    assert_int_equal(store_open(t), RK_CORRUPT);
    assert_non_null(strstr(t->why.text, "refkeeper member replace"));
    case_truncate(t, STATE, 0);
    assert_int_equal(store_open(t), RK_CORRUPT);
    case_unlink(t, STATE);
    assert_int_equal(store_open(t), RK_CORRUPT);
}

static void an_old_copy_of_the_state_is_refused(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 3, 20));
    store_close(t);
    case_copy_file(t, STATE, "kept");
    OK(store_open(t));
    OK(store_append_sync(t, 9, 3, 20));
    store_close(t);
    case_copy_file(t, "kept", STATE);
    assert_int_equal(store_open(t), RK_FOREIGN);
    assert_non_null(strstr(t->why.text, "term"));
}

/* Only the version of the head changes, with a fitting crc. */
static void a_newer_format_is_refused(void **state)
{
    struct store *t = *state;
    struct buffer bytes = BUFFER_INIT;
    size_t size;

    fill_and_close(t);
    case_read_file(t, STATE, &bytes);
    size = 32 + get_be32(bytes.data + 12);
    put_be32(bytes.data + 8, 2);
    put_be32(bytes.data + 24,
             (uint32_t)crc32(crc32(0, bytes.data, 24), bytes.data + 28, (uInt)(size - 28)));
    case_write_file(t, STATE, buffer_slice(&bytes));
    assert_int_equal(store_open(t), RK_FOREIGN);
    assert_non_null(strstr(t->why.text, "newer version"));
    buffer_release(&bytes);
}

/* ---- Other things in the place of a file ---- */

static void only_regular_files_are_opened(void **state)
{
    static const char *const names[] = { LOG, INDEX, STATE };
    struct store *t = *state;
    char path[256];
    char target[256];

    fill_and_close(t);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", t->data_dir, names[i]);
        (void)snprintf(target, sizeof target, "%s/moved", t->data_dir);
        assert_int_equal(rename(path, target), 0);
        assert_int_equal(symlink(target, path), 0);
        assert_int_equal(store_open(t), RK_CORRUPT);
        assert_non_null(strstr(t->why.text, "symbolic link"));
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(store_open(t), RK_CORRUPT);
        assert_non_null(strstr(t->why.text, "directory"));
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_int_equal(store_open(t), RK_CORRUPT);
        assert_non_null(strstr(t->why.text, "special file"));
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rename(target, path), 0);
    }
    OK(store_open(t));
}

static void a_directory_open_to_others_is_refused(void **state)
{
    struct store *t = *state;

    assert_int_equal(chmod(t->data_dir, 0750), 0);
    assert_int_equal(store_open(t), RK_CONFIG);
    assert_non_null(strstr(t->why.text, "chmod 700"));
}

static void reading_only_changes_nothing(void **state)
{
    static const char *const names[] = { LOG, INDEX, STATE };
    struct store *t = *state;
    struct buffer before = BUFFER_INIT;
    struct buffer after = BUFFER_INIT;

    t->is_read_only = true;
    assert_int_equal(store_open(t), RK_NOT_FOUND);
    t->is_read_only = false;
    fill_and_close(t);
    append_to_log(t, slice_of("torn", 4));
    case_flip(t, INDEX, 50);
    case_flip(t, STATE, 50);
    t->is_read_only = true;
    for (size_t i = 0; i < 3; i++) {
        case_read_file(t, names[i], &before);
        OK(store_open(t));
        assert_int_equal(t->recovered.torn_bytes, 4);
        assert_int_equal(case_count_entries(t, 1), 5);
        store_close(t);
        case_read_file(t, names[i], &after);
        assert_true(slice_equal(buffer_slice(&before), buffer_slice(&after)));
    }
    buffer_release(&before);
    buffer_release(&after);
}

/* Three entries are durable, two more were written when the sync failed. */
static void fail_a_sync(struct store *t)
{
    OK(store_open(t));
    OK(store_append_sync(t, 1, 3, 20));
    OK(store_append(t, 1, 2, 1000));
    fs_memory_fail_next_sync(case_memory(t));
    assert_int_equal(storage_sync(t->s, &t->why), RK_IO);
}

/* Kernels report a failed sync once, and forget the pages. */
static void a_failed_sync_is_not_believed_when_the_next_one_works(void **state)
{
    struct store *t = *state;

    fail_a_sync(t);
    assert_int_equal(storage_sync(t->s, &t->why), RK_IO);
    assert_int_equal(store_append_sync(t, 1, 1, 10), RK_IO);
    case_kill(t, FS_CRASH_LOSE);
    OK(store_open(t));
    assert_int_equal(case_count_entries(t, 1), 3);
}

/* The bytes are still in the page cache, where the next process reads them. */
static void what_a_failed_sync_left_is_written_before_it_is_believed(void **state)
{
    struct store *t = *state;
    raft_index last;

    fail_a_sync(t);
    case_kill(t, FS_CRASH_PROCESS);
    OK(store_open(t));
    last = t->recovered.log_last_index;
    assert_int_equal(last, 5);
    case_kill(t, FS_CRASH_LOSE);
    OK(store_open(t));
    assert_int_equal(t->recovered.log_last_index, last);
    assert_int_equal(case_count_entries(t, 1), 5);
}

/* Nothing of it is believed either when it cannot be read just then: each call fails once. */
static void what_a_failed_sync_left_is_not_believed_unwritten(void **state)
{
    struct store *t = *state;
    unsigned opened = 0;

    for (uint64_t call = 1; call < 40; call++) {
        for (uint64_t more = 0; more < 7; more++) {
            raft_index last;

            fail_a_sync(t);
            case_kill(t, FS_CRASH_PROCESS);
            fs_faulty_arm(case_faulty(t),
                          (struct fs_fault){
                              .kind = FS_FAULT_ERROR, .at = call, .more = more, .error = EIO });
            last = store_open(t) == RK_OK ? t->recovered.log_last_index : 0;
            fs_faulty_arm(case_faulty(t), (struct fs_fault){ .kind = FS_FAULT_NONE });
            opened += last > 0;
            case_kill(t, FS_CRASH_LOSE);
            OK(store_open(t));
            assert_true(t->recovered.log_last_index >= last);
            OK(storage_truncate(t->s, 1, &t->why));
            store_close(t);
        }
    }
    assert_true(opened > 0);
}

/* Nobody has written the space that was taken ahead. */
static void zeros_behind_the_log_are_not_written_again(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 3, 20));
    assert_true(case_file_bytes(t, LOG) >= 16 * MIB);
    case_kill(t, FS_CRASH_PROCESS);
    case_faulty(t)->written_bytes = 0;
    OK(store_open(t));
    assert_int_equal(t->recovered.log_last_index, 3);
    assert_true(case_faulty(t)->written_bytes < 256 * KIB);
}

static void a_full_disk_refuses_appends_and_heals(void **state)
{
    struct store *t = *state;

    OK(store_open(t));
    OK(store_append_sync(t, 1, 3, 20));
    fs_memory_set_space(case_memory(t), 0);
    OK(store_append_sync(t, 1, 1000, 2000)); /* space was taken ahead */
    for (unsigned i = 0; i < 30; i++) {
        enum rk_status status = store_append(t, 1, 1, 8 * MIB);

        if (status == RK_NOSPACE) {
            break;
        }
        assert_int_equal(status, RK_OK);
    }
    assert_int_equal(store_append(t, 1, 1, 8 * MIB), RK_NOSPACE);
    OK(store_set_term(t, 2, 1)); /* a vote needs no new space */
    fs_memory_set_space(case_memory(t), UINT64_MAX);
    OK(store_append_sync(t, 2, 1, 8 * MIB));
    store_close(t);
    OK(store_open(t));
    assert_int_equal(t->recovered.log_last_term, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE_MEMORY(any_flipped_bit_in_a_durable_entry_is_refused_and_left_alone),
        CASE_MEMORY(a_shorter_missing_or_emptied_log_is_never_empty),
        CASE_MEMORY(another_logs_entries_are_foreign),
        CASE_MEMORY(a_torn_entry_ends_the_log_and_is_cut),
        CASE_MEMORY(valid_entries_behind_a_bad_one_above_the_witness_are_cut_for_good),
        CASE_MEMORY(the_index_alone_is_a_witness),
        CASE_MEMORY(preallocated_zeros_are_no_entries),
        CASE_MEMORY(any_flipped_bit_in_the_index_costs_nothing),
        CASE_MEMORY(a_missing_short_long_or_foreign_index_is_rebuilt),
        CASE_MEMORY(a_rebuild_of_the_index_may_be_cut_short_anywhere),
        CASE_MEMORY(reads_go_on_when_the_index_rots_while_open),
        CASE_MEMORY(one_bad_slot_is_repaired_from_the_other),
        CASE_MEMORY(two_bad_slots_are_refused_with_the_way_out),
        CASE_MEMORY(an_old_copy_of_the_state_is_refused),
        CASE_MEMORY(a_newer_format_is_refused),
        CASE(only_regular_files_are_opened),
        CASE(a_directory_open_to_others_is_refused),
        CASE_MEMORY(reading_only_changes_nothing),
        CASE_MEMORY(a_failed_sync_is_not_believed_when_the_next_one_works),
        CASE_MEMORY(what_a_failed_sync_left_is_written_before_it_is_believed),
        CASE_MEMORY(what_a_failed_sync_left_is_not_believed_unwritten),
        CASE_MEMORY(zeros_behind_the_log_are_not_written_again),
        CASE_MEMORY(a_full_disk_refuses_appends_and_heals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
