/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <string.h>

#include "base/errmsg.h"

static void wrapping_prefixes_outward(void **state)
{
    struct errmsg msg = ERRMSG_INIT;

    (void)state;
    errmsg_set(&msg, "bad crc at offset %d", 8192);
    errmsg_wrap(&msg, "%s", "raft-log.dat");
    errmsg_wrap(&msg, "open log");
    assert_string_equal(msg.text, "open log: raft-log.dat: bad crc at offset 8192");
}

static void setting_overwrites(void **state)
{
    struct errmsg msg = ERRMSG_INIT;

    (void)state;
    errmsg_set(&msg, "a long first text");
    errmsg_set(&msg, "short");
    assert_string_equal(msg.text, "short");
}

static void nobody_needs_to_listen(void **state)
{
    (void)state;
    errmsg_set(NULL, "%d", 1);
    errmsg_wrap(NULL, "%d", 1);
}

static void long_text_is_cut_at_its_end(void **state)
{
    struct errmsg msg = ERRMSG_INIT;
    char text[2 * sizeof msg.text];

    (void)state;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    errmsg_set(&msg, "%s", text);
    assert_int_equal(strlen(msg.text), sizeof msg.text - 1);
    errmsg_wrap(&msg, "open log");
    assert_int_equal(strlen(msg.text), sizeof msg.text - 1);
    assert_memory_equal(msg.text, "open log: xxx", 13);
    errmsg_wrap(&msg, "%s", text);
    assert_int_equal(strlen(msg.text), sizeof msg.text - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrapping_prefixes_outward),
        cmocka_unit_test(setting_overwrites),
        cmocka_unit_test(nobody_needs_to_listen),
        cmocka_unit_test(long_text_is_cut_at_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
