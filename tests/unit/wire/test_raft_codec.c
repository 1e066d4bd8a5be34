/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between members. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>

#include "base/heap.h"
#include "model/command.h"
#include "wire/raft_codec.h"

#define FLAGS_OFFSET 1
#define ZERO_OFFSET 2
#define FROM_OFFSET 4
#define TO_OFFSET 12
#define TERM_OFFSET 20
#define BODY_OFFSET 28
#define APPEND_PREV_INDEX_OFFSET (BODY_OFFSET)
#define APPEND_PREV_TERM_OFFSET (BODY_OFFSET + 8)
#define APPEND_COMMIT_OFFSET (BODY_OFFSET + 16)
#define APPEND_COUNT_OFFSET (BODY_OFFSET + 32)
#define APPEND_BYTES_OFFSET (BODY_OFFSET + 36)
#define APPEND_ENTRIES_OFFSET (BODY_OFFSET + 40)

struct fixture {
    struct message_decoder decoder;
    struct buffer entries; /* of the message being made */
    struct buffer payload;
    struct message m; /* decoded */
};

static int setup(void **state)
{
    *state = heap_new(struct fixture);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    message_decoder_release(&f->decoder);
    buffer_release(&f->entries);
    buffer_release(&f->payload);
    heap_free(f);
    return 0;
}

static enum rk_status decode(struct fixture *f)
{
    return message_decode(&f->decoder, buffer_slice(&f->payload), &f->m);
}

static struct message make(enum message_type type)
{
    return (struct message){ .type = type, .from = 1, .to = 2, .term = 9 };
}

/* Encodes with the tail behind, as it goes over the wire. */
static void encode(struct fixture *f, const struct message *m)
{
    buffer_clear(&f->payload);
    message_encode(&f->payload, m);
    if (m->type == MESSAGE_APPEND_ENTRIES) {
        buffer_put_slice(&f->payload, m->u.append_entries.bytes);
    } else if (m->type == MESSAGE_INSTALL_SNAPSHOT) {
        buffer_put_slice(&f->payload, m->u.install_snapshot.bytes);
    }
}

/* Round trip, and nothing shorter or longer. */
static void expect_exact(struct fixture *f, const struct message *m)
{
    struct buffer again = BUFFER_INIT;

    encode(f, m);
    for (size_t size = 0; size < f->payload.size; size++) {
        struct slice cut = slice_of(f->payload.data, size);

        assert_int_equal(message_decode(&f->decoder, cut, &f->m), RK_PROTOCOL);
    }
    buffer_put_u8(&f->payload, 0);
    assert_int_equal(decode(f), RK_PROTOCOL);
    f->payload.size--;
    assert_int_equal(decode(f), RK_OK);
    assert_int_equal(f->m.type, m->type);
    assert_int_equal(f->m.from, m->from);
    assert_int_equal(f->m.to, m->to);
    assert_int_equal(f->m.term, m->term);
    message_encode(&again, &f->m);
    assert_in_range(again.size, 1, f->payload.size);
    assert_memory_equal(again.data, f->payload.data, again.size);
    buffer_release(&again);
}

static enum rk_status decode_with_u64(struct fixture *f, size_t offset, uint64_t value)
{
    uint64_t before = get_be64(f->payload.data + offset);
    enum rk_status status;

    put_be64(f->payload.data + offset, value);
    status = decode(f);
    put_be64(f->payload.data + offset, before);
    return status;
}

static enum rk_status decode_with_u32(struct fixture *f, size_t offset, uint32_t value)
{
    uint32_t before = get_be32(f->payload.data + offset);
    enum rk_status status;

    put_be32(f->payload.data + offset, value);
    status = decode(f);
    put_be32(f->payload.data + offset, before);
    return status;
}

