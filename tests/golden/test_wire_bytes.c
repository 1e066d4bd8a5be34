/* SPDX-License-Identifier: Apache-2.0 */
/* Every frame between nodes, byte by byte [docs/PROTOCOL.md]. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>

#include "model/command.h"
#include "support/golden.h"
#include "wire/frame.h"
#include "wire/handshake.h"
#include "wire/raft_codec.h"

#define T(text) slice_of_text(text)

/* The one frame in `b`; fails the test when it is not good. */
static struct frame only_frame(const struct buffer *b)
{
    struct frame frame = { .type = FRAME_HELLO };
    size_t used = 0, need = 0;

    assert_int_equal(frame_decode(buffer_slice(b), &frame, &used, &need), FRAME_GOOD);
    assert_int_equal(used, b->size);
    return frame;
}

static void hello(void **state)
{
    struct hello h = {
        .version_min = 1,
        .version_max = 1,
        .sender = 1,
        .target = 2,
        .sender_name = "n1",
        .incarnation = 0x0102030405060708,
        .boot_count = 5,
        .features = 3,
        .is_empty = true,
        .client_address = "10.0.0.1:7481",
        .http_address = "10.0.0.1:7482",
        .membership_index = 77,
        .target_incarnation = 0x1112131415161718,
        .target_name = "n2",
    };
    struct buffer b = BUFFER_INIT;
    size_t start = frame_begin(&b, FRAME_HELLO);

    (void)state;
    for (unsigned i = 0; i < CLUSTER_ID_BYTES; i++) {
        h.cluster_id[i] = (uint8_t)(0xc0 + i);
    }
    hello_encode(&b, &h);
    frame_end(&b, start);
    golden_expect("wire/hello", buffer_slice(&b));
    assert_int_equal(hello_decode(only_frame(&b).payload, &h), RK_OK);
    buffer_release(&b);
}

static void hello_refused(void **state)
{
    struct hello_refusal refusal;
    struct buffer b = BUFFER_INIT;
    size_t start = frame_begin(&b, FRAME_HELLO_REFUSED);

    (void)state;
    hello_refusal_encode(&b, RK_FOREIGN, "cluster id differs");
    frame_end(&b, start);
    golden_expect("wire/hello_refused", buffer_slice(&b));
    assert_int_equal(hello_refusal_decode(only_frame(&b).payload, &refusal), RK_OK);
    buffer_release(&b);
}

static struct message make(enum message_type type)
{
    return (struct message){ .type = type, .from = 1, .to = 2, .term = 9 };
}

static void expect(const char *name, const struct message *m)
{
    struct message_decoder decoder = { NULL, 0 };
    struct buffer b = BUFFER_INIT;
    struct message back;
    size_t start = frame_begin(&b, FRAME_MESSAGE);

    message_encode(&b, m);
    if (m->type == MESSAGE_APPEND_ENTRIES) {
        frame_end_with_entries(&b, start, m->u.append_entries.bytes.size);
        buffer_put_slice(&b, m->u.append_entries.bytes);
    } else if (m->type == MESSAGE_INSTALL_SNAPSHOT) {
        frame_end_with_tail(&b, start, m->u.install_snapshot.bytes);
        buffer_put_slice(&b, m->u.install_snapshot.bytes);
    } else {
        frame_end(&b, start);
    }
    golden_expect(name, buffer_slice(&b));
    assert_int_equal(message_decode(&decoder, only_frame(&b).payload, &back), RK_OK);
    assert_int_equal(back.type, m->type);
    message_decoder_release(&decoder);
    buffer_release(&b);
}

static void votes(void **state)
{
    struct message request = make(MESSAGE_REQUEST_VOTE);
    struct message reply = make(MESSAGE_REQUEST_VOTE_REPLY);
    struct message now = make(MESSAGE_TIMEOUT_NOW);

    (void)state;
    request.u.request_vote.last_log_index = 77;
    request.u.request_vote.last_log_term = 8;
    request.u.request_vote.is_pre_vote = true;
    expect("wire/request_vote", &request);
    request.u.request_vote.is_pre_vote = false;
    request.u.request_vote.is_transfer = true;
    expect("wire/request_vote_transfer", &request);
    reply.u.request_vote_reply.is_pre_vote = true;
    reply.u.request_vote_reply.is_granted = true;
    expect("wire/request_vote_reply", &reply);
    expect("wire/timeout_now", &now);
}

