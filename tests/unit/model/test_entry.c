/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>

#include "base/heap.h"
#include "model/entry.h"

static const struct entry sample = { 3, 7, { (const uint8_t *)"command", 7 } };

static enum entry_verdict judge(struct slice input)
{
    struct entry e;
    size_t need = 0;

    return entry_decode(input, &e, &need);
}

static void an_entry_comes_back_and_borrows(void **state)
{
    struct buffer b = BUFFER_INIT;
    struct entry e;
    size_t need;

    (void)state;
    entry_encode(&b, &sample);
    assert_int_equal(b.size, entry_size(&sample));
    buffer_put(&b, "next", 4);
    assert_int_equal(entry_decode(buffer_slice(&b), &e, &need), ENTRY_GOOD);
    assert_int_equal(e.term, 3);
    assert_int_equal(e.index, 7);
    assert_true(slice_equal(e.command, sample.command));
    assert_ptr_equal(e.command.data, b.data + ENTRY_HEADER_BYTES);
    buffer_release(&b);
}

static void sealing_in_place_gives_the_same_bytes(void **state)
{
    uint8_t bytes[ENTRY_HEADER_BYTES + 7];
    struct buffer b = BUFFER_INIT;

    (void)state;
    entry_encode(&b, &sample);
    memcpy(bytes + ENTRY_HEADER_BYTES, "command", 7);
    entry_seal(bytes, 3, 7, 7);
    assert_true(slice_equal(slice_of(bytes, sizeof bytes), buffer_slice(&b)));
    buffer_release(&b);
}

static void a_cut_entry_is_short_and_says_what_it_needs(void **state)
{
    struct buffer b = BUFFER_INIT;

    (void)state;
    entry_encode(&b, &sample);
    for (size_t size = 0; size < b.size; size++) {
        struct entry e;
        size_t need = 0;

        assert_int_equal(entry_decode(slice_of(b.data, size), &e, &need), ENTRY_SHORT);
        assert_int_equal(need, size < ENTRY_HEADER_BYTES ? ENTRY_HEADER_BYTES : b.size);
    }
    buffer_release(&b);
}

static void every_flipped_bit_is_noticed(void **state)
{
    struct buffer b = BUFFER_INIT;

    (void)state;
    entry_encode(&b, &sample);
    for (size_t bit = 0; bit < 8 * b.size; bit++) {
        b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(judge(buffer_slice(&b)), ENTRY_GOOD);
        b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(judge(buffer_slice(&b)), ENTRY_GOOD);
    buffer_release(&b);
}

static void zeros_are_absence(void **state)
{
    static const uint8_t zeros[100];

    (void)state;
    assert_int_equal(judge(slice_of(zeros, sizeof zeros)), ENTRY_ABSENT);
    assert_int_equal(judge(slice_of(zeros, ENTRY_HEADER_BYTES)), ENTRY_ABSENT);
    assert_int_equal(judge(slice_of(zeros, ENTRY_HEADER_BYTES - 1)), ENTRY_SHORT);
}

/* A corrupt length must not make anyone wait for, or allocate, gigabytes. */
static void an_impossible_length_is_bad_at_once(void **state)
{
    uint8_t header[ENTRY_HEADER_BYTES] = { 0 };

    (void)state;
    put_be64(header + 8, 1);
    put_be32(header + 20, COMMAND_BYTES_MAX);
    assert_int_equal(judge(slice_of(header, sizeof header)), ENTRY_SHORT);
    put_be32(header + 20, COMMAND_BYTES_MAX + 1);
    assert_int_equal(judge(slice_of(header, sizeof header)), ENTRY_BAD);
    put_be32(header + 20, UINT32_MAX);
    assert_int_equal(judge(slice_of(header, sizeof header)), ENTRY_BAD);
}

static void index_0_is_bad_even_with_a_good_crc(void **state)
{
    uint8_t bytes[ENTRY_HEADER_BYTES + 1] = { 0 };

    (void)state;
    put_be64(bytes, 1);
    put_be32(bytes + 20, 1);
    assert_int_equal(judge(slice_of(bytes, sizeof bytes)), ENTRY_BAD);
}

static void the_largest_command_fits(void **state)
{
    uint8_t *command = heap_zalloc(COMMAND_BYTES_MAX);
    struct entry e = { 1, 1, slice_of(command, COMMAND_BYTES_MAX) };
    struct buffer b = BUFFER_INIT;

    (void)state;
    entry_encode(&b, &e);
    assert_int_equal(b.size, ENTRY_BYTES_MAX);
    assert_int_equal(judge(buffer_slice(&b)), ENTRY_GOOD);
    buffer_release(&b);
    heap_free(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_comes_back_and_borrows),
        cmocka_unit_test(sealing_in_place_gives_the_same_bytes),
        cmocka_unit_test(a_cut_entry_is_short_and_says_what_it_needs),
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(zeros_are_absence),
        cmocka_unit_test(an_impossible_length_is_bad_at_once),
        cmocka_unit_test(index_0_is_bad_even_with_a_good_crc),
        cmocka_unit_test(the_largest_command_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