static void votes_come_back(void **state)
{
    struct fixture *f = *state;

    for (int bits = 0; bits < 4; bits++) {
        struct message request = make(MESSAGE_REQUEST_VOTE);
        struct message reply = make(MESSAGE_REQUEST_VOTE_REPLY);

        request.u.request_vote.is_pre_vote = (bits & 1) != 0;
        request.u.request_vote.is_transfer = (bits & 2) != 0;
        request.u.request_vote.last_log_index = 77;
        request.u.request_vote.last_log_term = 8;
        expect_exact(f, &request);
        assert_int_equal(f->m.u.request_vote.is_pre_vote, (bits & 1) != 0);
        assert_int_equal(f->m.u.request_vote.is_transfer, (bits & 2) != 0);
        assert_int_equal(f->m.u.request_vote.last_log_index, 77);
        assert_int_equal(f->m.u.request_vote.last_log_term, 8);
        reply.u.request_vote_reply.is_pre_vote = (bits & 1) != 0;
        reply.u.request_vote_reply.is_granted = (bits & 2) != 0;
        expect_exact(f, &reply);
        assert_int_equal(f->m.u.request_vote_reply.is_pre_vote, (bits & 1) != 0);
        assert_int_equal(f->m.u.request_vote_reply.is_granted, (bits & 2) != 0);
    }
}

static void append_entries_reply_comes_back(void **state)
{
    struct fixture *f = *state;
    struct message m = make(MESSAGE_APPEND_ENTRIES_REPLY);

    m.u.append_entries_reply.is_success = true;
    m.u.append_entries_reply.match_index = 11;
    m.u.append_entries_reply.reject_index = 12;
    m.u.append_entries_reply.conflict_index = 13;
    m.u.append_entries_reply.conflict_term = 14;
    m.u.append_entries_reply.last_log_index = 15;
    m.u.append_entries_reply.read_sequence = UINT64_MAX;
    expect_exact(f, &m);
    assert_true(f->m.u.append_entries_reply.is_success);
    assert_int_equal(f->m.u.append_entries_reply.match_index, 11);
    assert_int_equal(f->m.u.append_entries_reply.reject_index, 12);
    assert_int_equal(f->m.u.append_entries_reply.conflict_index, 13);
    assert_int_equal(f->m.u.append_entries_reply.conflict_term, 14);
    assert_int_equal(f->m.u.append_entries_reply.last_log_index, 15);
    assert_true(f->m.u.append_entries_reply.read_sequence == UINT64_MAX);
    assert_int_equal(f->m.u.append_entries_reply.promised_ms, 0);
    m.u.append_entries_reply.promised_ms = ELECTION_TIMEOUT_MS_MAX;
    expect_exact(f, &m);
    assert_int_equal(f->m.u.append_entries_reply.promised_ms, ELECTION_TIMEOUT_MS_MAX);
    m.u.append_entries_reply.promised_ms++; /* nobody may promise that */
    encode(f, &m);
    assert_int_equal(decode(f), RK_PROTOCOL);
}

static void reads_and_timeout_now_come_back(void **state)
{
    struct fixture *f = *state;
    struct message ask = make(MESSAGE_READ_INDEX);
    struct message reply = make(MESSAGE_READ_INDEX_REPLY);
    struct message now = make(MESSAGE_TIMEOUT_NOW);

    ask.u.read_index.token = 123;
    expect_exact(f, &ask);
    assert_int_equal(f->m.u.read_index.token, 123);
    reply.u.read_index_reply.token = 124;
    reply.u.read_index_reply.is_ok = true;
    reply.u.read_index_reply.read_index = 125;
    expect_exact(f, &reply);
    assert_int_equal(f->m.u.read_index_reply.token, 124);
    assert_true(f->m.u.read_index_reply.is_ok);
    assert_int_equal(f->m.u.read_index_reply.read_index, 125);
    expect_exact(f, &now);
}

static struct message make_snapshot(const char *chunk, uint64_t offset, uint64_t file_bytes)
{
    struct message m = make(MESSAGE_INSTALL_SNAPSHOT);

    m.u.install_snapshot.last_index = 100;
    m.u.install_snapshot.last_term = 9;
    m.u.install_snapshot.file_id = 0x0123456789abcdef;
    m.u.install_snapshot.offset = offset;
    m.u.install_snapshot.file_bytes = file_bytes;
    m.u.install_snapshot.bytes = slice_of_text(chunk);
    return m;
}

