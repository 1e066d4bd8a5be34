/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <ctype.h>
#include <string.h>

#include "base/status.h"

static void every_status_has_a_word_of_capitals(void **state)
{
    (void)state;
    for (int i = 0; i < RK_STATUS_COUNT; i++) {
        const char *word = rk_status_word((enum rk_status)i);

        assert_true(strlen(word) >= 2 && strlen(word) <= 31);
        for (const char *c = word; *c != '\0'; c++) {
            assert_true(isupper((unsigned char)*c));
        }
    }
}

static void every_status_has_a_line_for_people(void **state)
{
    (void)state;
    for (int i = 0; i < RK_STATUS_COUNT; i++) {
        const char *text = rk_status_text((enum rk_status)i);

        assert_true(strlen(text) > 0);
        assert_false(isupper((unsigned char)text[0]));
        assert_int_not_equal(text[strlen(text) - 1], '.');
        assert_null(strchr(text, '\n'));
    }
}

/* STOPPED and NOMEM share words with NOLEADER and OVERLOADED: clients need no more. */
static void a_word_leads_back_to_its_first_status(void **state)
{
    (void)state;
    for (int i = 0; i < RK_STATUS_COUNT; i++) {
        const char *word = rk_status_word((enum rk_status)i);
        enum rk_status found = rk_status_from_word(word, strlen(word));

        assert_true((int)found <= i);
        assert_string_equal(rk_status_word(found), word);
        assert_int_equal(rk_status_reaction(found), rk_status_reaction((enum rk_status)i));
    }
    assert_int_equal(rk_status_from_word("NOLEADER", 8), RK_NOLEADER);
    assert_int_equal(rk_status_from_word("OK", 2), RK_OK);
}

static void other_words_are_nobodys(void **state)
{
    (void)state;
    assert_int_equal(rk_status_from_word("", 0), RK_STATUS_COUNT);
    assert_int_equal(rk_status_from_word("ok", 2), RK_STATUS_COUNT);
    assert_int_equal(rk_status_from_word("NOLEADERS", 9), RK_STATUS_COUNT);
    assert_int_equal(rk_status_from_word("NOLEADER", 7), RK_STATUS_COUNT);
}

/* Stock Redis clients act upon these by themselves [DESIGN 6]. */
static void words_that_redis_clients_act_upon_are_avoided(void **state)
{
    static const char *const words[] = { "READONLY", "BUSY",     "LOADING",     "MOVED",
                                         "ASK",      "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN" };

    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        assert_int_equal(rk_status_from_word(words[i], strlen(words[i])), RK_STATUS_COUNT);
    }
}

static void exit_codes_are_those_of_the_command_line(void **state)
{
    (void)state;
    assert_int_equal(rk_status_exit_code(RK_OK), 0);
    assert_int_equal(rk_status_exit_code(RK_BADARG), 2);
    assert_int_equal(rk_status_exit_code(RK_NOREPO), 3);
    assert_int_equal(rk_status_exit_code(RK_CONFLICT), 4);
    assert_int_equal(rk_status_exit_code(RK_NOLEADER), 5);
    assert_int_equal(rk_status_exit_code(RK_UNKNOWN), 6);
    assert_int_equal(rk_status_exit_code(RK_NOPERM), 7);
    assert_int_equal(rk_status_exit_code(RK_CORRUPT), 8);
    for (int i = 0; i < RK_STATUS_COUNT; i++) {
        assert_in_range(rk_status_exit_code((enum rk_status)i), i == RK_OK ? 0 : 1, 8);
        assert_in_range(rk_status_http((enum rk_status)i), i == RK_OK ? 200 : 400, 507);
    }
}

/* A retry of what may have been executed is only for those who can prove it is a retry. */
static void only_an_unknown_outcome_is_asked_for_first(void **state)
{
    (void)state;
    for (int i = 0; i < RK_STATUS_COUNT; i++) {
        assert_int_equal(rk_status_reaction((enum rk_status)i) == RK_ASK_FIRST, i == RK_UNKNOWN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_word_of_capitals),
        cmocka_unit_test(every_status_has_a_line_for_people),
        cmocka_unit_test(a_word_leads_back_to_its_first_status),
        cmocka_unit_test(other_words_are_nobodys),
        cmocka_unit_test(words_that_redis_clients_act_upon_are_avoided),
        cmocka_unit_test(exit_codes_are_those_of_the_command_line),
        cmocka_unit_test(only_an_unknown_outcome_is_asked_for_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