static void put_entry(struct buffer *b, raft_term term, raft_index index, struct buffer *command)
{
    struct entry e = { term, index, buffer_slice(command) };

    entry_encode(b, &e);
    buffer_clear(command);
}

static void append_entries(void **state)
{
    struct message m = make(MESSAGE_APPEND_ENTRIES);
    struct buffer entries = BUFFER_INIT, command = BUFFER_INIT;

    (void)state;
    m.u.append_entries.prev_log_index = 10;
    m.u.append_entries.prev_log_term = 7;
    m.u.append_entries.leader_commit = 9;
    m.u.append_entries.read_sequence = 6;
    expect("wire/append_entries_heartbeat", &m);
    command_encode_register_repo(&command, T("a/b.git"), T("s1"));
    put_entry(&entries, 7, 11, &command);
    command_encode_noop(&command);
    put_entry(&entries, 9, 12, &command);
    m.u.append_entries.count = 2;
    m.u.append_entries.bytes = buffer_slice(&entries);
    expect("wire/append_entries", &m);
    buffer_release(&entries);
    buffer_release(&command);
}

static void append_entries_reply(void **state)
{
    struct message success = make(MESSAGE_APPEND_ENTRIES_REPLY);
    struct message refusal = make(MESSAGE_APPEND_ENTRIES_REPLY);

    (void)state;
    success.u.append_entries_reply.is_success = true;
    success.u.append_entries_reply.match_index = 12;
    success.u.append_entries_reply.last_log_index = 12;
    success.u.append_entries_reply.read_sequence = 6;
    expect("wire/append_entries_reply", &success);
    success.u.append_entries_reply.promised_ms = 1000;
    expect("wire/append_entries_reply_promise", &success);
    refusal.u.append_entries_reply.reject_index = 10;
    refusal.u.append_entries_reply.conflict_index = 4;
    refusal.u.append_entries_reply.conflict_term = 3;
    refusal.u.append_entries_reply.last_log_index = 8;
    refusal.u.append_entries_reply.read_sequence = 6;
    expect("wire/append_entries_reply_refused", &refusal);
}

static void install_snapshot(void **state)
{
    struct message chunk = make(MESSAGE_INSTALL_SNAPSHOT);
    struct message reply = make(MESSAGE_INSTALL_SNAPSHOT_REPLY);

    (void)state;
    chunk.u.install_snapshot.last_index = 100;
    chunk.u.install_snapshot.last_term = 8;
    chunk.u.install_snapshot.file_id = 0x0123456789abcdef;
    chunk.u.install_snapshot.offset = 10;
    chunk.u.install_snapshot.file_bytes = 15;
    chunk.u.install_snapshot.is_last = true;
    chunk.u.install_snapshot.bytes = T("chunk");
    expect("wire/install_snapshot", &chunk);
    reply.u.install_snapshot_reply.last_index = 100;
    reply.u.install_snapshot_reply.file_id = 0x0123456789abcdef;
    reply.u.install_snapshot_reply.stored_bytes = 15;
    reply.u.install_snapshot_reply.is_installed = true;
    expect("wire/install_snapshot_reply", &reply);
}

static void read_index(void **state)
{
    struct message ask = make(MESSAGE_READ_INDEX);
    struct message reply = make(MESSAGE_READ_INDEX_REPLY);

    (void)state;
    ask.u.read_index.token = 123;
    expect("wire/read_index", &ask);
    reply.u.read_index_reply.token = 123;
    reply.u.read_index_reply.is_ok = true;
    reply.u.read_index_reply.read_index = 88;
    expect("wire/read_index_reply", &reply);
}