static void a_snapshot_chunk_comes_back_and_borrows(void **state)
{
    struct fixture *f = *state;
    struct message m = make_snapshot("chunk", 10, 15);
    struct message reply = make(MESSAGE_INSTALL_SNAPSHOT_REPLY);

    m.u.install_snapshot.is_last = true;
    expect_exact(f, &m);
    assert_int_equal(f->m.u.install_snapshot.file_id, 0x0123456789abcdef);
    assert_int_equal(f->m.u.install_snapshot.offset, 10);
    assert_int_equal(f->m.u.install_snapshot.file_bytes, 15);
    assert_true(f->m.u.install_snapshot.is_last);
    assert_true(slice_equal(f->m.u.install_snapshot.bytes, slice_of_text("chunk")));
    assert_ptr_equal(f->m.u.install_snapshot.bytes.data, f->payload.data + f->payload.size - 5);
    reply.u.install_snapshot_reply.last_index = 100;
    reply.u.install_snapshot_reply.file_id = 0xfedcba9876543210;
    reply.u.install_snapshot_reply.stored_bytes = 15;
    reply.u.install_snapshot_reply.is_installed = true;
    expect_exact(f, &reply);
    assert_int_equal(f->m.u.install_snapshot_reply.file_id, 0xfedcba9876543210);
    assert_int_equal(f->m.u.install_snapshot_reply.stored_bytes, 15);
    assert_true(f->m.u.install_snapshot_reply.is_installed);
}

static enum rk_status decode_snapshot(struct fixture *f, const char *chunk, uint64_t offset,
                                      uint64_t file_bytes, bool is_last)
{
    struct message m = make_snapshot(chunk, offset, file_bytes);

    m.u.install_snapshot.is_last = is_last;
    encode(f, &m);
    return decode(f);
}

static void a_chunk_lies_inside_its_file(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(decode_snapshot(f, "12345", 0, 100, false), RK_OK);
    assert_int_equal(decode_snapshot(f, "", 100, 100, true), RK_OK);
    assert_int_equal(decode_snapshot(f, "12345", 96, 100, false), RK_PROTOCOL);
    assert_int_equal(decode_snapshot(f, "", 101, 100, false), RK_PROTOCOL);
    assert_int_equal(decode_snapshot(f, "12345", UINT64_MAX - 2, UINT64_MAX, false), RK_PROTOCOL);
    assert_int_equal(decode_snapshot(f, "12345", 94, 100, true), RK_PROTOCOL); /* last ends it */
    assert_int_equal(decode_snapshot(f, "12345", 95, 100, true), RK_OK);
    assert_int_equal(decode_with_u64(f, BODY_OFFSET, 0), RK_PROTOCOL);      /* of index 0 */
    assert_int_equal(decode_with_u64(f, BODY_OFFSET + 8, 10), RK_PROTOCOL); /* later than us */
}

/* ---- AppendEntries ---- */

static void put_entry(struct fixture *f, raft_term term, raft_index index)
{
    struct buffer command = BUFFER_INIT;
    struct entry e;

    command_encode_remove_repo(&command, slice_of_text("a/b.git"));
    e = (struct entry){ term, index, buffer_slice(&command) };
    entry_encode(&f->entries, &e);
    buffer_release(&command);
}

static void encode_append(struct fixture *f, raft_index prev_index, raft_term prev_term,
                          uint32_t count)
{
    struct message m = make(MESSAGE_APPEND_ENTRIES);

    m.u.append_entries.prev_log_index = prev_index;
    m.u.append_entries.prev_log_term = prev_term;
    m.u.append_entries.leader_commit = 5;
    m.u.append_entries.read_sequence = 6;
    m.u.append_entries.count = count;
    m.u.append_entries.bytes = buffer_slice(&f->entries);
    encode(f, &m);
}

/* Entries 11 of term 7, 12 and 13 of term 8, behind 10 of term 7. */
static void encode_three(struct fixture *f)
{
    buffer_clear(&f->entries);
    put_entry(f, 7, 11);
    put_entry(f, 8, 12);
    put_entry(f, 8, 13);
    encode_append(f, 10, 7, 3);
}

