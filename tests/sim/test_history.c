/* SPDX-License-Identifier: Apache-2.0 */
/* The judge is judged: histories written by hand, good ones and bad ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/heap.h"
#include "base/rng.h"
#include "sim/history.h"

#define READ(from, to, value)                                                                      \
    {                                                                                              \
        HISTORY_READ, from, to, false, 0, 0, false, value                                          \
    }
#define SET(from, to, value)                                                                       \
    {                                                                                              \
        HISTORY_UPDATE, from, to, false, 0, value, false, 0                                        \
    }
#define SWAP(from, to, old, value)                                                                 \
    {                                                                                              \
        HISTORY_UPDATE, from, to, true, old, value, false, 0                                       \
    }
#define REFUSED(from, to, old, value, seen)                                                        \
    {                                                                                              \
        HISTORY_UPDATE, from, to, true, old, value, true, seen                                     \
    }

#define EXPECT(is_good, ...)                                                                       \
    do {                                                                                           \
        const struct history_op ops[] = { __VA_ARGS__ };                                           \
        size_t blame;                                                                              \
        assert_true(history_is_linearizable(ops, sizeof ops / sizeof ops[0], &blame) ==            \
                    (is_good));                                                                    \
    } while (0)

static void one_after_the_other(void **state)
{
    (void)state;
    EXPECT(true, READ(1, 2, 0));
    EXPECT(true, SET(1, 2, 7), READ(3, 4, 7), SWAP(5, 6, 7, 8), READ(7, 8, 8));
    EXPECT(true, SWAP(1, 2, 0, 7), SWAP(3, 4, 7, 0), READ(5, 6, 0));
    EXPECT(true, SET(1, 2, 7), REFUSED(3, 4, 0, 9, 7), READ(5, 6, 7));
}

static void a_stale_read_is_found(void **state)
{
    (void)state;
    EXPECT(false, SET(1, 2, 7), READ(3, 4, 0));
    EXPECT(false, SET(1, 2, 7), SET(3, 4, 8), READ(5, 6, 7));
    EXPECT(false, SET(1, 6, 7), READ(2, 3, 7), READ(4, 5, 0)); /* seen, then unseen */
}

static void a_lost_update_is_found(void **state)
{
    (void)state;
    EXPECT(false, SWAP(1, 2, 0, 7), SWAP(3, 4, 0, 8));
    EXPECT(false, SWAP(1, 4, 0, 7), SWAP(2, 3, 0, 8)); /* only one of the two can have won */
}

static void a_value_from_nowhere_is_found(void **state)
{
    (void)state;
    EXPECT(false, READ(1, 2, 5));
    EXPECT(false, SET(1, 2, 7), REFUSED(3, 4, 0, 9, 9), READ(5, 6, 7));
}

static void a_wrong_refusal_is_found(void **state)
{
    (void)state;
    EXPECT(false, SET(1, 2, 7), REFUSED(3, 4, 7, 8, 7)); /* it fitted */
    EXPECT(false, SET(1, 2, 7), REFUSED(3, 4, 6, 8, 0)); /* that was not there */
}

static void what_overlaps_may_come_in_either_order(void **state)
{
    (void)state;
    EXPECT(true, SET(1, 4, 7), SET(2, 3, 8), READ(5, 6, 7));
    EXPECT(true, SET(1, 4, 7), SET(2, 3, 8), READ(5, 6, 8));
    EXPECT(true, SET(1, 10, 7), READ(2, 3, 0), READ(4, 5, 7), READ(6, 7, 7));
    EXPECT(true, SWAP(1, 8, 0, 1), SWAP(2, 7, 1, 2), SWAP(3, 6, 2, 3), READ(9, 10, 3));
    EXPECT(true, SWAP(3, 6, 2, 3), SWAP(2, 7, 1, 2), SWAP(1, 8, 0, 1), READ(9, 10, 3));
}

