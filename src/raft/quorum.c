/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/quorum.h"

#include "base/assert.h"
#include "base/limits.h"
#include "model/membership.h"

uint64_t quorum_majority_value(const struct quorum_voter *voters, unsigned count, unsigned half)
{
    uint64_t sorted[MEMBERS_MAX]; /* descending */
    unsigned n = 0;

    PRE(count <= MEMBERS_MAX);
    for (unsigned i = 0; i < count; i++) {
        unsigned slot = n;

        if ((voters[i].halves & half) == 0) {
            continue;
        }
        for (; slot > 0 && sorted[slot - 1] < voters[i].value; slot--) {
            sorted[slot] = sorted[slot - 1];
        }
        sorted[slot] = voters[i].value;
        n++;
    }
    return n == 0 ? 0 : sorted[n / 2];
}

uint64_t quorum_value(const struct quorum_voter *voters, unsigned count)
{
    uint64_t newest = quorum_majority_value(voters, count, MEMBER_VOTER);
    uint64_t old = quorum_majority_value(voters, count, MEMBER_VOTER_OLD);

    return newest < old ? newest : old;
}

enum quorum_outcome quorum_majority_outcome(const struct quorum_voter *voters, unsigned count,
                                            unsigned half)
{
    unsigned n = 0;
    unsigned granted = 0;
    unsigned refused = 0;

    PRE(count <= MEMBERS_MAX);
    for (unsigned i = 0; i < count; i++) {
        if ((voters[i].halves & half) != 0) {
            n++;
            granted += voters[i].vote == QUORUM_VOTE_GRANTED;
            refused += voters[i].vote == QUORUM_VOTE_REFUSED;
        }
    }
    if (2 * granted > n) {
        return QUORUM_WON;
    }
    return 2 * (n - refused) > n ? QUORUM_PENDING : QUORUM_LOST;
}

enum quorum_outcome quorum_outcome(const struct quorum_voter *voters, unsigned count)
{
    enum quorum_outcome newest = quorum_majority_outcome(voters, count, MEMBER_VOTER);
    enum quorum_outcome old = quorum_majority_outcome(voters, count, MEMBER_VOTER_OLD);

    if (newest == QUORUM_LOST || old == QUORUM_LOST) {
        return QUORUM_LOST;
    }
    return newest == QUORUM_WON && old == QUORUM_WON ? QUORUM_WON : QUORUM_PENDING;
}
