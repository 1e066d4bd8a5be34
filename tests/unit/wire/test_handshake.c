/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <stdio.h>

#include "wire/handshake.h"

#define FLAGS_OFFSET 64

static struct hello make_hello(void)
{
    struct hello h = {
        .version_min = 1,
        .version_max = PROTOCOL_VERSION,
        .cluster_id = { 0xc1, 0xc2 },
        .sender = 1,
        .target = 2,
        .sender_name = "n1",
        .incarnation = 0x1234567890abcdef,
        .boot_count = 5,
        .features = 6,
        .is_empty = true,
        .client_address = "n1.example:7481",
        .http_address = "n1.example:7482",
        .membership_index = 77,
        .target_incarnation = 0xfedcba0987654321,
        .target_name = "n2",
    };

    return h;
}

static void a_hello_comes_back(void **state)
{
    struct hello h = make_hello(), back;
    struct buffer b = BUFFER_INIT;

    (void)state;
    memset(h.client_address, 'c', ADDRESS_BYTES_MAX);
    memset(h.sender_name, 'n', NODE_NAME_BYTES_MAX);
    hello_encode(&b, &h);
    assert_in_range(b.size, 1, HELLO_BYTES_MAX);
    assert_int_equal(hello_decode(buffer_slice(&b), &back), RK_OK);
    assert_int_equal(back.version_min, 1);
    assert_int_equal(back.version_max, PROTOCOL_VERSION);
    assert_memory_equal(back.cluster_id, h.cluster_id, CLUSTER_ID_BYTES);
    assert_int_equal(back.sender, 1);
    assert_int_equal(back.target, 2);
    assert_string_equal(back.sender_name, h.sender_name);
    assert_int_equal(back.incarnation, h.incarnation);
    assert_int_equal(back.boot_count, 5);
    assert_int_equal(back.features, 6);
    assert_true(back.is_empty);
    assert_string_equal(back.client_address, h.client_address);
    assert_string_equal(back.http_address, h.http_address);
    assert_int_equal(back.membership_index, 77);
    assert_int_equal(back.target_incarnation, h.target_incarnation);
    assert_string_equal(back.target_name, "n2");
    buffer_release(&b);
}

static void every_cut_and_every_tail_is_refused(void **state)
{
    struct hello h = make_hello();
    struct buffer b = BUFFER_INIT;

    (void)state;
    hello_encode(&b, &h);
    for (size_t size = 0; size < b.size; size++) {
        assert_int_equal(hello_decode(slice_of(b.data, size), &h), RK_PROTOCOL);
    }
    buffer_put_u8(&b, 0);
    assert_int_equal(hello_decode(buffer_slice(&b), &h), RK_PROTOCOL);
    buffer_release(&b);
}

static void unknown_flags_are_refused(void **state)
{
    struct hello h = make_hello();
    struct buffer b = BUFFER_INIT;

    (void)state;
    hello_encode(&b, &h);
    assert_int_equal(b.data[FLAGS_OFFSET], 1);
    b.data[FLAGS_OFFSET] = 3;
    assert_int_equal(hello_decode(buffer_slice(&b), &h), RK_PROTOCOL);
    buffer_release(&b);
}

/* Else a rolling upgrade could not even say which version to speak. */
static void a_newer_node_may_say_more(void **state)
{
    struct hello h = make_hello(), back;
    struct buffer b = BUFFER_INIT;

    (void)state;
    h.version_max = PROTOCOL_VERSION + 1;
    hello_encode(&b, &h);
    b.data[FLAGS_OFFSET] |= 0x80;
    buffer_put(&b, "more", 4);
    assert_int_equal(hello_decode(buffer_slice(&b), &back), RK_OK);
    assert_int_equal(back.version_max, PROTOCOL_VERSION + 1);
    assert_true(back.is_empty);
    buffer_release(&b);
}

static void a_range_of_versions_is_not_empty(void **state)
{
    static const uint32_t ranges[][2] = { { 0, 0 }, { 0, 1 }, { 2, 1 }, { UINT32_MAX, 1 } };

    (void)state;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        struct hello h = make_hello();
        struct buffer b = BUFFER_INIT;

        hello_encode(&b, &h);
        put_be32(b.data, ranges[i][0]);
        put_be32(b.data + 4, ranges[i][1]);
        assert_int_equal(hello_decode(buffer_slice(&b), &h), RK_PROTOCOL);
        buffer_release(&b);
    }
}

static void the_highest_common_version_is_spoken(void **state)
{
    static const uint32_t rows[][5] = {
        /* ours, theirs, expected */
        { 1, 1, 1, 1, 1 }, { 1, 3, 2, 5, 3 }, { 2, 5, 1, 3, 3 },
        { 1, 1, 2, 2, 0 }, { 3, 4, 1, 2, 0 }, { 1, UINT32_MAX, 1, 7, 7 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct hello ours = { .version_min = rows[i][0], .version_max = rows[i][1] };
        struct hello theirs = { .version_min = rows[i][2], .version_max = rows[i][3] };

        assert_int_equal(hello_version(&ours, &theirs), rows[i][4]);
        assert_int_equal(hello_version(&theirs, &ours), rows[i][4]);
    }
}

static void a_refusal_comes_back(void **state)
{
    struct hello_refusal back;
    struct buffer b = BUFFER_INIT;

    (void)state;
    hello_refusal_encode(&b, RK_FOREIGN, "cluster id differs");
    assert_int_equal(hello_refusal_decode(buffer_slice(&b), &back), RK_OK);
    assert_int_equal(back.status, RK_FOREIGN);
    assert_string_equal(back.text, "cluster id differs");
    for (size_t size = 0; size < b.size; size++) {
        assert_int_equal(hello_refusal_decode(slice_of(b.data, size), &back), RK_PROTOCOL);
    }
    buffer_put_u8(&b, 0);
    assert_int_equal(hello_refusal_decode(buffer_slice(&b), &back), RK_PROTOCOL);
    buffer_release(&b);
}

static void a_long_sentence_is_cut(void **state)
{
    char text[400];
    struct hello_refusal back;
    struct buffer b = BUFFER_INIT;

    (void)state;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    hello_refusal_encode(&b, RK_UNSUPPORTED, text);
    assert_int_equal(hello_refusal_decode(buffer_slice(&b), &back), RK_OK);
    assert_int_equal(strlen(back.text), HELLO_REFUSAL_TEXT_BYTES_MAX);
    buffer_release(&b);
}

static void a_status_of_a_newer_node_is_unknown(void **state)
{
    struct hello_refusal back;
    struct buffer b = BUFFER_INIT;

    (void)state;
    buffer_put_text(&b, "TOOMODERN");
    buffer_put_text(&b, "why");
    assert_int_equal(hello_refusal_decode(buffer_slice(&b), &back), RK_OK);
    assert_int_equal(back.status, RK_UNKNOWN);
    assert_string_equal(back.text, "why");
    buffer_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hello_comes_back),
        cmocka_unit_test(every_cut_and_every_tail_is_refused),
        cmocka_unit_test(unknown_flags_are_refused),
        cmocka_unit_test(a_newer_node_may_say_more),
        cmocka_unit_test(a_range_of_versions_is_not_empty),
        cmocka_unit_test(the_highest_common_version_is_spoken),
        cmocka_unit_test(a_refusal_comes_back),
        cmocka_unit_test(a_long_sentence_is_cut),
        cmocka_unit_test(a_status_of_a_newer_node_is_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