static void an_unknown_outcome_may_or_may_not_have_happened(void **state)
{
    (void)state;
    EXPECT(true, SET(1, HISTORY_OPEN, 7), READ(2, 3, 0), READ(4, 5, 7));
    EXPECT(true, SET(1, HISTORY_OPEN, 7), READ(2, 3, 0), READ(4, 5, 0));
    EXPECT(true, SWAP(1, HISTORY_OPEN, 0, 7), SET(2, 3, 8), READ(4, 5, 8));
    EXPECT(false, SET(1, HISTORY_OPEN, 7), READ(2, 3, 7), READ(4, 5, 0));
    EXPECT(false, READ(1, 2, 7), SET(3, HISTORY_OPEN, 7));     /* not before it was asked for */
    EXPECT(false, SWAP(1, HISTORY_OPEN, 5, 7), READ(2, 3, 7)); /* it cannot have fitted */
}

static void the_one_to_blame_is_named(void **state)
{
    const struct history_op ops[] = { SET(1, 2, 7), READ(3, 4, 7), READ(5, 6, 0), READ(7, 8, 7) };
    size_t blame = 99;

    (void)state;
    assert_false(history_is_linearizable(ops, 4, &blame));
    assert_int_equal(blame, 2);
}

/* Clients that overlap, on a ref that is honest: `lie` changes what one read was told. */
static bool random_history_is_good(uint64_t seed, bool lie)
{
    enum { COUNT = 400, CLIENTS = 6 };
    struct history_op *ops = heap_zalloc(COUNT * sizeof ops[0]);
    struct rng rng;
    uint64_t value = 0, mark = 0;
    size_t open[CLIENTS], count = 0, blame = 0;
    bool is_open[CLIENTS] = { false }, is_good;

    rng_init(&rng, seed);
    while (count < COUNT) {
        size_t c = rng_below(&rng, CLIENTS);

        if (!is_open[c]) {
            open[c] = count;
            is_open[c] = true;
            ops[count].kind = rng_below(&rng, 2) == 0 ? HISTORY_READ : HISTORY_UPDATE;
            ops[count].began = ++mark;
            ops[count].ended = HISTORY_OPEN;
            ops[count].has_old = rng_below(&rng, 3) > 0;
            ops[count].old = rng_below(&rng, 4) == 0 ? 0 : value;
            ops[count].new_value = count + 1;
            count++;
        } else { /* it takes effect and ends */
            struct history_op *op = &ops[open[c]];

            is_open[c] = false;
            op->ended = ++mark;
            op->seen = value;
            op->is_refused = op->kind == HISTORY_UPDATE && op->has_old && op->old != value;
            if (op->kind == HISTORY_UPDATE && !op->is_refused) {
                value = op->new_value;
            }
        }
    }
    for (size_t i = COUNT / 2; lie && i < COUNT; i++) {
        if (ops[i].kind == HISTORY_READ && ops[i].ended != HISTORY_OPEN) {
            ops[i].seen = 3; /* long gone */
            break;
        }
    }
    is_good = history_is_linearizable(ops, COUNT, &blame);
    heap_free(ops);
    return is_good;
}

static void long_random_histories_are_judged(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        if (!random_history_is_good(seed, false) || random_history_is_good(seed, true)) {
            fail_msg("seed %llu", (unsigned long long)seed);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_after_the_other),
        cmocka_unit_test(a_stale_read_is_found),
        cmocka_unit_test(a_lost_update_is_found),
        cmocka_unit_test(a_value_from_nowhere_is_found),
        cmocka_unit_test(a_wrong_refusal_is_found),
        cmocka_unit_test(what_overlaps_may_come_in_either_order),
        cmocka_unit_test(an_unknown_outcome_may_or_may_not_have_happened),
        cmocka_unit_test(the_one_to_blame_is_named),
        cmocka_unit_test(long_random_histories_are_judged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
