/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>

#include "model/command.h"
#include "wire/raft_codec.h"

#define T(text) slice_of_text(text)
#define COUNT_OFFSET 8

static void put_forward(struct buffer *b)
{
    forward_begin(b, 1000, 3);
    buffer_put_string(b, T("one"));
    buffer_put_string(b, T("2"));
    buffer_put_string(b, T("three"));
}

static enum rk_status decode(struct slice payload)
{
    uint64_t token;
    uint32_t count;
    struct slice commands;

    return forward_decode(payload, &token, &count, &commands);
}

static void commands_come_back_in_order(void **state)
{
    struct buffer b = BUFFER_INIT;
    struct slice commands, command;
    uint64_t token;
    uint32_t count;

    (void)state;
    put_forward(&b);
    assert_int_equal(forward_decode(buffer_slice(&b), &token, &count, &commands), RK_OK);
    assert_int_equal(token, 1000);
    assert_int_equal(count, 3);
    assert_true(command_next_string(&commands, &command));
    assert_true(slice_equal(command, T("one")));
    assert_true(command_next_string(&commands, &command));
    assert_true(command_next_string(&commands, &command));
    assert_true(slice_equal(command, T("three")));
    assert_false(command_next_string(&commands, &command));
    buffer_release(&b);
}

static void every_cut_and_every_tail_is_refused(void **state)
{
    struct buffer b = BUFFER_INIT;

    (void)state;
    put_forward(&b);
    for (size_t size = 0; size < b.size; size++) {
        assert_int_equal(decode(slice_of(b.data, size)), RK_PROTOCOL);
    }
    buffer_put_u8(&b, 0);
    assert_int_equal(decode(buffer_slice(&b)), RK_PROTOCOL);
    buffer_release(&b);
}

static void a_count_that_lies_is_refused(void **state)
{
    static const uint32_t counts[] = { 0, 2, 4, 1u << 30, UINT32_MAX };
    struct buffer b = BUFFER_INIT;

    (void)state;
    put_forward(&b);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        put_be32(b.data + COUNT_OFFSET, counts[i]);
        assert_int_equal(decode(buffer_slice(&b)), RK_PROTOCOL);
    }
    buffer_release(&b);
}

static void an_empty_command_is_refused(void **state)
{
    struct buffer b = BUFFER_INIT;

    (void)state;
    forward_begin(&b, 1, 2);
    buffer_put_string(&b, T("longer"));
    buffer_put_string(&b, SLICE_NONE);
    assert_int_equal(decode(buffer_slice(&b)), RK_PROTOCOL);
    buffer_release(&b);
}

static void a_reply_comes_back(void **state)
{
    static const struct forward_reply replies[] = {
        { 1000, 3, RK_OK, 7, 1234 },
        { 1000, 3, RK_NOLEADER, 0, 0 },
        { UINT64_MAX, UINT32_MAX, RK_NOSPACE, 8, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        struct forward_reply back;
        struct buffer b = BUFFER_INIT;

        forward_reply_encode(&b, &replies[i]);
        assert_int_equal(forward_reply_decode(buffer_slice(&b), &back), RK_OK);
        assert_int_equal(back.first_token, replies[i].first_token);
        assert_int_equal(back.count, replies[i].count);
        assert_int_equal(back.status, replies[i].status);
        assert_int_equal(back.term, replies[i].term);
        assert_int_equal(back.first_index, replies[i].first_index);
        for (size_t size = 0; size < b.size; size++) {
            assert_int_equal(forward_reply_decode(slice_of(b.data, size), &back), RK_PROTOCOL);
        }
        buffer_put_u8(&b, 0);
        assert_int_equal(forward_reply_decode(buffer_slice(&b), &back), RK_PROTOCOL);
        buffer_release(&b);
    }
}

static void what_was_appended_has_a_place(void **state)
{
    static const struct forward_reply replies[] = {
        { 1, 1, RK_OK, 0, 5 },
        { 1, 1, RK_OK, 5, 0 },
        { 1, 0, RK_OK, 5, 5 },
        { 1, 1, RK_OK, RAFT_TERM_MAX + 1, 5 },
        { 1, 1, RK_OK, 5, RAFT_INDEX_MAX + 1 },
        { 1, 1, RK_OK, 5, UINT64_MAX },
    };

    (void)state;
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        struct forward_reply back;
        struct buffer b = BUFFER_INIT;

        forward_reply_encode(&b, &replies[i]);
        assert_int_equal(forward_reply_decode(buffer_slice(&b), &back), RK_PROTOCOL);
        buffer_release(&b);
    }
}

/* The reaction is what counts: a word shared by two statuses asks for the same. */
static void every_status_keeps_its_reaction(void **state)
{
    (void)state;
    for (int i = 0; i < RK_STATUS_COUNT; i++) {
        struct forward_reply reply = { 1, 1, (enum rk_status)i, 1, 1 }, back;
        struct buffer b = BUFFER_INIT;

        forward_reply_encode(&b, &reply);
        assert_int_equal(forward_reply_decode(buffer_slice(&b), &back), RK_OK);
        assert_string_equal(rk_status_word(back.status), rk_status_word(reply.status));
        assert_int_equal(rk_status_reaction(back.status), rk_status_reaction(reply.status));
        buffer_release(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_come_back_in_order),
        cmocka_unit_test(every_cut_and_every_tail_is_refused),
        cmocka_unit_test(a_count_that_lies_is_refused),
        cmocka_unit_test(an_empty_command_is_refused),
        cmocka_unit_test(a_reply_comes_back),
        cmocka_unit_test(what_was_appended_has_a_place),
        cmocka_unit_test(every_status_keeps_its_reaction),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
