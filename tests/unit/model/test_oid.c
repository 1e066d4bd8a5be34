/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>

#include "model/oid.h"

#define HEX40 "0123456789abcdef0123456789abcdef01234567"
#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ZEROS40 "0000000000000000000000000000000000000000"

static void hex_of_both_lengths_comes_back(void **state)
{
    static const char *const texts[] = { HEX40, HEX64, ZEROS40 };
    char hex[OID_HEX_BYTES_MAX + 1];
    struct oid oid;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(oid_parse(slice_of_text(texts[i]), &oid), RK_OK);
        assert_int_equal(oid.size, strlen(texts[i]) / 2);
        oid_format(&oid, hex);
        assert_string_equal(hex, texts[i]);
    }
}

static void capitals_are_accepted_and_folded(void **state)
{
    char hex[OID_HEX_BYTES_MAX + 1];
    struct oid oid;

    (void)state;
    assert_int_equal(oid_parse(slice_of_text("0123456789ABCDEF0123456789abcdEF01234567"), &oid),
                     RK_OK);
    oid_format(&oid, hex);
    assert_string_equal(hex, HEX40);
}

static void other_lengths_are_refused(void **state)
{
    struct oid oid;

    (void)state;
    for (size_t size = 0; size <= 64; size++) {
        enum rk_status expected = size == 40 || size == 64 ? RK_OK : RK_BADOID;

        assert_int_equal(oid_parse(slice_of(HEX64, size), &oid), expected);
    }
    assert_int_equal(oid_parse(slice_of_text(HEX64 HEX64), &oid), RK_BADOID);
}

static void only_hex_digits_are_accepted(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        for (size_t place = 0; place < 40; place += 39) {
            char text[] = HEX40;
            bool is_digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
                            (c >= 'A' && c <= 'F');
            struct oid oid = { .size = 7 };

            text[place] = (char)c;
            assert_int_equal(oid_parse(slice_of(text, 40), &oid), is_digit ? RK_OK : RK_BADOID);
            assert_int_equal(oid.size, is_digit ? 20 : 7);
        }
    }
}

static void null_is_all_zeros_of_either_length(void **state)
{
    struct oid oid;

    (void)state;
    assert_int_equal(oid_parse(slice_of_text(ZEROS40), &oid), RK_OK);
    assert_true(oid_is_null(&oid));
    assert_int_equal(oid_parse(slice_of_text(ZEROS40 "000000000000000000000000"), &oid), RK_OK);
    assert_true(oid_is_null(&oid));
    oid.bytes[31] = 1;
    assert_false(oid_is_null(&oid));
}

static void equality_is_of_length_and_used_bytes(void **state)
{
    struct oid a, b;

    (void)state;
    assert_int_equal(oid_parse(slice_of_text(HEX40), &a), RK_OK);
    b = a;
    b.bytes[20] = 9; /* not part of it */
    assert_true(oid_equal(&a, &b));
    b.bytes[19] ^= 1;
    assert_false(oid_equal(&a, &b));
    assert_int_equal(oid_parse(slice_of_text(HEX64), &b), RK_OK);
    assert_false(oid_equal(&a, &b));
}

static void formats_have_names_and_lengths(void **state)
{
    (void)state;
    assert_string_equal(object_format_name(OBJECT_FORMAT_SHA1), "sha1");
    assert_string_equal(object_format_name(OBJECT_FORMAT_SHA256), "sha256");
    assert_string_equal(object_format_name(OBJECT_FORMAT_UNSET), "unset");
    assert_int_equal(object_format_oid_bytes(OBJECT_FORMAT_SHA1), 20);
    assert_int_equal(object_format_oid_bytes(OBJECT_FORMAT_SHA256), 32);
    assert_int_equal(object_format_oid_bytes(OBJECT_FORMAT_UNSET), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hex_of_both_lengths_comes_back),
        cmocka_unit_test(capitals_are_accepted_and_folded),
        cmocka_unit_test(other_lengths_are_refused),
        cmocka_unit_test(only_hex_digits_are_accepted),
        cmocka_unit_test(null_is_all_zeros_of_either_length),
        cmocka_unit_test(equality_is_of_length_and_used_bytes),
        cmocka_unit_test(formats_have_names_and_lengths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
