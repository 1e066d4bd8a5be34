/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Majorities, and the two majorities of a joint membership [paper 5.1, thesis 4.3].
 *
 * Pure arithmetic: knows neither roles nor logs.  Each voter brings one number - a match
 * index, a read sequence, a time - or one vote.
 */
#ifndef RAFT_QUORUM_H
#define RAFT_QUORUM_H

#include <stdint.h>

enum quorum_vote {
    QUORUM_VOTE_PENDING,
    QUORUM_VOTE_GRANTED,
    QUORUM_VOTE_REFUSED,
};

enum quorum_outcome {
    QUORUM_PENDING, /* more votes may decide it */
    QUORUM_WON,
    QUORUM_LOST, /* no further vote can win it */
};

struct quorum_voter {
    unsigned halves; /* MEMBER_VOTER, MEMBER_VOTER_OLD; 0 = does not count */
    uint64_t value;
    enum quorum_vote vote;
};

/* The largest v that more than half of the `half` voters have reached; 0 without voters. */
uint64_t quorum_majority_value(const struct quorum_voter *voters, unsigned count, unsigned half);

/* The same for both halves: the smaller of the two.  Outside a joint change they are equal. */
uint64_t quorum_value(const struct quorum_voter *voters, unsigned count);

enum quorum_outcome quorum_majority_outcome(const struct quorum_voter *voters, unsigned count,
                                            unsigned half);

/* Won when both halves are won, lost when either is lost. */
enum quorum_outcome quorum_outcome(const struct quorum_voter *voters, unsigned count);

#endif
