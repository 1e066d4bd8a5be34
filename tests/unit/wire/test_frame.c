/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <zlib.h>

#include "base/heap.h"
#include "wire/frame.h"

#define LENGTH_OFFSET 0
#define TYPE_OFFSET 4
#define FLAGS_OFFSET 5
#define HEAD_OFFSET 6
#define CRC_OFFSET 8

static enum frame_verdict judge(struct slice input)
{
    struct frame frame;
    size_t used, need;

    return frame_decode(input, &frame, &used, &need);
}

static void put_frame(struct buffer *b, enum frame_type type, const char *payload)
{
    size_t start = frame_begin(b, type);

    buffer_put(b, payload, strlen(payload));
    frame_end(b, start);
}

/* Gives a changed header a good CRC, so that only the change can be refused. */
static void seal(struct buffer *b, size_t covered)
{
    uLong crc = crc32(crc32(0, b->data, CRC_OFFSET), b->data + FRAME_HEADER_BYTES, (uInt)covered);

    put_be32(b->data + CRC_OFFSET, (uint32_t)crc);
}

static void frames_follow_each_other(void **state)
{
    struct buffer b = BUFFER_INIT;
    struct frame frame;
    size_t used, need;

    (void)state;
    put_frame(&b, FRAME_MESSAGE, "payload");
    put_frame(&b, FRAME_FORWARD, "");
    assert_int_equal(frame_decode(buffer_slice(&b), &frame, &used, &need), FRAME_GOOD);
    assert_int_equal(frame.type, FRAME_MESSAGE);
    assert_int_equal(frame.flags, 0);
    assert_true(slice_equal(frame.payload, slice_of_text("payload")));
    assert_int_equal(used, FRAME_HEADER_BYTES + 7);
    buffer_consume(&b, used);
    assert_int_equal(frame_decode(buffer_slice(&b), &frame, &used, &need), FRAME_GOOD);
    assert_int_equal(frame.type, FRAME_FORWARD);
    assert_int_equal(frame.payload.size, 0);
    assert_int_equal(used, b.size);
    buffer_release(&b);
}

static void a_cut_frame_is_short_and_says_what_it_needs(void **state)
{
    struct buffer b = BUFFER_INIT;

    (void)state;
    put_frame(&b, FRAME_MESSAGE, "payload");
    for (size_t size = 0; size < b.size; size++) {
        struct frame frame;
        size_t used, need = 0;

        assert_int_equal(frame_decode(slice_of(b.data, size), &frame, &used, &need), FRAME_SHORT);
        assert_int_equal(need, size < FRAME_HEADER_BYTES ? FRAME_HEADER_BYTES : b.size);
    }
    buffer_release(&b);
}

static void every_flipped_bit_is_noticed(void **state)
{
    struct buffer b = BUFFER_INIT;

    (void)state;
    put_frame(&b, FRAME_MESSAGE, "payload");
    for (size_t bit = 0; bit < 8 * b.size; bit++) {
        b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(judge(buffer_slice(&b)), FRAME_GOOD);
        b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    buffer_release(&b);
}

static void an_oversized_frame_is_bad_before_it_arrives(void **state)
{
    uint8_t header[FRAME_HEADER_BYTES] = { 0 };
    static const uint32_t lengths[] = { FRAME_BYTES_MAX + 1, INT32_MAX, UINT32_MAX };
    struct slice input = slice_of(header, sizeof header);

    (void)state;
    header[TYPE_OFFSET] = FRAME_MESSAGE;
    put_be32(header, FRAME_BYTES_MAX);
    assert_int_equal(judge(input), FRAME_SHORT);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        put_be32(header, lengths[i]);
        assert_int_equal(judge(input), FRAME_BAD);
    }
}

/* Whoever has not said who it is cannot make us wait for megabytes. */
static void a_hello_is_small(void **state)
{
    uint8_t header[FRAME_HEADER_BYTES] = { 0 };
    struct slice input = slice_of(header, sizeof header);

    (void)state;
    for (uint8_t type = FRAME_HELLO; type <= FRAME_HELLO_REFUSED; type++) {
        header[TYPE_OFFSET] = type;
        put_be32(header, HELLO_BYTES_MAX);
        assert_int_equal(judge(input), FRAME_SHORT);
        put_be32(header, HELLO_BYTES_MAX + 1);
        assert_int_equal(judge(input), FRAME_BAD);
    }
}

