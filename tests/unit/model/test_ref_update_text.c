/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a ref update: empty, zeros, hex. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>

#include "model/command.h"

#define A40 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B40 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define A64 A40 "aaaaaaaaaaaaaaaaaaaaaaaa"
#define Z40 "0000000000000000000000000000000000000000"
#define Z64 Z40 "000000000000000000000000"

static void text_means_what_git_means(void **state)
{
    static const struct {
        const char *name, *old_text, *new_text;
        enum rk_status status;
        enum old_value old_value;
        bool is_delete;
    } rows[] = {
        { "refs/x", "", B40, RK_OK, OLD_ANY, false },
        { "refs/x", Z40, B40, RK_OK, OLD_ABSENT, false },
        { "refs/x", Z64, A64, RK_OK, OLD_ABSENT, false },
        { "refs/x", A40, B40, RK_OK, OLD_OID, false },
        { "refs/x", A64, A64, RK_OK, OLD_OID, false },
        { "refs/x", A40, Z40, RK_OK, OLD_OID, true },
        { "refs/x", "", Z64, RK_OK, OLD_ANY, true },
        { "refs/x", Z40, Z40, RK_OK, OLD_ABSENT, true },
        { "refs/x", A40, "", RK_BADOID, OLD_ANY, false },
        { "refs/x", "", "", RK_BADOID, OLD_ANY, false },
        { "refs/x", "0", B40, RK_BADOID, OLD_ANY, false },
        { "refs/x", "0000", B40, RK_BADOID, OLD_ANY, false },
        { "refs/x", Z40 "0", B40, RK_BADOID, OLD_ANY, false },
        { "refs/x", A40, B40 "b", RK_BADOID, OLD_ANY, false },
        { "refs/x", " " A40, B40, RK_BADOID, OLD_ANY, false },
        { "refs/x", "ref: refs/heads/main", B40, RK_BADOID, OLD_ANY, false },
        { "HEAD", A40, B40, RK_BADREF, OLD_ANY, false },
        { "refs/", A40, B40, RK_BADREF, OLD_ANY, false },
        { "refs/a..b", "xyz", "xyz", RK_BADREF, OLD_ANY, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ref_update u;
        enum rk_status status = ref_update_from_text(slice_of_text(rows[i].name),
                                                     slice_of_text(rows[i].old_text),
                                                     slice_of_text(rows[i].new_text), &u);

        assert_int_equal(status, rows[i].status);
        if (status == RK_OK) {
            assert_true(slice_equal(u.refname, slice_of_text(rows[i].name)));
            assert_int_equal(u.old_value, rows[i].old_value);
            assert_int_equal(u.is_delete, rows[i].is_delete);
        }
    }
}

static void text_and_binary_meet(void **state)
{
    struct envelope e = { .flags = 0 };
    struct ref_update u, back;
    struct buffer b = BUFFER_INIT;
    struct command c;
    struct slice rest;

    (void)state;
    assert_int_equal(ref_update_from_text(slice_of_text("refs/heads/x"), slice_of_text(A40),
                                          slice_of_text(A64), &u),
                     RK_OK);
    command_encode_ref_envelope(&b, &e, slice_of_text("p"), &u, 1);
    assert_int_equal(command_decode(buffer_slice(&b), &c), RK_OK);
    rest = c.u.envelope.items;
    assert_true(command_next_update(&rest, &back));
    assert_true(oid_equal(&back.old_oid, &u.old_oid));
    assert_true(oid_equal(&back.new_oid, &u.new_oid));
    buffer_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_means_what_git_means),
        cmocka_unit_test(text_and_binary_meet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
