/* SPDX-License-Identifier: Apache-2.0 */
/* The language of git update-ref --stdin, row by row as git-update-ref(1) and git have it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cli/ref_script.h"

#define A "1111111111111111111111111111111111111111"
#define B "2222222222222222222222222222222222222222"
#define Z "0000000000000000000000000000000000000000"
#define A64 "1111111111111111111111111111111111111111111111111111111111111111"
#define Z64 "0000000000000000000000000000000000000000000000000000000000000000"

#define BYTES(text) text, sizeof(text) - 1

enum { MISSING = SCRIPT_OID_MISSING, ZERO = SCRIPT_OID_ZERO, GIVEN = SCRIPT_OID_GIVEN };

struct row {
    const char *input;
    size_t size;
    bool is_nul;
    enum rk_status status; /* of the first command */
    enum ref_command_kind kind;
    const char *ref;
    int has_new, has_old;
};

static const struct row rows[] = {
    /* plain */
    { BYTES("update refs/heads/x " A "\n"), false, RK_OK, REF_COMMAND_UPDATE, "refs/heads/x", GIVEN,
      MISSING },
    { BYTES("update refs/heads/x " A " " B "\n"), false, RK_OK, REF_COMMAND_UPDATE, "refs/heads/x",
      GIVEN, GIVEN },
    { BYTES("update refs/heads/x " A " " Z), false, RK_OK, REF_COMMAND_UPDATE, "refs/heads/x",
      GIVEN, ZERO },
    { BYTES("update refs/heads/x " A " \"\"\n"), false, RK_OK, REF_COMMAND_UPDATE, "refs/heads/x",
      GIVEN, ZERO },
    { BYTES("update refs/heads/x " Z " " A "\n"), false, RK_OK, REF_COMMAND_UPDATE, "refs/heads/x",
      ZERO, GIVEN },
    { BYTES("update \"refs/heads/\\303\\244\\t\" " A "\n"), false, RK_OK, REF_COMMAND_UPDATE,
      "refs/heads/\303\244\t", GIVEN, MISSING },
    { BYTES("update refs/heads/x " A64 " " Z64 "\n"), false, RK_OK, REF_COMMAND_UPDATE,
      "refs/heads/x", GIVEN, ZERO },
    { BYTES("create refs/heads/x " A "\n"), false, RK_OK, REF_COMMAND_CREATE, "refs/heads/x", GIVEN,
      MISSING },
    { BYTES("delete refs/heads/x\n"), false, RK_OK, REF_COMMAND_DELETE, "refs/heads/x", MISSING,
      MISSING },
    { BYTES("delete refs/heads/x " A "\n"), false, RK_OK, REF_COMMAND_DELETE, "refs/heads/x",
      MISSING, GIVEN },
    { BYTES("verify refs/heads/x\n"), false, RK_OK, REF_COMMAND_VERIFY, "refs/heads/x", MISSING,
      MISSING },
    { BYTES("verify refs/heads/x " Z "\n"), false, RK_OK, REF_COMMAND_VERIFY, "refs/heads/x",
      MISSING, ZERO },
    { BYTES("option no-deref\n"), false, RK_OK, REF_COMMAND_OPTION, NULL, MISSING, MISSING },
    { BYTES("start\n"), false, RK_OK, REF_COMMAND_START, NULL, MISSING, MISSING },
    { BYTES("prepare\n"), false, RK_OK, REF_COMMAND_PREPARE, NULL, MISSING, MISSING },
    { BYTES("commit\n"), false, RK_OK, REF_COMMAND_COMMIT, NULL, MISSING, MISSING },
    { BYTES("abort\n"), false, RK_OK, REF_COMMAND_ABORT, NULL, MISSING, MISSING },
    { BYTES(""), false, RK_OK, REF_COMMAND_END, NULL, MISSING, MISSING },
    /* plain, refused */
    { BYTES("update refs/heads/x\n"), false, RK_BADARG, 0, NULL, 0, 0 },
    { BYTES("update refs/heads/x " A " " B " x\n"), false, RK_BADARG, 0, NULL, 0, 0 },
    { BYTES("update refs/heads/x zz\n"), false, RK_BADOID, 0, NULL, 0, 0 },
    { BYTES("update\n"), false, RK_BADARG, 0, NULL, 0, 0 },
    { BYTES("update \n"), false, RK_BADARG, 0, NULL, 0, 0 },
    { BYTES("update \"refs/heads/x " A "\n"), false, RK_BADARG, 0, NULL, 0, 0 },
    { BYTES("update \"refs/heads/\\x\" " A "\n"), false, RK_BADARG, 0, NULL, 0, 0 },
    { BYTES("create refs/heads/x\n"), false, RK_BADARG, 0, NULL, 0, 0 },
    { BYTES("create refs/heads/x " Z "\n"), false, RK_BADARG, 0, NULL, 0, 0 },
    { BYTES("create refs/heads/x " A " " Z "\n"), false, RK_BADARG, 0, NULL, 0, 0 },
    { BYTES("delete refs/heads/x " Z "\n"), false, RK_BADARG, 0, NULL, 0, 0 },
    { BYTES("option nothing\n"), false, RK_BADARG, 0, NULL, 0, 0 },
    { BYTES("start now\n"), false, RK_BADARG, 0, NULL, 0, 0 },
    { BYTES("\n"), false, RK_BADARG, 0, NULL, 0, 0 },
    { BYTES(" update refs/heads/x " A "\n"), false, RK_BADARG, 0, NULL, 0, 0 },
    { BYTES("UPDATE refs/heads/x " A "\n"), false, RK_BADARG, 0, NULL, 0, 0 },
    /* -z */
    { BYTES("update refs/heads/x\0" A "\0" B "\0"), true, RK_OK, REF_COMMAND_UPDATE, "refs/heads/x",
      GIVEN, GIVEN },
    { BYTES("update refs/heads/x\0" A "\0\0"), true, RK_OK, REF_COMMAND_UPDATE, "refs/heads/x",
      GIVEN, MISSING },
    { BYTES("update refs/heads/x\0\0" A "\0"), true, RK_OK, REF_COMMAND_UPDATE, "refs/heads/x",
      ZERO, GIVEN },
    { BYTES("update refs/heads/x y\0" A "\0" Z "\0"), true, RK_OK, REF_COMMAND_UPDATE,
      "refs/heads/x y", GIVEN, ZERO },
    { BYTES("create refs/heads/x\0" A "\0"), true, RK_OK, REF_COMMAND_CREATE, "refs/heads/x", GIVEN,
      MISSING },
    { BYTES("delete refs/heads/x\0\0"), true, RK_OK, REF_COMMAND_DELETE, "refs/heads/x", MISSING,
      MISSING },
    { BYTES("verify refs/heads/x\0" A "\0"), true, RK_OK, REF_COMMAND_VERIFY, "refs/heads/x",
      MISSING, GIVEN },
    { BYTES("start\0"), true, RK_OK, REF_COMMAND_START, NULL, MISSING, MISSING },
    { BYTES("update refs/heads/x\0" A "\0"), true, RK_BADARG, 0, NULL, 0, 0 },
    { BYTES("create refs/heads/x\0\0"), true, RK_BADARG, 0, NULL, 0, 0 },
    { BYTES("delete refs/heads/x\0" Z "\0"), true, RK_BADARG, 0, NULL, 0, 0 },
    { BYTES("update \0" A "\0\0"), true, RK_BADARG, 0, NULL, 0, 0 },
};

