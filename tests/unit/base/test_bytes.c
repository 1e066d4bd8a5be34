/* SPDX-License-Identifier: Apache-2.0 */
/* Slices, buffers, readers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>

#include "base/bytes.h"

static void slices_order_by_bytes_then_by_length(void **state)
{
    static const char *const ordered[] = {
        "", "a", "a-b", "a/b", "ab", "b", "\x7f", "\x80", "\xff"
    };
    size_t count = sizeof ordered / sizeof *ordered;

    (void)state;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++) {
            int order = slice_compare(slice_of_text(ordered[i]), slice_of_text(ordered[k]));

            assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
            assert_int_equal(slice_equal(slice_of_text(ordered[i]), slice_of_text(ordered[k])),
                             i == k);
        }
    }
}

static void an_empty_slice_may_have_no_address(void **state)
{
    (void)state;
    assert_true(slice_equal(SLICE_NONE, slice_of("x", 0)));
    assert_int_equal(slice_compare(SLICE_NONE, slice_of("x", 0)), 0);
    assert_true(slice_compare(SLICE_NONE, slice_of_text("x")) < 0);
    assert_true(slice_has_prefix(SLICE_NONE, SLICE_NONE));
    assert_true(slice_has_prefix(slice_of_text("x"), SLICE_NONE));
    assert_false(slice_has_prefix(SLICE_NONE, slice_of_text("x")));
}

static void prefixes_are_compared_by_bytes(void **state)
{
    (void)state;
    assert_true(slice_has_prefix(slice_of_text("refs/heads/x"), slice_of_text("refs/")));
    assert_true(slice_has_prefix(slice_of_text("refs/"), slice_of_text("refs/")));
    assert_false(slice_has_prefix(slice_of_text("refs"), slice_of_text("refs/")));
    assert_false(slice_has_prefix(slice_of_text("Refs/x"), slice_of_text("refs/")));
}

static void integers_are_big_endian(void **state)
{
    static const uint8_t expected[] = { 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
                                        0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f };
    struct buffer b = BUFFER_INIT;

    (void)state;
    buffer_put_u8(&b, 0x01);
    buffer_put_u16(&b, 0x0203);
    buffer_put_u32(&b, 0x04050607);
    buffer_put_u64(&b, 0x08090a0b0c0d0e0f);
    assert_int_equal(b.size, sizeof expected);
    assert_memory_equal(b.data, expected, sizeof expected);
    assert_int_equal(get_be32(b.data + 3), 0x04050607);
    assert_int_equal(get_be64(b.data + 7), 0x08090a0b0c0d0e0f);
    buffer_release(&b);
}

static void what_was_put_is_read_back(void **state)
{
    struct buffer b = BUFFER_INIT;
    struct reader r;
    char text[8];

    (void)state;
    buffer_put_u8(&b, 250);
    buffer_put_u16(&b, 65000);
    buffer_put_u32(&b, 4000000000u);
    buffer_put_u64(&b, UINT64_MAX - 1);
    buffer_put_string(&b, slice_of_text("str"));
    buffer_put_text(&b, "text");
    buffer_put(&b, "tail", 4);
    r = reader_of(buffer_slice(&b));
    assert_int_equal(reader_u8(&r), 250);
    assert_int_equal(reader_u16(&r), 65000);
    assert_int_equal(reader_u32(&r), 4000000000u);
    assert_true(reader_u64(&r) == UINT64_MAX - 1);
    assert_true(slice_equal(reader_string(&r, 3), slice_of_text("str")));
    reader_text(&r, text, sizeof text - 1);
    assert_string_equal(text, "text");
    assert_int_equal(reader_left(&r), 4);
    assert_false(reader_done(&r));
    assert_true(slice_equal(reader_bytes(&r, 4), slice_of_text("tail")));
    assert_true(reader_done(&r));
    buffer_release(&b);
}

static void a_reader_that_failed_stays_failed(void **state)
{
    struct reader r = reader_of(slice_of("\1\2\3", 3));

    (void)state;
    assert_int_equal(reader_u32(&r), 0);
    assert_true(r.failed);
    assert_int_equal(reader_u8(&r), 0);
    assert_int_equal(reader_left(&r), 0);
    assert_null(reader_bytes(&r, 0).data);
    assert_false(reader_done(&r));
}

static void every_read_past_the_end_fails(void **state)
{
    struct reader r;

    (void)state;
    r = reader_of(SLICE_NONE);
    assert_true(reader_done(&r));
    (void)reader_u8(&r);
    assert_true(r.failed);
    r = reader_of(slice_of("\1", 1));
    (void)reader_u16(&r);
    assert_true(r.failed);
    r = reader_of(slice_of("\1\2\3\4\5\6\7", 7));
    (void)reader_u64(&r);
    assert_true(r.failed);
    r = reader_of(slice_of("ab", 2));
    (void)reader_bytes(&r, SIZE_MAX);
    assert_true(r.failed);
}

static void a_string_is_held_against_its_bound_and_the_bytes_left(void **state)
{
    struct reader r;

    (void)state;
    r = reader_of(slice_of("\0\0\0\2ab", 6));
    assert_int_equal(reader_string(&r, 1).size, 0);
    assert_true(r.failed);
    r = reader_of(slice_of("\0\0\0\3ab", 6));
    assert_int_equal(reader_string(&r, 100).size, 0);
    assert_true(r.failed);
    r = reader_of(slice_of("\xff\xff\xff\xff", 4));
    assert_int_equal(reader_string(&r, SIZE_MAX).size, 0);
    assert_true(r.failed);
}

static void a_text_with_a_nul_or_over_its_bound_fails(void **state)
{
    struct reader r;
    char text[4] = "xyz";

    (void)state;
    r = reader_of(slice_of("\3a\0b", 4));
    reader_text(&r, text, 3);
    assert_true(r.failed);
    assert_string_equal(text, "");
    r = reader_of(slice_of("\4abcd", 5));
    reader_text(&r, text, 3);
    assert_true(r.failed);
    assert_string_equal(text, "");
    r = reader_of(slice_of("\3ab", 3));
    reader_text(&r, text, 3);
    assert_true(r.failed);
    r = reader_of(slice_of("\0", 1));
    reader_text(&r, text, 3);
    assert_true(reader_done(&r));
}

static void a_buffer_grows_and_keeps_its_bytes(void **state)
{
    struct buffer b = BUFFER_INIT;

    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        buffer_put_u8(&b, (uint8_t)i);
    }
    assert_int_equal(b.size, 10000);
    assert_true(b.capacity >= b.size && b.capacity <= 4 * b.size);
    for (unsigned i = 0; i < 10000; i++) {
        assert_int_equal(b.data[i], (uint8_t)i);
    }
    buffer_clear(&b);
    assert_int_equal(b.size, 0);
    assert_true(b.capacity > 0);
    buffer_release(&b);
    assert_null(b.data);
    buffer_release(&b);
}

static void an_impossible_reservation_changes_nothing(void **state)
{
    struct buffer b = BUFFER_INIT;

    (void)state;
    buffer_put(&b, "abc", 3);
    assert_int_equal(buffer_reserve(&b, SIZE_MAX - 1), RK_NOMEM);
    assert_int_equal(buffer_reserve(&b, SIZE_MAX / 2), RK_NOMEM);
    assert_int_equal(b.size, 3);
    assert_memory_equal(b.data, "abc", 3);
    buffer_release(&b);
}

static void consuming_keeps_what_follows(void **state)
{
    struct buffer b = BUFFER_INIT;

    (void)state;
    buffer_put(&b, "abcdef", 6);
    buffer_consume(&b, 2);
    assert_true(slice_equal(buffer_slice(&b), slice_of_text("cdef")));
    buffer_consume(&b, 0);
    assert_int_equal(b.size, 4);
    buffer_consume(&b, 4);
    assert_int_equal(b.size, 0);
    buffer_put(&b, NULL, 0);
    assert_int_equal(b.size, 0);
    buffer_release(&b);
}

static void printing_appends_without_its_nul(void **state)
{
    struct buffer b = BUFFER_INIT;

    (void)state;
    buffer_printf(&b, "%s", "");
    assert_int_equal(b.size, 0);
    buffer_printf(&b, "%d-%s", 7, "seven");
    buffer_printf(&b, "/%0200d", 1);
    assert_int_equal(b.size, 7 + 201);
    assert_memory_equal(b.data, "7-seven/000", 11);
    buffer_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_order_by_bytes_then_by_length),
        cmocka_unit_test(an_empty_slice_may_have_no_address),
        cmocka_unit_test(prefixes_are_compared_by_bytes),
        cmocka_unit_test(integers_are_big_endian),
        cmocka_unit_test(what_was_put_is_read_back),
        cmocka_unit_test(a_reader_that_failed_stays_failed),
        cmocka_unit_test(every_read_past_the_end_fails),
        cmocka_unit_test(a_string_is_held_against_its_bound_and_the_bytes_left),
        cmocka_unit_test(a_text_with_a_nul_or_over_its_bound_fails),
        cmocka_unit_test(a_buffer_grows_and_keeps_its_bytes),
        cmocka_unit_test(an_impossible_reservation_changes_nothing),
        cmocka_unit_test(consuming_keeps_what_follows),
        cmocka_unit_test(printing_appends_without_its_nul),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
