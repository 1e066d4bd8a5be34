/* SPDX-License-Identifier: Apache-2.0 */
/* Majorities against their definition, for every small membership, joint ones too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/rng.h"
#include "model/membership.h"
#include "raft/quorum.h"

#define HALVES_MAX (MEMBER_VOTER | MEMBER_VOTER_OLD)

/* The definition: v is held by a quorum when more than half of each half reached it. */
static int is_held(const struct quorum_voter *voters, unsigned count, unsigned half, uint64_t v)
{
    unsigned n = 0;
    unsigned reached = 0;

    for (unsigned i = 0; i < count; i++) {
        if (voters[i].halves & half) {
            n++;
            reached += voters[i].value >= v;
        }
    }
    return reached > n / 2;
}

static uint64_t naive_value(const struct quorum_voter *voters, unsigned count)
{
    uint64_t best = 0;

    for (unsigned i = 0; i < count; i++) {
        uint64_t v = voters[i].value;

        if (v > best && is_held(voters, count, MEMBER_VOTER, v) &&
            is_held(voters, count, MEMBER_VOTER_OLD, v)) {
            best = v;
        }
    }
    return best;
}

/* Decided when every way the pending votes can go gives the same answer. */
static enum quorum_outcome naive_outcome(const struct quorum_voter *voters, unsigned count)
{
    struct quorum_voter copy[8];
    unsigned won = 0;
    unsigned ways = 0;

    for (unsigned mask = 0; mask < 1U << count; mask++) {
        int is_possible = 1;

        for (unsigned i = 0; i < count; i++) {
            int is_yes = (mask >> i & 1) != 0;

            is_possible &= voters[i].vote == QUORUM_VOTE_PENDING ||
                           (voters[i].vote == QUORUM_VOTE_GRANTED) == is_yes;
            copy[i] = (struct quorum_voter){ voters[i].halves, is_yes ? 1 : 0, 0 };
        }
        if (is_possible) {
            ways++;
            won += is_held(copy, count, MEMBER_VOTER, 1) &&
                   is_held(copy, count, MEMBER_VOTER_OLD, 1);
        }
    }
    if (won == ways) {
        return QUORUM_WON;
    }
    return won == 0 ? QUORUM_LOST : QUORUM_PENDING;
}

static void values_equal_the_definition(void **state)
{
    struct rng rng;

    (void)state;
    rng_init(&rng, 1);
    for (unsigned run = 0; run < 50000; run++) {
        struct quorum_voter voters[MEMBERS_MAX];
        unsigned count = (unsigned)rng_below(&rng, MEMBERS_MAX + 1);

        for (unsigned i = 0; i < count; i++) {
            voters[i] = (struct quorum_voter){ (unsigned)rng_below(&rng, HALVES_MAX + 1),
                                               rng_below(&rng, 6), 0 };
        }
        assert_int_equal(quorum_value(voters, count), naive_value(voters, count));
    }
}

static void outcomes_equal_the_definition(void **state)
{
    struct rng rng;

    (void)state;
    rng_init(&rng, 2);
    for (unsigned run = 0; run < 20000; run++) {
        struct quorum_voter voters[8];
        unsigned count = 1 + (unsigned)rng_below(&rng, 7);

        for (unsigned i = 0; i < count; i++) {
            voters[i] = (struct quorum_voter){ (unsigned)rng_below(&rng, HALVES_MAX + 1), 0,
                                               (enum quorum_vote)rng_below(&rng, 3) };
        }
        assert_int_equal(quorum_outcome(voters, count), naive_outcome(voters, count));
    }
}

static void two_of_four_are_no_majority(void **state)
{
    const struct quorum_voter voters[] = {
        { HALVES_MAX, 9, QUORUM_VOTE_GRANTED },
        { HALVES_MAX, 9, QUORUM_VOTE_GRANTED },
        { HALVES_MAX, 3, QUORUM_VOTE_REFUSED },
        { HALVES_MAX, 2, QUORUM_VOTE_REFUSED },
    };

    (void)state;
    assert_int_equal(quorum_value(voters, 4), 3);
    assert_int_equal(quorum_outcome(voters, 4), QUORUM_LOST);
}

static void a_joint_membership_needs_both_majorities(void **state)
{
    const struct quorum_voter voters[] = {
        { MEMBER_VOTER_OLD, 9, QUORUM_VOTE_GRANTED }, { MEMBER_VOTER_OLD, 9, QUORUM_VOTE_GRANTED },
        { MEMBER_VOTER_OLD, 1, QUORUM_VOTE_PENDING }, { MEMBER_VOTER, 9, QUORUM_VOTE_GRANTED },
        { MEMBER_VOTER, 5, QUORUM_VOTE_PENDING },     { MEMBER_VOTER, 4, QUORUM_VOTE_PENDING },
    };

    (void)state;
    assert_int_equal(quorum_value(voters, 6), 5);
    assert_int_equal(quorum_outcome(voters, 6), QUORUM_PENDING);
}

static void learners_never_count(void **state)
{
    const struct quorum_voter voters[] = {
        { HALVES_MAX, 4, QUORUM_VOTE_GRANTED },
        { 0, 9, QUORUM_VOTE_GRANTED },
        { HALVES_MAX, 2, QUORUM_VOTE_REFUSED },
    };

    (void)state;
    assert_int_equal(quorum_value(voters, 3), 2);
    assert_int_equal(quorum_outcome(voters, 3), QUORUM_LOST);
}

static void without_voters_nothing_is_decided_for(void **state)
{
    const struct quorum_voter voters[] = { { 0, 9, QUORUM_VOTE_GRANTED } };

    (void)state;
    assert_int_equal(quorum_value(voters, 0), 0);
    assert_int_equal(quorum_value(voters, 1), 0);
    assert_int_equal(quorum_outcome(voters, 1), QUORUM_LOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_equal_the_definition),
        cmocka_unit_test(outcomes_equal_the_definition),
        cmocka_unit_test(two_of_four_are_no_majority),
        cmocka_unit_test(a_joint_membership_needs_both_majorities),
        cmocka_unit_test(learners_never_count),
        cmocka_unit_test(without_voters_nothing_is_decided_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