static void check_row(const struct row *row)
{
    FILE *input = fmemopen((void *)(uintptr_t)row->input, row->size > 0 ? row->size : 1, "r");
    struct errmsg why = ERRMSG_INIT;
    struct ref_command c;
    struct ref_script s;
    enum rk_status status;

    assert_non_null(input);
    if (row->size == 0) {
        (void)fgetc(input); /* fmemopen has no empty files */
    }
    ref_script_init(&s, input, row->is_nul);
    status = ref_script_next(&s, &c, &why);
    if (status != row->status) {
        fail_msg("%s: %s instead of %s (%s)", row->input, rk_status_word(status),
                 rk_status_word(row->status), why.text);
    }
    if (status != RK_OK) {
        assert_true(why.text[0] != '\0');
    } else {
        assert_int_equal(c.kind, row->kind);
        assert_int_equal(c.has_new, row->has_new);
        assert_int_equal(c.has_old, row->has_old);
        if (row->ref != NULL) {
            assert_string_equal(c.ref, row->ref);
        }
    }
    ref_script_release(&s);
    (void)fclose(input);
}

static void each_command_reads_as_git_reads_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(&rows[i]);
    }
}

static void commands_follow_each_other(void **state)
{
    static const char text[] = "start\nupdate refs/heads/x " A " " B
                               "\ndelete refs/heads/y\ncommit";
    static const enum ref_command_kind kinds[] = { REF_COMMAND_START, REF_COMMAND_UPDATE,
                                                   REF_COMMAND_DELETE, REF_COMMAND_COMMIT,
                                                   REF_COMMAND_END };
    FILE *input = fmemopen((void *)(uintptr_t)text, sizeof text - 1, "r");
    struct ref_script s;
    struct ref_command c;

    (void)state;
    ref_script_init(&s, input, false);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        assert_int_equal(ref_script_next(&s, &c, NULL), RK_OK);
        assert_int_equal(c.kind, kinds[i]);
    }
    ref_script_release(&s);
    (void)fclose(input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_command_reads_as_git_reads_it),
        cmocka_unit_test(commands_follow_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
