/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A test double of node.h: one member that decides at once, over a real state machine.
 *
 * Tests may hold writes and reads back, let them end in any order and with any status, and
 * see what was asked.
 */
#ifndef TESTS_UNIT_SERVER_FAKE_NODE_H
#define TESTS_UNIT_SERVER_FAKE_NODE_H

#include "node/node.h"

struct fake_proposal {
    struct buffer command;
    node_proposed_fn done; /* NULL = answered */
    void *context;
};

struct fake_read {
    enum node_consistency consistency;
    raft_index min_index;
    node_readable_fn done;
    void *context;
};

struct node {
    struct event_base *base;
    struct refdb *refdb;
    struct events *events;
    struct replicas *replicas;
    raft_index last_index;
    struct fake_proposal *proposals; /* not yet applied, in order */
    size_t proposal_count, proposal_capacity;
    struct fake_read *reads;
    size_t read_count, read_capacity;
    void (*flush)(void *context);
    void *flush_context;
    time_ms now_ms;

    /* Set by tests. */
    bool holds_writes; /* proposals stay until fake_node_end_write() */
    bool holds_reads;
    enum rk_status propose_status; /* node_propose() answers this */
    enum rk_status read_status;    /* what reads end with */
    struct membership members;
    struct node_status status; /* given out by node_get_status(), indexes filled in */

    enum rk_status change_status; /* BADARG: node_change_members() refuses */

    /* Seen by tests. */
    size_t proposed_total, read_total;
    struct member_change change; /* the last one asked for */
    node_changed_fn changed;     /* not NULL: not answered yet */
    void *changed_context;
};

struct node *fake_node_new(struct event_base *base);
void fake_node_free(struct node *n); /* ends what is pending with STOPPED */

/* One turn: events, writes and reads that are not held, flush. */
void fake_node_turn(struct node *n);

/* Ends the i-th held write; OK applies it. */
void fake_node_end_write(struct node *n, size_t i, enum rk_status status);

/* Ends the change that was asked for. */
void fake_node_end_change(struct node *n, enum rk_status status, raft_index index, const char *why);

#endif