static void entries_come_back_and_borrow(void **state)
{
    struct fixture *f = *state;

    encode_three(f);
    assert_int_equal(decode(f), RK_OK);
    assert_int_equal(f->m.u.append_entries.prev_log_index, 10);
    assert_int_equal(f->m.u.append_entries.prev_log_term, 7);
    assert_int_equal(f->m.u.append_entries.leader_commit, 5);
    assert_int_equal(f->m.u.append_entries.read_sequence, 6);
    assert_int_equal(f->m.u.append_entries.count, 3);
    assert_true(slice_equal(f->m.u.append_entries.bytes, buffer_slice(&f->entries)));
    assert_ptr_equal(f->m.u.append_entries.bytes.data, f->payload.data + APPEND_ENTRIES_OFFSET);
    for (uint32_t i = 0; i < 3; i++) {
        const struct entry *e = &f->m.u.append_entries.entries[i];

        assert_int_equal(e->index, 11 + i);
        assert_int_equal(e->term, i == 0 ? 7 : 8);
        assert_true(e->command.data > f->payload.data &&
                    e->command.data < f->payload.data + f->payload.size);
    }
}

static void every_cut_of_entries_is_refused(void **state)
{
    struct fixture *f = *state;
    struct message m = make(MESSAGE_APPEND_ENTRIES);

    put_entry(f, 7, 11);
    put_entry(f, 8, 12);
    m.u.append_entries.prev_log_index = 10;
    m.u.append_entries.prev_log_term = 7;
    m.u.append_entries.count = 2;
    m.u.append_entries.bytes = buffer_slice(&f->entries);
    expect_exact(f, &m);
}

static void a_heartbeat_has_no_entries(void **state)
{
    struct fixture *f = *state;
    struct message m = make(MESSAGE_APPEND_ENTRIES);

    expect_exact(f, &m);
    assert_int_equal(f->m.u.append_entries.count, 0);
    assert_null(f->m.u.append_entries.entries);
}

static void entries_are_contiguous(void **state)
{
    static const raft_index rows[][2] = { { 11, 13 }, { 12, 11 }, { 11, 11 },
                                          { 12, 13 }, { 10, 11 }, { 1, 2 } };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buffer_clear(&f->entries);
        put_entry(f, 7, rows[i][0]);
        put_entry(f, 7, rows[i][1]);
        encode_append(f, 10, 7, 2);
        assert_int_equal(decode(f), RK_PROTOCOL);
    }
}

static void terms_do_not_fall_and_do_not_pass_the_leaders(void **state)
{
    static const struct {
        raft_term prev, first, second;
        enum rk_status expected;
    } rows[] = {
        { 7, 7, 9, RK_OK },       { 9, 9, 9, RK_OK },       { 0, 0, 0, RK_PROTOCOL },
        { 7, 6, 7, RK_PROTOCOL }, { 7, 8, 7, RK_PROTOCOL }, { 7, 9, 10, RK_PROTOCOL },
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buffer_clear(&f->entries);
        put_entry(f, rows[i].first, 11);
        put_entry(f, rows[i].second, 12);
        encode_append(f, 10, rows[i].prev, 2);
        if (rows[i].prev == 0) { /* no leader is of term 0 */
            put_be64(f->payload.data + TERM_OFFSET, 0);
        }
        assert_int_equal(decode(f), rows[i].expected);
    }
}

static void every_flipped_bit_of_an_entry_is_noticed(void **state)
{
    struct fixture *f = *state;

    encode_three(f);
    for (size_t bit = 8 * APPEND_ENTRIES_OFFSET; bit < 8 * f->payload.size; bit++) {
        f->payload.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(decode(f), RK_PROTOCOL);
        f->payload.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(decode(f), RK_OK);
}

static void counts_and_sizes_that_lie_are_refused(void **state)
{
    static const uint32_t lies[] = { 0, 1, 2, 4, 5, 255, 1u << 16, 1u << 31, UINT32_MAX };
    struct fixture *f = *state;
    size_t capacity;

    encode_three(f);
    assert_int_equal(decode(f), RK_OK);
    capacity = f->decoder.capacity;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        assert_int_equal(decode_with_u32(f, APPEND_COUNT_OFFSET, lies[i]), RK_PROTOCOL);
        assert_int_equal(decode_with_u32(f, APPEND_BYTES_OFFSET, lies[i]), RK_PROTOCOL);
    }
    assert_int_equal(decode_with_u32(f, APPEND_BYTES_OFFSET, (uint32_t)f->entries.size - 1),
                     RK_PROTOCOL);
    assert_in_range(f->decoder.capacity, capacity, 2 * capacity); /* no lie cost memory */
}

