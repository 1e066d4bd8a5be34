/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Those who wait for events: looked after once a turn, when something was applied, and when
 * their time is over.  Nobody else is held up by them.
 */
#ifndef SERVER_EVENT_WAIT_H
#define SERVER_EVENT_WAIT_H

#include <event2/event.h>
#include <stdbool.h>

#include "model/types.h"

struct server;
struct event_wait;

/*
 * What to do: `is_due` when the time is over.  Then the time runs anew unless the wait was
 * stopped; it may be stopped, and freed, from here.
 */
typedef void (*event_wait_fn)(struct event_wait *w, bool is_due);

struct event_wait {
    struct server *server;
    struct event_wait *next, *previous;
    struct event *timer;
    time_ms every_ms;
    event_wait_fn look;
};

/* Of one server. */
struct event_waits {
    struct event_wait *first;
    unsigned count;
    raft_index seen_next; /* of the ring, when they were looked after last */
    uint64_t seen_generation;
};

/* PRE: `w` is all zeros, or was stopped. */
void event_wait_start(struct event_wait *w, struct server *s, time_ms every_ms, event_wait_fn look);
void event_wait_stop(struct event_wait *w); /* harmless when it is stopped */

/* The end of a turn, before connections are flushed. */
void event_waits_turn(struct server *s);

#endif
