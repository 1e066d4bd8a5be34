/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the module whose format we keep gets wrong when it decodes, and ours must not
 * [DESIGN 4, list of mistakes: 1, 2, 9, 10].
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>

#include "base/heap.h"
#include "model/command.h"
#include "model/entry.h"

#define T(text) slice_of_text(text)
#define FIELD_COUNT_OFFSET 4 /* its last byte, behind the tag */

static void mistake_1_the_field_count_is_read_and_checked(void **state)
{
    static const uint8_t counts[] = { 4, 2, 1 };

    (void)state;
    for (unsigned tag = COMMAND_REF_UPDATE; tag <= COMMAND_REMOVE_REPO; tag++) {
        struct buffer b = BUFFER_INIT;
        struct command c;

        buffer_put_u8(&b, (uint8_t)tag);
        buffer_put_u32(&b, counts[tag]);
        for (unsigned i = 0; i < counts[tag]; i++) {
            buffer_put_string(&b, T("field"));
        }
        assert_int_equal(command_decode(buffer_slice(&b), &c), RK_OK);
        assert_int_equal(c.tag, tag);
        for (unsigned count = 0; count < 256; count++) {
            b.data[FIELD_COUNT_OFFSET] = (uint8_t)count;
            assert_int_equal(command_decode(buffer_slice(&b), &c),
                             count == counts[tag] ? RK_OK : RK_PROTOCOL);
        }
        buffer_release(&b);
    }
}

static void mistake_1_trailing_bytes_are_refused(void **state)
{
    struct buffer b = BUFFER_INIT;
    struct command c;

    (void)state;
    command_encode_remove_repo(&b, T("a"));
    assert_int_equal(command_decode(buffer_slice(&b), &c), RK_OK);
    buffer_put_u8(&b, 0);
    assert_int_equal(command_decode(buffer_slice(&b), &c), RK_PROTOCOL);
    buffer_release(&b);
}

static void mistake_2_what_cannot_be_decoded_is_no_command(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        enum rk_status expected;
    } rows[] = {
        { "", 0, RK_PROTOCOL },
        { "\0", 1, RK_PROTOCOL },
        { "\2\0\0\0\1\0\0\0\5a", 10, RK_PROTOCOL }, /* its string is cut */
        { "\4", 1, RK_UNSUPPORTED },
        { "\x0f", 1, RK_UNSUPPORTED },
        { "\xff\xff\xff\xff", 4, RK_UNSUPPORTED },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct command c = { .tag = COMMAND_NOOP };

        assert_int_equal(command_decode(slice_of(rows[i].bytes, rows[i].size), &c),
                         rows[i].expected);
        assert_int_equal(c.tag, COMMAND_NOOP); /* nothing was written */
    }
}

static void mistake_9_a_corrupt_count_costs_nothing(void **state)
{
    struct buffer b = BUFFER_INIT;
    struct command c;

    (void)state;
    for (uint32_t count = 1; count != 0; count <<= 1) {
        buffer_clear(&b);
        buffer_put_u8(&b, COMMAND_SET_PRIMARY);
        buffer_put_string(&b, T("s1"));
        buffer_put_u32(&b, count);
        assert_int_equal(command_decode(buffer_slice(&b), &c),
                         count > BATCH_ITEMS_MAX ? RK_TOOLARGE : RK_PROTOCOL);
    }
    buffer_clear(&b);
    buffer_put_u8(&b, COMMAND_REMOVE_REPO);
    buffer_put_u32(&b, 1);
    buffer_put_u32(&b, UINT32_MAX); /* length of a string that is not there */
    assert_int_equal(command_decode(buffer_slice(&b), &c), RK_PROTOCOL);
    buffer_release(&b);
}

