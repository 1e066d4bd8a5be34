/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values that travel between a program and librefkeeper.
 *
 * Text is NUL-terminated UTF-8 or, for ref names and paths, the bytes git uses.  Object ids
 * are lower-case hex.  Structures a program fills are zeroed first (`= {0}`), so that members
 * added later mean "as before".
 */
#ifndef REFKEEPER_TYPES_H
#define REFKEEPER_TYPES_H

#include <stddef.h>
#include <stdint.h>

#include <refkeeper/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RK_OID_TEXT_MAX 64 /* hex digits of a SHA-256 object id */
#define RK_ACTOR_BYTES_MAX 256
#define RK_MESSAGE_BYTES_MAX 768

/* As old_oid of a change: the ref must not exist. */
#define RK_ABSENT "ABSENT"

/*
 * What went wrong, for programs and for people.
 *
 * Written by every call that does not return RK_OK, untouched by one that does.
 */
struct rk_error {
    enum rk_status status;
    enum rk_reaction reaction;          /* what to do next */
    char message[RK_MESSAGE_BYTES_MAX]; /* what, where, and what to do; never empty */
    char endpoint[280];                 /* host:port that answered or failed; "" = none */
    /* CONFLICT and EXISTS: what the ref is at, since which log index, and by whom */
    char current_oid[RK_OID_TEXT_MAX + 1]; /* hex, RK_ABSENT, or "" = not said */
    uint64_t current_index;                /* 0 = not said */
    char current_actor[RK_ACTOR_BYTES_MAX + 1];
};

/* How fresh an answer must be. */
enum rk_consistency {
    RK_READ_LINEARIZABLE, /* includes every write acknowledged before the question */
    RK_READ_STALE,        /* this node's own copy, right now */
    RK_READ_MIN_INDEX     /* a copy that includes log index min_index */
};

/* Options of a read.  NULL in a call = linearizable. */
struct rk_read {
    enum rk_consistency consistency;
    uint64_t min_index; /* for RK_READ_MIN_INDEX */
};

/* Conditions and attributes of a write.  NULL in a call = none. */
struct rk_write {
    const char *actor;   /* who asks; kept with the change and shown to others; NULL = none */
    const char *storage; /* refused FENCED unless this storage is the primary; NULL = no check */
    int has_epoch;       /* refused FENCED unless the primary's epoch is `epoch` */
    uint64_t epoch;
    uint64_t repository_id; /* refused RENAMED or REMOVED unless the path has it; 0 = no check */
};

/* One change of one ref. */
struct rk_ref_change {
    const char *ref;     /* full name, refs/... */
    const char *old_oid; /* hex: must equal; RK_ABSENT: must not exist; NULL: no check */
    const char *new_oid; /* hex; NULL: delete */
};

/* A repository to create. */
struct rk_repo_spec {
    const char *path;
    const char *primary;         /* storage */
    const char *const *replicas; /* further storages */
    size_t replica_count;
    const char *format; /* "sha1" or "sha256"; NULL = learned from the first object id */
    const char *head;   /* NULL = refs/heads/main */
};

/* What to list.  NULL = from the start, everything; limit 0 = the server's page size. */
struct rk_page {
    const char *prefix;
    const char *after;   /* continue behind this name */
    const char *storage; /* repositories only: those that have a replica there */
    size_t limit;
};

/*
 * One thing that was changed.  Texts are NULL where there is nothing to say; they are valid
 * during the callback.
 *
 *   kind                path       ref      old_value, new_value
 *   ref                 repository the ref  object ids; NULL = did not exist, was deleted
 *   created, removed    repository          the primary, as new_value, as old_value
 *   renamed             new path            the two paths
 *   head                repository          refs
 *   state               repository reason   new_value: rw, ro, frozen
 *   primary             repository          storages
 *   replica             repository          storage added: new_value, removed: old_value
 *   storage                                 its name, set: new_value, removed: old_value
 *   setting                        which    new_value: what it is now
 */
struct rk_event {
    uint64_t index; /* events of one index happened together */
    uint64_t term;
    const char *kind;
    const char *path;
    const char *ref;
    const char *old_value;
    const char *new_value;
    const char *actor;
    int64_t time_ms; /* since 1970, the leader's clock; 0 = not said */
};

/* Which events to read. */
struct rk_events_query {
    uint64_t from;      /* index; 0 = the oldest there is */
    int is_from_now;    /* instead of `from` */
    const char *prefix; /* of paths; NULL = all */
    size_t limit;       /* about so many at a time; 0 = 1000 */
    int64_t wait_ms;    /* for the first one; 0 = not at all */
};

/* ---- Replies: a tree of values, as the server sent it ---- */

enum rk_reply_type {
    RK_REPLY_NIL,
    RK_REPLY_INTEGER,
    RK_REPLY_TEXT,  /* `text`, `size` bytes, NUL-terminated too */
    RK_REPLY_ERROR, /* the same; see rk_reply_error() */
    RK_REPLY_ARRAY  /* `items`, `count` of them */
};

struct rk_reply {
    enum rk_reply_type type;
    int64_t integer;
    char *text;
    size_t size;
    struct rk_reply **items;
    size_t count;
};

#ifdef __cplusplus
}
#endif

#endif