static void impossible_indexes_and_terms_are_refused(void **state)
{
    static const uint64_t lies[] = { UINT64_MAX, RAFT_INDEX_MAX + 1, 1ULL << 63 };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        encode_three(f);
        assert_int_equal(decode_with_u64(f, TERM_OFFSET, lies[i]), RK_PROTOCOL);
        assert_int_equal(decode_with_u64(f, APPEND_PREV_INDEX_OFFSET, lies[i]), RK_PROTOCOL);
        assert_int_equal(decode_with_u64(f, APPEND_PREV_TERM_OFFSET, lies[i]), RK_PROTOCOL);
        assert_int_equal(decode_with_u64(f, APPEND_COMMIT_OFFSET, lies[i]), RK_PROTOCOL);
        buffer_clear(&f->entries);
        put_entry(f, 7, lies[i]);
        encode_append(f, lies[i] - 1, 7, 1);
        assert_int_equal(decode(f), RK_PROTOCOL);
    }
    encode_three(f);
    assert_int_equal(decode_with_u64(f, APPEND_PREV_INDEX_OFFSET, 0), RK_PROTOCOL);
    assert_int_equal(decode_with_u64(f, APPEND_PREV_TERM_OFFSET, 10), RK_PROTOCOL);
}

static void the_last_index_there_can_be_is_good(void **state)
{
    struct fixture *f = *state;

    put_entry(f, 7, RAFT_INDEX_MAX);
    encode_append(f, RAFT_INDEX_MAX - 1, 7, 1);
    assert_int_equal(decode(f), RK_OK);
    buffer_clear(&f->entries);
    put_entry(f, 7, RAFT_INDEX_MAX + 1);
    encode_append(f, RAFT_INDEX_MAX, 7, 1);
    assert_int_equal(decode(f), RK_PROTOCOL);
}

static void put_raw_entry(struct fixture *f, raft_index index, struct slice command)
{
    struct entry e = { 7, index, command };

    entry_encode(&f->entries, &e);
}

static void each_command_is_decoded(void **state)
{
    static const struct {
        const char *command;
        size_t size;
        enum rk_status expected;
    } rows[] = {
        { "\x10", 1, RK_OK },
        { "\x0f", 1, RK_UNSUPPORTED },
        { "\xff", 1, RK_UNSUPPORTED },
        { "\x10\0", 2, RK_PROTOCOL },
        { "\2\0\0\0\2", 5, RK_PROTOCOL },
        { "", 0, RK_PROTOCOL },
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buffer_clear(&f->entries);
        put_entry(f, 7, 11);
        put_raw_entry(f, 12, slice_of(rows[i].command, rows[i].size));
        encode_append(f, 10, 7, 2);
        assert_int_equal(decode(f), rows[i].expected);
    }
}

static void a_steady_stream_does_not_allocate(void **state)
{
    struct fixture *f = *state;
    const struct entry *entries;
    const uint8_t *data;

    encode_three(f);
    assert_int_equal(decode(f), RK_OK);
    entries = f->decoder.entries;
    data = f->payload.data;
    for (int i = 0; i < 100; i++) {
        encode_three(f);
        assert_int_equal(decode(f), RK_OK);
        assert_ptr_equal(f->decoder.entries, entries);
        assert_ptr_equal(f->payload.data, data);
    }
}

static void the_decoder_grows_with_what_arrives(void **state)
{
    struct fixture *f = *state;

    for (raft_index i = 1; i <= 3000; i++) {
        put_raw_entry(f, i, slice_of("\x10", 1));
    }
    encode_append(f, 0, 0, 3000);
    assert_int_equal(decode(f), RK_OK);
    assert_int_equal(f->m.u.append_entries.entries[2999].index, 3000);
    assert_in_range(f->decoder.capacity, 3000, 6000);
    message_decoder_release(&f->decoder);
    message_decoder_release(&f->decoder);
    assert_null(f->decoder.entries);
}

/* ---- All messages ---- */