static void forward(void **state)
{
    struct command open = { .tag = COMMAND_OPEN_SESSION };
    struct buffer b = BUFFER_INIT, command = BUFFER_INIT;
    struct slice commands;
    uint64_t token;
    uint32_t count;
    size_t start = frame_begin(&b, FRAME_FORWARD);

    (void)state;
    forward_begin(&b, 1000, 2);
    command_encode_register_repo(&command, T("a/b.git"), T("s1"));
    buffer_put_string(&b, buffer_slice(&command));
    buffer_clear(&command);
    command_encode_plain(&command, &open);
    buffer_put_string(&b, buffer_slice(&command));
    frame_end(&b, start);
    golden_expect("wire/forward", buffer_slice(&b));
    assert_int_equal(forward_decode(only_frame(&b).payload, &token, &count, &commands), RK_OK);
    buffer_release(&command);
    buffer_release(&b);
}

static void expect_forward_reply(const char *name, const struct forward_reply *reply)
{
    struct forward_reply back;
    struct buffer b = BUFFER_INIT;
    size_t start = frame_begin(&b, FRAME_FORWARD_REPLY);

    forward_reply_encode(&b, reply);
    frame_end(&b, start);
    golden_expect(name, buffer_slice(&b));
    assert_int_equal(forward_reply_decode(only_frame(&b).payload, &back), RK_OK);
    assert_int_equal(back.status, reply->status);
    buffer_release(&b);
}

static void forward_reply(void **state)
{
    (void)state;
    expect_forward_reply("wire/forward_reply", &(struct forward_reply){ 1000, 2, RK_OK, 9, 13 });
    expect_forward_reply("wire/forward_reply_refused",
                         &(struct forward_reply){ 1000, 2, RK_NOLEADER, 0, 0 });
}

static void change(void **state)
{
    struct member_change change = { MEMBER_CHANGE_ADD, "n4", "10.0.0.4:7480" }, back;
    struct buffer b = BUFFER_INIT;
    size_t start = frame_begin(&b, FRAME_CHANGE);
    uint64_t token = 0;

    (void)state;
    change_encode(&b, 0x21, &change);
    frame_end(&b, start);
    golden_expect("wire/change", buffer_slice(&b));
    assert_int_equal(change_decode(only_frame(&b).payload, &token, &back), RK_OK);
    assert_int_equal(token, 0x21);
    assert_int_equal(back.kind, MEMBER_CHANGE_ADD);
    assert_string_equal(back.name, "n4");
    assert_string_equal(back.peer_address, "10.0.0.4:7480");
    buffer_release(&b);
}

static void change_reply(void **state)
{
    struct change_reply reply = { 0x21, RK_REFUSED, 0, "no voter would be left" }, back;
    struct buffer b = BUFFER_INIT;
    size_t start = frame_begin(&b, FRAME_CHANGE_REPLY);

    (void)state;
    change_reply_encode(&b, &reply);
    frame_end(&b, start);
    golden_expect("wire/change_reply", buffer_slice(&b));
    assert_int_equal(change_reply_decode(only_frame(&b).payload, &back), RK_OK);
    assert_int_equal(back.status, RK_REFUSED);
    assert_string_equal(back.why, reply.why);
    buffer_release(&b);
}

static void digest(void **state)
{
    struct state_digest digest = { .index = 2048, .wants_state = true, .above = 1024 }, back;
    struct buffer b = BUFFER_INIT;
    size_t start = frame_begin(&b, FRAME_DIGEST);

    (void)state;
    for (unsigned i = 0; i < STATE_DIGEST_BYTES; i++) {
        digest.digest[i] = (uint8_t)i;
    }
    state_digest_encode(&b, &digest);
    frame_end(&b, start);
    golden_expect("wire/digest", buffer_slice(&b));
    assert_int_equal(state_digest_decode(only_frame(&b).payload, &back), RK_OK);
    assert_true(back.wants_state);
    assert_int_equal(back.above, 1024);
    buffer_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello),
        cmocka_unit_test(hello_refused),
        cmocka_unit_test(votes),
        cmocka_unit_test(append_entries),
        cmocka_unit_test(append_entries_reply),
        cmocka_unit_test(install_snapshot),
        cmocka_unit_test(read_index),
        cmocka_unit_test(forward),
        cmocka_unit_test(forward_reply),
        cmocka_unit_test(change),
        cmocka_unit_test(change_reply),
        cmocka_unit_test(digest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
