/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of names, one by one; test_refname_git.c asks git itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <stdio.h>

#include "model/refname.h"

static void expect(bool (*is_valid)(struct slice), const char *name, bool expected)
{
    if (is_valid(slice_of_text(name)) != expected) {
        fail_msg("\"%s\" should be %s", name, expected ? "valid" : "refused");
    }
}

static void expect_all(bool (*is_valid)(struct slice), const char *const *names, bool expected)
{
    for (; *names != NULL; names++) {
        expect(is_valid, *names, expected);
    }
}

static void ordinary_refnames_are_valid(void **state)
{
    static const char *const names[] = {
        "refs/heads/main", "refs/heads/a/b/c", "refs/tags/v1.0",     "refs/x",
        "refs/heads/@",    "refs/heads/-",     "refs/heads/a@",      "refs/heads/{a}",
        "refs/@/@",        "refs/heads/a.b.c", "refs/heads/lock",    "refs/heads/a.lockb",
        "refs/heads/a!b",  "refs/heads/a'b",   "refs/heads/\"#$%&+", "refs/heads/@/{x",
        "refs/refs",       "refs/heads/HEAD",  "refs/heads/a.LOCK",  NULL,
    };

    (void)state;
    expect_all(refname_is_valid, names, true);
}

static void bytes_from_0x80_are_not_interpreted(void **state)
{
    (void)state;
    for (int c = 0x80; c <= 0xff; c++) {
        char name[] = "refs/heads/xyz";

        name[12] = (char)c;
        expect(refname_is_valid, name, true);
    }
}

static void a_refname_starts_with_refs_and_goes_on(void **state)
{
    static const char *const names[] = {
        "",           "refs",       "refs/", "HEAD",        "heads/main", "/refs/heads/x",
        "Refs/heads", "refs\\x",    "ref/x", "refsx/heads", "@",          "refs//",
        " refs/x",    "REFS/heads", NULL,
    };

    (void)state;
    expect_all(refname_is_valid, names, false);
}

static void a_component_is_never_empty(void **state)
{
    static const char *const names[] = { "refs//x", "refs/heads//x", "refs/heads/", "refs/heads/x/",
                                         NULL };

    (void)state;
    expect_all(refname_is_valid, names, false);
}

static void a_component_does_not_start_with_a_dot(void **state)
{
    static const char *const names[] = { "refs/.x", "refs/heads/.x/y", "refs/heads/.", NULL };

    (void)state;
    expect_all(refname_is_valid, names, false);
}

static void a_component_does_not_end_with_lock(void **state)
{
    static const char *const names[] = {
        "refs/x.lock",      "refs/heads/x.lock",      "refs/heads/x.lock/y",
        "refs/heads/.lock", "refs/heads/x.lock.lock", NULL
    };

    (void)state;
    expect_all(refname_is_valid, names, false);
}

static void dots_do_not_follow_each_other_or_end_the_name(void **state)
{
    static const char *const names[] = { "refs/heads/a..b", "refs/heads/a..", "refs/heads/a.",
                                         "refs/heads/a...b", NULL };

    (void)state;
    expect_all(refname_is_valid, names, false);
    expect(refname_is_valid, "refs/heads/a./b", true); /* git allows it */
}

static void at_brace_is_revision_syntax(void **state)
{
    (void)state;
    expect(refname_is_valid, "refs/heads/a@{b", false);
    expect(refname_is_valid, "refs/heads/@{", false);
    expect(refname_is_valid, "refs/heads/a@b{", true);
}

static void bytes_of_revision_syntax_and_controls_are_refused(void **state)
{
    (void)state;
    for (int c = 0; c < 0x80; c++) {
        char name[] = "refs/heads/xyz";
        bool is_bad = c < 0x20 || c == 0x7f || (c != 0 && strchr(" ~^:?*[\\", c) != NULL);

        name[12] = (char)c;
        if (refname_is_valid(slice_of(name, 14)) == is_bad) {
            fail_msg("byte 0x%02x", (unsigned)c);
        }
    }
}

static void a_refname_has_at_most_1024_bytes(void **state)
{
    char name[REFNAME_BYTES_MAX + 2];

    (void)state;
    memset(name, 'x', sizeof name);
    for (size_t i = 4; i < sizeof name; i += 200) {
        name[i] = '/';
    }
    memcpy(name, "refs", 4);
    assert_true(refname_is_valid(slice_of(name, REFNAME_BYTES_MAX)));
    assert_false(refname_is_valid(slice_of(name, REFNAME_BYTES_MAX + 1)));
}

static void paths_are_canonical(void **state)
{
    static const char *const good[] = { "a",   "a/b.git",    "group/sub group/x.git",
                                        "...", "a/.b",       "a./b",
                                        "-",   "\xc3\xa4/b", "a:b",
                                        NULL };
    static const char *const bad[] = { "",       "/",   "/a",   "a/",   "a//b",  ".",  "..", "a/.",
                                       "a/../b", "./a", "../a", "a\nb", "a\x7f", "\t", NULL };

    (void)state;
    expect_all(repository_path_is_valid, good, true);
    expect_all(repository_path_is_valid, bad, false);
    assert_false(repository_path_is_valid(slice_of("a\0b", 3)));
}

static void a_path_has_at_most_1024_bytes(void **state)
{
    char path[PATH_BYTES_MAX + 1];

    (void)state;
    memset(path, 'x', sizeof path);
    assert_true(repository_path_is_valid(slice_of(path, PATH_BYTES_MAX)));
    assert_false(repository_path_is_valid(slice_of(path, PATH_BYTES_MAX + 1)));
    assert_false(repository_path_is_valid(SLICE_NONE));
}

static void storage_names_are_plain_words(void **state)
{
    static const char *const good[] = { "s1", "git-01.example.com", "A_b", ".", "_", "0", NULL };
    static const char *const bad[] = {
        "", "-s1", "a b", "a/b", "a:1", "\xc3\xa4", "a\n", "a,", NULL
    };
    char name[STORAGE_NAME_BYTES_MAX + 1];

    (void)state;
    expect_all(storage_name_is_valid, good, true);
    expect_all(storage_name_is_valid, bad, false);
    memset(name, 'x', sizeof name);
    assert_true(storage_name_is_valid(slice_of(name, STORAGE_NAME_BYTES_MAX)));
    assert_false(storage_name_is_valid(slice_of(name, STORAGE_NAME_BYTES_MAX + 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_refnames_are_valid),
        cmocka_unit_test(bytes_from_0x80_are_not_interpreted),
        cmocka_unit_test(a_refname_starts_with_refs_and_goes_on),
        cmocka_unit_test(a_component_is_never_empty),
        cmocka_unit_test(a_component_does_not_start_with_a_dot),
        cmocka_unit_test(a_component_does_not_end_with_lock),
        cmocka_unit_test(dots_do_not_follow_each_other_or_end_the_name),
        cmocka_unit_test(at_brace_is_revision_syntax),
        cmocka_unit_test(bytes_of_revision_syntax_and_controls_are_refused),
        cmocka_unit_test(a_refname_has_at_most_1024_bytes),
        cmocka_unit_test(paths_are_canonical),
        cmocka_unit_test(a_path_has_at_most_1024_bytes),
        cmocka_unit_test(storage_names_are_plain_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
