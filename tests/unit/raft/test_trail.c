/* SPDX-License-Identifier: Apache-2.0 */
/* The trail against a plain array of terms, under random appends, truncations and trims. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "raft/trail.h"

#define ENTRIES_MAX 4000

/* terms[i] is that of index i; indexes below `base` are unknown. */
struct plain {
    raft_term terms[ENTRIES_MAX];
    raft_index base, last;
};

static void compare(const struct trail *t, const struct plain *p)
{
    trail_check(t);
    assert_int_equal(t->base_index, p->base);
    assert_int_equal(t->last_index, p->last);
    assert_int_equal(trail_last_term(t), p->terms[p->last]);
    assert_int_equal(trail_term_at(t, p->last + 1), 0);
    for (raft_index i = 1; i <= p->last; i++) {
        raft_term term = i < p->base ? 0 : p->terms[i];

        assert_int_equal(trail_term_at(t, i), term);
        if (term != 0) {
            assert_true(trail_matches(t, i, term));
        }
        assert_false(trail_matches(t, i, term + 1));
    }
}

static raft_index naive_find(const struct plain *p, raft_index index, raft_term term)
{
    if (index > p->last) {
        index = p->last;
    }
    while (index > 0 && index >= p->base && p->terms[index] > term) {
        index--;
    }
    return index;
}

static void change(struct trail *t, struct plain *p, struct rng *rng)
{
    raft_index index;

    switch (rng_below(rng, 8)) {
    case 0:
        index = p->base + 1 + rng_below(rng, p->last - p->base + 1);
        trail_truncate(t, index);
        p->last = index - 1 < p->last ? index - 1 : p->last;
        break;
    case 1:
        index = 1 + rng_below(rng, p->last + 1);
        trail_trim(t, index);
        p->base = index - 1 > p->base ? index - 1 : p->base;
        break;
    default: {
        raft_term term = trail_last_term(t) + rng_below(rng, 3);
        uint64_t count = rng_below(rng, 10);

        term += term == 0;
        trail_append(t, term, count);
        while (count-- > 0) {
            p->terms[++p->last] = term;
        }
        break;
    }
    }
}

static void it_equals_a_plain_array(void **state)
{
    static struct plain p;

    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct trail t;
        struct rng rng;

        rng_init(&rng, seed);
        trail_init(&t, 0, 0);
        p = (struct plain){ .base = 0 };
        for (unsigned i = 0; i < 60; i++) {
            raft_index index = rng_below(&rng, p.last + 4);
            raft_term term = rng_below(&rng, trail_last_term(&t) + 2);

            change(&t, &p, &rng);
            compare(&t, &p);
            if (index >= p.base) {
                assert_int_equal(trail_find_term_at_most(&t, index, term),
                                 naive_find(&p, index, term));
            }
        }
        trail_release(&t);
    }
}

static void nothing_matches_an_unknown_base(void **state)
{
    struct trail t;

    (void)state;
    trail_init(&t, 10, 0);
    trail_append(&t, 3, 5);
    assert_false(trail_matches(&t, 10, 0));
    assert_false(trail_matches(&t, 10, 3));
    assert_true(trail_matches(&t, 11, 3));
    assert_true(trail_matches(&t, 0, 0));
    assert_int_equal(trail_find_term_at_most(&t, 12, 2), 9);
    trail_release(&t);
}

static void a_reset_begins_after_the_snapshot(void **state)
{
    struct trail t;

    (void)state;
    trail_init(&t, 0, 0);
    trail_append(&t, 1, 5);
    trail_reset(&t, 100, 7);
    assert_int_equal(t.last_index, 100);
    assert_int_equal(trail_last_term(&t), 7);
    assert_int_equal(trail_term_at(&t, 5), 0);
    trail_append(&t, 7, 1);
    assert_int_equal(trail_term_at(&t, 101), 7);
    trail_release(&t);
}

static void a_trim_of_everything_keeps_the_last_term(void **state)
{
    struct trail t;

    (void)state;
    trail_init(&t, 0, 0);
    trail_append(&t, 4, 9);
    trail_trim(&t, 10);
    assert_int_equal(t.base_index, 9);
    assert_int_equal(trail_last_term(&t), 4);
    assert_true(trail_matches(&t, 9, 4));
    trail_check(&t);
    trail_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_equals_a_plain_array),
        cmocka_unit_test(nothing_matches_an_unknown_base),
        cmocka_unit_test(a_reset_begins_after_the_snapshot),
        cmocka_unit_test(a_trim_of_everything_keeps_the_last_term),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
