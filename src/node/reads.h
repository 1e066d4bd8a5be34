/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads on their way to a state that is fresh enough.  [thesis 6.4]
 *
 * All linearizable reads of a turn share one READ of the core: one confirmation by a quorum
 * serves them all.  Thread: the loop.
 */
#ifndef NODE_READS_H
#define NODE_READS_H

#include "node/node.h"

struct waiting_read {
    node_readable_fn done;
    void *context;
    raft_index min_index; /* MIN_INDEX only */
    time_ms started_ms;
};

struct read_list {
    struct waiting_read *items;
    size_t count, capacity;
};

/* Reads asked of the core together. */
struct read_batch {
    uint64_t token;
    bool is_confirmed;
    raft_index read_index;
    struct read_list reads;
};

struct reads {
    struct read_list now;       /* answered at the end of this turn */
    struct read_list waiting;   /* MIN_INDEX not reached yet */
    struct read_list asking;    /* for the next READ */
    struct read_batch *batches; /* ring, oldest first */
    size_t head, count, capacity;
    uint64_t next_token;
    time_ms ask_again_ms; /* after a refusal, not at once */
};

void node_reads_release(struct reads *r);

enum rk_status node_reads_add(struct node *n, enum node_consistency consistency,
                              raft_index min_index, node_readable_fn done, void *context) MUST_USE;

/* End of a turn, before RAFT_TURN: asks the core. */
void node_reads_turn(struct node *n);

/* What the core said of a batch. */
void node_reads_answered(struct node *n, const struct raft_read *read);

/* After applying: answers everything that is fresh enough. */
void node_reads_deliver(struct node *n);

void node_reads_expire(struct node *n);
void node_reads_abandon(struct node *n);

#endif
