/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>

#include "base/rng.h"

/* A replay line of a test is good for nothing if the sequence ever changes. */
static void one_seed_is_one_sequence_forever(void **state)
{
    static const uint64_t expected[] = { 6457827717110365317ULL, 3203168211198807973ULL,
                                         9817491932198370423ULL };
    struct rng r;

    (void)state;
    rng_init(&r, 1234567);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_true(rng_next(&r) == expected[i]);
    }
}

static void numbers_stay_below_their_bound(void **state)
{
    struct rng r;
    unsigned seen = 0;

    (void)state;
    rng_init(&r, 1);
    for (int i = 0; i < 1000; i++) {
        uint64_t n = rng_below(&r, 7);

        assert_true(n < 7);
        seen |= 1u << n;
    }
    assert_int_equal(seen, 0x7f);
    assert_true(rng_below(&r, 1) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_seed_is_one_sequence_forever),
        cmocka_unit_test(numbers_stay_below_their_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
