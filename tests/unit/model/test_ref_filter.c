/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns and rules of the tracked-ref filter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <string.h>

#include "model/ref_filter.h"

#define T(text) slice_of_text(text)
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void a_pattern_has_the_shape_of_a_name_and_one_star_per_component(void **state)
{
    static const struct {
        const char *pattern;
        bool is_valid;
    } rows[] = {
        { "refs/", true },
        { "refs/*", true },
        { "refs/changes/*/*/meta", true },
        { "refs/heads/release-*-rc", true },
        { "refs/heads/", true },
        { "", false },
        { "refs", false },
        { "heads/", false },
        { "refs//x", false },
        { "refs/heads//", false },
        { "refs/heads/**", false },
        { "refs/heads/a*b*c", false },
        { "refs/heads/a b", false },
        { "refs/heads/\x7f", false },
        { "refs/heads/\n", false },
    };
    char longest[FILTER_PATTERN_BYTES_MAX + 1];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (ref_pattern_is_valid(T(rows[i].pattern)) != rows[i].is_valid) {
            fail_msg("\"%s\"", rows[i].pattern);
        }
    }
    memset(longest, 'a', sizeof longest);
    memcpy(longest, "refs/", 5);
    assert_true(ref_pattern_is_valid(slice_of(longest, FILTER_PATTERN_BYTES_MAX)));
    assert_false(ref_pattern_is_valid(slice_of(longest, sizeof longest)));
}

static void a_pattern_fits_whole_names(void **state)
{
    static const struct {
        const char *pattern, *name;
        bool fits;
    } rows[] = {
        { "refs/heads/main", "refs/heads/main", true },
        { "refs/heads/main", "refs/heads/main2", false },
        { "refs/heads/main", "refs/heads/mai", false },
        { "refs/heads/main", "refs/heads/main/x", false },
        { "refs/heads", "refs/heads/main", false },
        { "refs/heads/", "refs/heads/main", true },
        { "refs/heads/", "refs/heads/a/b", true },
        { "refs/heads/", "refs/heads", false },
        { "refs/heads/", "refs/headsx/a", false },
        { "refs/*", "refs/stash", true },
        { "refs/*", "refs/heads/main", false },
        { "refs/*/", "refs/heads/main", true },
        { "refs/heads/v*", "refs/heads/v", true },
        { "refs/heads/v*", "refs/heads/v1.2", true },
        { "refs/heads/v*", "refs/heads/w1", false },
        { "refs/heads/*-rc", "refs/heads/1-rc", true },
        { "refs/heads/*-rc", "refs/heads/1-rc2", false },
        { "refs/heads/ab*bc", "refs/heads/abc", false },
        { "refs/heads/ab*bc", "refs/heads/abbc", true },
        { "refs/changes/*/*/meta", "refs/changes/01/101/meta", true },
        { "refs/changes/*/*/meta", "refs/changes/01/101/1", false },
        { "refs/changes/*/*/meta", "refs/changes/01/meta", false },
        { "refs/changes/*/*/meta", "refs/changes/01/101/meta/x", false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (ref_pattern_fits(T(rows[i].pattern), T(rows[i].name)) != rows[i].fits) {
            fail_msg("\"%s\" and \"%s\"", rows[i].pattern, rows[i].name);
        }
    }
}

static void the_first_rule_that_fits_decides(void **state)
{
    const struct ref_rule metas = { true, T("refs/changes/*/*/meta") };
    const struct ref_rule changes = { false, T("refs/changes/") };
    const struct ref_rule kept = { false, T("refs/keep-around/") };
    struct buffer b = BUFFER_INIT;
    struct slice rules;

    (void)state;
    assert_true(ref_filter_tracks(SLICE_NONE, T("refs/changes/01/101/1")));
    ref_filter_put(&b, &metas);
    ref_filter_put(&b, &changes);
    ref_filter_put(&b, &kept);
    rules = buffer_slice(&b);
    assert_true(ref_filter_tracks(rules, T("refs/heads/main")));
    assert_true(ref_filter_tracks(rules, T("refs/changes/01/101/meta")));
    assert_false(ref_filter_tracks(rules, T("refs/changes/01/101/1")));
    assert_false(ref_filter_tracks(rules, T("refs/keep-around/0123")));
    buffer_release(&b);
}

static void bytes_that_are_no_rule_end_the_walk(void **state)
{
    const struct ref_rule rule = { false, T("refs/changes/") };
    struct buffer b = BUFFER_INIT;
    struct ref_rule back;
    struct slice rest;

    (void)state;
    ref_filter_put(&b, &rule);
    for (size_t size = 0; size < b.size; size++) {
        rest = slice_of(b.data, size);
        assert_false(ref_filter_next(&rest, &back));
    }
    rest = buffer_slice(&b);
    assert_true(ref_filter_next(&rest, &back));
    assert_int_equal(rest.size, 0);
    assert_false(back.is_tracked);
    assert_true(slice_equal(back.pattern, rule.pattern));
    b.data[0] = 2;
    rest = buffer_slice(&b);
    assert_false(ref_filter_next(&rest, &back));
    buffer_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pattern_has_the_shape_of_a_name_and_one_star_per_component),
        cmocka_unit_test(a_pattern_fits_whole_names),
        cmocka_unit_test(the_first_rule_that_fits_decides),
        cmocka_unit_test(bytes_that_are_no_rule_end_the_walk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