static void unknown_types_and_flags_are_bad(void **state)
{
    (void)state;
    for (unsigned value = 0; value < 256; value++) {
        bool is_type = value >= FRAME_HELLO && value <= FRAME_DIGEST;
        struct buffer b = BUFFER_INIT;

        put_frame(&b, FRAME_FORWARD, "payload");
        b.data[TYPE_OFFSET] = (uint8_t)value;
        seal(&b, 7);
        assert_int_equal(judge(buffer_slice(&b)), is_type ? FRAME_GOOD : FRAME_BAD);
        b.data[TYPE_OFFSET] = FRAME_FORWARD;
        b.data[FLAGS_OFFSET] = (uint8_t)value;
        seal(&b, 7);
        assert_int_equal(judge(buffer_slice(&b)), value == 0 ? FRAME_GOOD : FRAME_BAD);
        buffer_release(&b);
    }
}

static void a_head_belongs_to_frames_with_entries(void **state)
{
    struct buffer b = BUFFER_INIT;

    (void)state;
    put_frame(&b, FRAME_MESSAGE, "payload");
    for (unsigned head = 0; head < 20; head++) {
        b.data[HEAD_OFFSET + 1] = (uint8_t)head;
        b.data[FLAGS_OFFSET] = 0;
        seal(&b, 7);
        assert_int_equal(judge(buffer_slice(&b)), head == 0 ? FRAME_GOOD : FRAME_BAD);
        b.data[FLAGS_OFFSET] = FRAME_ENTRIES;
        seal(&b, head > 7 ? 7 : head);
        assert_int_equal(judge(buffer_slice(&b)), head > 0 && head < 7 ? FRAME_GOOD : FRAME_BAD);
    }
    buffer_release(&b);
}

static void a_tail_is_covered_without_being_copied(void **state)
{
    struct buffer b = BUFFER_INIT, whole = BUFFER_INIT;
    size_t start;

    (void)state;
    put_frame(&whole, FRAME_MESSAGE, "head and tail");
    buffer_put(&b, "before", 6);
    start = frame_begin(&b, FRAME_MESSAGE);
    buffer_put(&b, "head", 4);
    frame_end_with_tail(&b, start, slice_of_text(" and tail"));
    assert_int_equal(b.size, 6 + FRAME_HEADER_BYTES + 4);
    buffer_put(&b, " and tail", 9);
    buffer_consume(&b, 6);
    assert_true(slice_equal(buffer_slice(&b), buffer_slice(&whole)));
    buffer_release(&b);
    buffer_release(&whole);
}

static void entries_are_left_to_their_own_crc(void **state)
{
    struct buffer b = BUFFER_INIT;
    struct frame frame;
    size_t used, need;
    size_t start = frame_begin(&b, FRAME_MESSAGE);

    (void)state;
    buffer_put(&b, "head", 4);
    frame_end_with_entries(&b, start, 7);
    buffer_put(&b, "entries", 7);
    assert_int_equal(frame_decode(buffer_slice(&b), &frame, &used, &need), FRAME_GOOD);
    assert_int_equal(frame.flags, FRAME_ENTRIES);
    assert_true(slice_equal(frame.payload, slice_of_text("headentries")));
    assert_int_equal(used, b.size);
    for (size_t i = 0; i < b.size; i++) {
        b.data[i] ^= 1;
        assert_int_equal(judge(buffer_slice(&b)) == FRAME_GOOD, i >= FRAME_HEADER_BYTES + 4);
        b.data[i] ^= 1;
    }
    buffer_release(&b);
}

static void a_heartbeat_has_no_entries_and_is_covered_whole(void **state)
{
    struct buffer b = BUFFER_INIT, plain = BUFFER_INIT;
    size_t start = frame_begin(&b, FRAME_MESSAGE);

    (void)state;
    buffer_put(&b, "head", 4);
    frame_end_with_entries(&b, start, 0);
    put_frame(&plain, FRAME_MESSAGE, "head");
    assert_true(slice_equal(buffer_slice(&b), buffer_slice(&plain)));
    buffer_release(&b);
    buffer_release(&plain);
}

static void the_largest_frame_is_good(void **state)
{
    uint8_t *payload = heap_zalloc(FRAME_BYTES_MAX);
    struct buffer b = BUFFER_INIT;
    size_t start = frame_begin(&b, FRAME_MESSAGE);

    (void)state;
    buffer_put(&b, payload, FRAME_BYTES_MAX);
    frame_end(&b, start);
    assert_int_equal(judge(buffer_slice(&b)), FRAME_GOOD);
    buffer_release(&b);
    heap_free(payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_follow_each_other),
        cmocka_unit_test(a_cut_frame_is_short_and_says_what_it_needs),
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(an_oversized_frame_is_bad_before_it_arrives),
        cmocka_unit_test(a_hello_is_small),
        cmocka_unit_test(unknown_types_and_flags_are_bad),
        cmocka_unit_test(a_head_belongs_to_frames_with_entries),
        cmocka_unit_test(a_tail_is_covered_without_being_copied),
        cmocka_unit_test(entries_are_left_to_their_own_crc),
        cmocka_unit_test(a_heartbeat_has_no_entries_and_is_covered_whole),
        cmocka_unit_test(the_largest_frame_is_good),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