static void every_message_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(message_type_name(MESSAGE_REQUEST_VOTE), "request_vote");
    assert_string_equal(message_type_name(MESSAGE_TIMEOUT_NOW), "timeout_now");
    for (int type = 0; type < MESSAGE_TYPE_COUNT; type++) {
        assert_non_null(message_type_name((enum message_type)type));
    }
}

static void unknown_codes_flags_and_reserved_bytes_are_refused(void **state)
{
    static const uint8_t flags[MESSAGE_TYPE_COUNT] = { 3, 3, 0, 7, 1, 1, 0, 1, 0 };
    struct fixture *f = *state;

    for (int type = 0; type < MESSAGE_TYPE_COUNT; type++) {
        struct message m = make((enum message_type)type);

        m.u.install_snapshot.last_index = 1; /* the first field of every body may be 1 */
        encode(f, &m);
        assert_int_equal(decode(f), RK_OK);
        for (unsigned value = 0; value < 256; value++) {
            f->payload.data[FLAGS_OFFSET] = (uint8_t)value;
            assert_int_equal(decode(f), (value & ~flags[type]) == 0 ? RK_OK : RK_PROTOCOL);
        }
        f->payload.data[FLAGS_OFFSET] = 0;
        f->payload.data[ZERO_OFFSET + 1] = 1;
        assert_int_equal(decode(f), RK_PROTOCOL);
    }
    for (unsigned code = 0; code < 256; code++) {
        if (code == 0 || code > MESSAGE_TYPE_COUNT) {
            f->payload.data[0] = (uint8_t)code;
            assert_int_equal(decode(f), RK_PROTOCOL);
        }
    }
}

static void sender_and_receiver_are_somebody(void **state)
{
    struct fixture *f = *state;
    struct message m = make(MESSAGE_READ_INDEX);

    encode(f, &m);
    assert_int_equal(decode_with_u64(f, FROM_OFFSET, 0), RK_PROTOCOL);
    assert_int_equal(decode_with_u64(f, TO_OFFSET, 0), RK_PROTOCOL);
    assert_int_equal(decode_with_u64(f, FROM_OFFSET, UINT64_MAX), RK_OK);
}

static void what_a_leader_or_candidate_says_has_a_term(void **state)
{
    static const bool needs_term[MESSAGE_TYPE_COUNT] = { true,  false, true,  false, true,
                                                         false, false, false, true };
    struct fixture *f = *state;

    for (int type = 0; type < MESSAGE_TYPE_COUNT; type++) {
        struct message m = make((enum message_type)type);

        m.u.install_snapshot.last_index = 1;
        m.term = 0;
        encode(f, &m);
        assert_int_equal(decode(f), needs_term[type] ? RK_PROTOCOL : RK_OK);
        m.term = RAFT_TERM_MAX;
        encode(f, &m);
        assert_int_equal(decode(f), RK_OK);
        m.term = RAFT_TERM_MAX + 1;
        encode(f, &m);
        assert_int_equal(decode(f), RK_PROTOCOL);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(votes_come_back),
        TEST(append_entries_reply_comes_back),
        TEST(reads_and_timeout_now_come_back),
        TEST(a_snapshot_chunk_comes_back_and_borrows),
        TEST(a_chunk_lies_inside_its_file),
        TEST(entries_come_back_and_borrow),
        TEST(every_cut_of_entries_is_refused),
        TEST(a_heartbeat_has_no_entries),
        TEST(entries_are_contiguous),
        TEST(terms_do_not_fall_and_do_not_pass_the_leaders),
        TEST(every_flipped_bit_of_an_entry_is_noticed),
        TEST(counts_and_sizes_that_lie_are_refused),
        TEST(impossible_indexes_and_terms_are_refused),
        TEST(the_last_index_there_can_be_is_good),
        TEST(each_command_is_decoded),
        TEST(a_steady_stream_does_not_allocate),
        TEST(the_decoder_grows_with_what_arrives),
        TEST(every_message_has_a_name),
        TEST(unknown_codes_flags_and_reserved_bytes_are_refused),
        TEST(sender_and_receiver_are_somebody),
        TEST(what_a_leader_or_candidate_says_has_a_term),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
