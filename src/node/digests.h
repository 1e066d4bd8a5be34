/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members compare their states: whoever has another one than a majority is found and healed.
 *
 *   EQUAL        nothing else was seen
 *   ALARM        somebody has another digest at an index, and it is not us, or nobody knows who
 *   QUARANTINED  it is us
 *
 *   EQUAL -> ALARM        a digest of another member differs, or of ours [judge]
 *   ALARM -> EQUAL        at a later index all that were heard are equal [compare]
 *   any -> QUARANTINED    ours, derived anew from the data, is not what was kept, or a majority of
 *                         all voters has one and the same other digest [judge]
 *   QUARANTINED -> EQUAL  the state was taken from the leader [digests_installed]
 *
 * In quarantine a node goes on appending and voting.  It does not campaign, serve reads or
 * writes, take or send snapshots, and asks the leader for a snapshot. [DESIGN 5]
 * Thread: the loop; deriving is a job of the worker.
 */
#ifndef NODE_DIGESTS_H
#define NODE_DIGESTS_H

#include "node/node.h"
#include "wire/raft_codec.h"

#define DIGESTS_HEARD_MAX (4 * MEMBERS_MAX) /* newest of all members; older are overwritten */

struct digests {
    enum node_state_check verdict;
    raft_index announced_index; /* the newest multiple of DIGEST_INTERVAL told to the others */
    raft_index differs_index;   /* where a difference was seen last; 0 = never */
    struct heard_digest {
        node_id id; /* 0 = unused */
        raft_index index;
        uint8_t digest[STATE_DIGEST_BYTES];
    } heard[DIGESTS_HEARD_MAX];
    unsigned next_heard;
    bool is_derive_due, is_deriving;
    bool is_damaged;  /* what is derived from the data is not what was kept */
    time_ms asked_ms; /* for a snapshot */
    uint64_t compared_total, differences_total, healed_total;
};

/* A frame of a peer. */
void digests_heard(struct node *n, node_id peer, const struct state_digest *heard);
/* End of a turn, after applying. */
void digests_turn(struct node *n);
/* The state was replaced by the leader's. */
void digests_installed(struct node *n);
bool digests_is_quarantined(const struct node *n);

#endif