static void mistake_9_text_is_kept_byte_for_byte(void **state)
{
    static const char name[] = "refs/heads/\xff\xfe\xc3\x28\0x";
    struct slice refname = slice_of(name, sizeof name - 1);
    struct buffer b = BUFFER_INIT, again = BUFFER_INIT;
    struct command c;

    (void)state;
    command_encode_ref_update(&b, T("\x80"), refname, T(""), T("\xf5"));
    assert_int_equal(command_decode(buffer_slice(&b), &c), RK_OK);
    assert_true(slice_equal(c.u.ref_update.refname, refname));
    command_encode_ref_update(&again, c.u.ref_update.path, c.u.ref_update.refname,
                              c.u.ref_update.old_value, c.u.ref_update.new_value);
    assert_true(slice_equal(buffer_slice(&again), buffer_slice(&b)));
    buffer_release(&b);
    buffer_release(&again);
}

static enum rk_status decode_remove_of(size_t command_bytes)
{
    size_t path_bytes = command_bytes - 9;
    uint8_t *path = heap_zalloc(path_bytes);
    struct buffer b = BUFFER_INIT;
    struct command c;
    enum rk_status status;

    command_encode_remove_repo(&b, slice_of(path, path_bytes));
    assert_int_equal(b.size, command_bytes);
    status = command_decode(buffer_slice(&b), &c);
    buffer_release(&b);
    heap_free(path);
    return status;
}

static void mistake_10_a_command_over_1_mib_is_refused_before_it_is_written(void **state)
{
    (void)state;
    assert_int_equal(decode_remove_of(SEED_COMMAND_BYTES_MAX), RK_OK);
    assert_int_equal(decode_remove_of(SEED_COMMAND_BYTES_MAX + 1), RK_TOOLARGE);
    assert_int_equal(decode_remove_of(COMMAND_BYTES_MAX), RK_TOOLARGE);
    assert_int_equal(decode_remove_of(COMMAND_BYTES_MAX + 1), RK_TOOLARGE);
}

static void mistake_10_an_envelope_does_not_lift_the_limit(void **state)
{
    uint8_t *path = heap_zalloc(SEED_COMMAND_BYTES_MAX);
    struct envelope e = { .flags = 0 };
    struct buffer inner = BUFFER_INIT, b = BUFFER_INIT;
    struct command c;

    (void)state;
    command_encode_remove_repo(&inner, slice_of(path, SEED_COMMAND_BYTES_MAX));
    command_encode_envelope(&b, &e, buffer_slice(&inner));
    assert_int_equal(command_decode(buffer_slice(&b), &c), RK_TOOLARGE);
    buffer_release(&inner);
    buffer_release(&b);
    heap_free(path);
}

static void mistake_10_any_other_command_may_have_8_mib(void **state)
{
    uint8_t *path = heap_zalloc(COMMAND_BYTES_MAX);
    struct command c = { .tag = COMMAND_REMOVE_STORAGE };
    struct buffer b = BUFFER_INIT;

    (void)state;
    c.u.remove_storage.name = slice_of(path, COMMAND_BYTES_MAX - 5);
    command_encode_plain(&b, &c);
    assert_int_equal(b.size, COMMAND_BYTES_MAX);
    assert_int_equal(command_decode(buffer_slice(&b), &c), RK_OK);
    buffer_clear(&b);
    c.u.remove_storage.name = slice_of(path, COMMAND_BYTES_MAX - 4);
    command_encode_plain(&b, &c);
    assert_int_equal(command_decode(buffer_slice(&b), &c), RK_TOOLARGE);
    buffer_release(&b);
    heap_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistake_1_the_field_count_is_read_and_checked),
        cmocka_unit_test(mistake_1_trailing_bytes_are_refused),
        cmocka_unit_test(mistake_2_what_cannot_be_decoded_is_no_command),
        cmocka_unit_test(mistake_9_a_corrupt_count_costs_nothing),
        cmocka_unit_test(mistake_9_text_is_kept_byte_for_byte),
        cmocka_unit_test(mistake_10_a_command_over_1_mib_is_refused_before_it_is_written),
        cmocka_unit_test(mistake_10_an_envelope_does_not_lift_the_limit),
        cmocka_unit_test(mistake_10_any_other_command_may_have_8_mib),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
