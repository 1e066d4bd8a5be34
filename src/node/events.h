/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What applied entries changed, kept for those who watch, ask for history, or undo.  [DESIGN 3]
 *
 * A ring in memory, bounded by bytes, of units: all changes of one index are one unit, which is
 * kept or dropped as a whole.  It covers without a gap every index from events_oldest() to
 * events_next() - 1; an index without a unit changed nothing.  No part of the state: neither
 * digest nor snapshot sees it.  After a restart it is filled by the entries that are applied
 * again, those behind the snapshot.
 *
 * When the ring is full the oldest units go; a unit larger than the ring is not kept, which
 * ends what is covered before it.
 *
 * Thread: the loop.
 */
#ifndef NODE_EVENTS_H
#define NODE_EVENTS_H

#include "base/bytes.h"
#include "model/types.h"
#include "refdb/refdb.h"

struct events;

struct event_unit {
    raft_index index;
    raft_term term;
    int64_t wall_ms; /* the leader's clock when it was proposed; 0 = the entry says nothing */
    struct slice actor;
    uint32_t count;     /* events in it, at least 1 */
    struct slice items; /* encoded; walk with event_unit_next() */
    struct slice path;  /* while walking: of the event before */
};

/* One change; the members are used as struct refdb_change says. */
struct event_item {
    enum refdb_change_kind kind;
    struct slice path, name, old_text, new_text;
    struct oid old_oid, new_oid; /* size 0 = absent */
};

/* Covers nothing: the first index will be 1. */
struct events *events_new(size_t bytes_max);
void events_free(struct events *e); /* accepts NULL */

/* Forgets everything: `applied` is the last index that will never be seen. */
void events_reset(struct events *e, raft_index applied);

/* PRE: result->index == events_next(). */
void events_add(struct events *e, raft_term term, const struct refdb_result *result);

raft_index events_oldest(const struct events *e); /* the first index that is covered */
raft_index events_next(const struct events *e);   /* one past the last that is */
size_t events_bytes(const struct events *e);

/* Grows with every events_reset(): who remembers it sees that there was one. */
uint64_t events_generation(const struct events *e);

/* A walk over the units.  Void after the next change of the ring. */
struct events_walk {
    const struct events *events;
    size_t segment;
    size_t offset;
};

/* Starts before the first unit at or after `from`.  PRE: from >= events_oldest(). */
void events_seek(const struct events *e, raft_index from, struct events_walk *ret_walk);

/* False at the end.  Slices are valid until the next change of the ring. */
bool events_walk_next(struct events_walk *walk, struct event_unit *ret_unit);

/* The next event of the unit; false at its end. */
bool event_unit_next(struct event_unit *unit, struct event_item *ret_item);

/* "ref", "created", "removed", "renamed", "head", "state", "primary", "replica", "storage",
 * "setting" */
const char *event_kind_word(enum refdb_change_kind kind);

/* True when the event is about a path that begins with `prefix`; of a rename either path.
 * Storages and settings have no path: only an empty prefix means them too. */
bool event_has_prefix(const struct event_item *item, struct slice prefix);

#endif
