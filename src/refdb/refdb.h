/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The replicated state machine: repositories, refs, storages, sessions.  [DESIGN 3]
 *
 * Pure and deterministic: the same entries in the same order give the same results, the
 * same digest and the same dump bytes on every node.  No clock, no I/O, no hash order.
 *
 * Thread: the loop.  One exception: between refdb_freeze() and refdb_thaw() one other
 * thread may walk the frozen view with refdb_dump_next() while the loop goes on applying;
 * the ordered maps copy a node on the first write after a freeze instead of changing it, unless
 * the walk has passed it.
 */
#ifndef REFDB_REFDB_H
#define REFDB_REFDB_H

#include "base/bytes.h"
#include "base/status.h"
#include "model/command.h"
#include "model/entry.h"
#include "model/oid.h"
#include "model/types.h"
#include "refdb/map_cursor.h"

struct refdb;

struct refdb *refdb_new(void);
void refdb_free(struct refdb *db); /* accepts NULL */

/* ---- Applying ---- */

/* What one item of a command came to. */
struct refdb_item {
    enum rk_status status; /* OK or a refusal */
    /* CONFLICT, EXISTS: what the ref is at, since which entry and by whom */
    struct oid current; /* size 0 = absent */
    raft_index current_index;
    struct slice current_actor;
    /* NAMECONFLICT: the ref in the way; FROZEN: the reason, or "read-only"; RENAMED: the new
     * path; FENCED: the primary; NOSTORAGE: the storage; EXISTS of a path: that path;
     * CONFLICT of RemoveReplica and RemoveStorage: why not; TOOLARGE of a limit: which;
     * BADARG of a filter: why */
    struct slice detail;
    /* of an item with status OK: what happened */
    enum refdb_outcome {
        REFDB_DONE,
        REFDB_CREATED,
        REFDB_ADDED,
        REFDB_ALREADY,   /* no effect: it was so before */
        REFDB_UNTRACKED, /* the filter ignores this ref: neither checked nor stored */
    } outcome;
};

/* One thing an entry changed, for events and logs.  No effect, no change. */
struct refdb_change {
    enum refdb_change_kind {
        REFDB_CHANGE_REF,     /* name = ref, old_oid and new_oid */
        REFDB_CHANGE_CREATED, /* new_text = primary */
        REFDB_CHANGE_REMOVED, /* old_text = primary */
        REFDB_CHANGE_RENAMED, /* path = the new one, old_text, new_text = paths */
        REFDB_CHANGE_HEAD,    /* old_text, new_text = refs */
        REFDB_CHANGE_STATE,   /* new_text = "rw", "ro" or "frozen"; name = reason */
        REFDB_CHANGE_PRIMARY, /* old_text, new_text = storages */
        REFDB_CHANGE_REPLICA, /* added: new_text, removed: old_text = storage */
        REFDB_CHANGE_STORAGE, /* no path; set: new_text, removed: old_text = storage */
        REFDB_CHANGE_SETTING, /* no path; name = "limits" or "filter", new_text = it, to read */
    } kind;
    struct slice path, name, old_text, new_text;
    struct oid old_oid, new_oid; /* size 0 = absent */
};

/*
 * The result of one entry.  `items` has one element per path of a SetPrimary, per ref
 * update of an independent batch, else exactly one; an atomic batch that failed has one per
 * update, ABORTED for those that would have worked.
 * Slices are valid until the next apply.
 */
struct refdb_result {
    raft_index index;
    enum rk_status status;   /* OK, or the first refusal; EXPIRED when nothing was executed */
    bool is_replay;          /* the kept result of an earlier entry of this session */
    raft_index replay_index; /* the index first answered, when is_replay */
    struct slice actor;      /* of the envelope; borrowed from the entry */
    int64_t wall_ms;         /* of the envelope, for display; 0 = none */
    size_t item_count;
    const struct refdb_item *items;
    size_t change_count; /* in the order they were made */
    const struct refdb_change *changes;
};

/*
 * Applies a committed entry.  PRE: entry->index == refdb_applied_index() + 1.
 * Errors: those of command_decode() (this binary cannot decode it: halt, never skip).
 * A refused command changes nothing but the applied index and still returns OK here.
 */
enum rk_status refdb_apply(struct refdb *db, const struct entry *entry,
                           struct refdb_result *ret_result) MUST_USE;

raft_index refdb_applied_index(const struct refdb *db);
raft_term refdb_applied_term(const struct refdb *db);

/* Replicated time: the newest cluster_ms an applied envelope carried; 0 = none yet. */
int64_t refdb_cluster_ms(const struct refdb *db);

/* Moves the applied index on without applying, so that no index before it is handed out again.
 * For recover and restore.  PRE: index >= refdb_applied_index(), not frozen. */
void refdb_advance(struct refdb *db, raft_index index, raft_term term);

/*
 * Frees a bounded part of what nobody can reach any more: the refs of removed repositories,
 * what a freeze left over.  Each apply does so too; for a loop with nothing else to do.
 * True while there is more to do.
 */
bool refdb_sweep(struct refdb *db);

/* ---- Questions.  Returned pointers and slices are valid until the next apply ---- */

struct refdb_repository {
    uint64_t id;
    struct slice path;
    enum object_format format;
    struct slice head; /* symref target, may be unborn */
    enum repository_state state;
    struct slice reason; /* of freezing */
    struct slice primary;
    uint64_t primary_epoch;
    size_t replica_count;
    struct slice replicas[REPLICAS_MAX]; /* ordered, the primary among them */
    uint64_t ref_count, ref_bytes;       /* see refdb_gauges */
    raft_index last_index;               /* of the last change to it */
    uint8_t digest[16];                  /* of its refs */
};

struct refdb_ref {
    struct slice name;
    struct oid oid;
    raft_index last_index; /* of the last change to it */
};

/*
 * Errors: NOREPO; REMOVED when a tombstone remembers the path.  With `id` != 0 the answer is
 * about that repository: RENAMED (then *ret_repository is filled too, with its path now),
 * REMOVED.
 */
enum rk_status refdb_find_repository(const struct refdb *db, struct slice path, uint64_t id,
                                     struct refdb_repository *ret_repository) MUST_USE;

/* Repositories in order of path: the first whose path is > `after` (or >= when `inclusive`).
 * False at the end.  O(log n). */
bool refdb_next_repository(const struct refdb *db, struct slice after, bool inclusive,
                           struct refdb_repository *ret_repository);

/* Errors: NOREPO, REMOVED, NOREF.  The name is `refname` itself. */
enum rk_status refdb_find_ref(const struct refdb *db, struct slice path, struct slice refname,
                              struct refdb_ref *ret_ref) MUST_USE;

/* A walk over the refs of one repository, in byte order.  Void after an apply. */
struct refdb_ref_cursor {
    struct map_cursor walk;
    uint8_t oid_bytes;
};
/* Starts before the first ref >= `from`.  Errors: NOREPO, REMOVED. */
enum rk_status refdb_seek_refs(const struct refdb *db, struct slice path, struct slice from,
                               struct refdb_ref_cursor *ret_cursor) MUST_USE;
/* False at the end.  The name is valid until the next call on the cursor. */
bool refdb_next_ref(struct refdb_ref_cursor *cursor, struct refdb_ref *ret_ref);

struct refdb_storage {
    struct slice name, http_address, ssh_address, zone;
    enum storage_state state;
    uint64_t primary_count; /* repositories whose primary it is */
    uint64_t replica_count;
    raft_index last_index;
};

enum rk_status refdb_find_storage(const struct refdb *db, struct slice name,
                                  struct refdb_storage *ret_storage) MUST_USE;
bool refdb_next_storage(const struct refdb *db, struct slice after,
                        struct refdb_storage *ret_storage);

/* Maintained at apply, O(1) to read. */
struct refdb_gauges {
    uint64_t repositories, refs, storages, sessions, tombstones;
    /* Content, the same on every node; LIMIT_BYTES is for the sum of the first two. */
    uint64_t ref_bytes;        /* names, object ids, names of actors */
    uint64_t repository_bytes; /* paths, heads, reasons, names of replicas */
    uint64_t session_bytes;    /* kept results */
    uint64_t bytes;            /* heap held by the maps of this node, names included */
};
void refdb_get_gauges(const struct refdb *db, struct refdb_gauges *ret_gauges);

/* The limits in force; 0 = none.  Refused beyond with TOOLARGE: new repositories, new refs. */
void refdb_get_limits(const struct refdb *db, uint64_t ret_limits[LIMIT_COUNT]);
const char *refdb_limit_name(enum limit limit);

/* The rules of the tracked-ref filter in force, as model/ref_filter.h reads them. */
struct slice refdb_filter(const struct refdb *db);

/* Sum modulo 2^128 over everything in the snapshot: equal on all nodes at equal index. */
void refdb_digest(const struct refdb *db, uint8_t ret_digest[16]);

/*
 * What refdb_digest() was at an index: of the applied one, and of the last DIGESTS_KEPT multiples
 * of DIGEST_INTERVAL this node applied itself.  False for any other.  O(1).
 */
bool refdb_digest_at(const struct refdb *db, raft_index index, uint8_t ret_digest[16]);

/* The same as refdb_digest(), derived anew from the data; O(state).  For verification and tests. */
void refdb_digest_recompute(const struct refdb *db, uint8_t ret_digest[16]);

/* The cluster's identity and members as last applied; NULL before the first. */
const struct membership *refdb_membership(const struct refdb *db, raft_index *ret_index);

/* ---- Snapshot of the state ---- */

/* Pins the state as of now.  O(1).  PRE: not frozen. */
struct refdb_view;
struct refdb_view *refdb_freeze(struct refdb *db);

/*
 * The next piece of the dump, in a fixed order: identical states give identical bytes.
 * Appends one piece of less than 256 KiB to `out`; nothing appended = complete.
 * Thread: any one thread.
 */
void refdb_dump_next(struct refdb_view *view, struct buffer *out);

/*
 * The digest of the frozen state, derived anew from its data; O(state).  Equal to the one that
 * refdb_digest() gave at the freeze, unless the memory or the code is damaged.
 * PRE: before the first refdb_dump_next().  Thread: that of the walk.
 */
void refdb_view_digest(struct refdb_view *view, uint8_t ret_digest[16]);

/* Ends the freeze; `view` is void.  Thread: the loop, after the walking thread is done. */
void refdb_thaw(struct refdb *db, struct refdb_view *view);

/*
 * Rebuilds a state from dump bytes given in any pieces.  Every bound is checked, no
 * allocation is larger than the bytes that justify it.
 */
struct refdb_loader;
struct refdb_loader *refdb_loader_new(void);
/* Errors: CORRUPT, UNSUPPORTED (a newer dump version). */
enum rk_status refdb_loader_put(struct refdb_loader *l, struct slice bytes) MUST_USE;
/* The state, whose digest was compared with the one in the dump.  Frees `l` in every case. */
enum rk_status refdb_loader_finish(struct refdb_loader *l, struct refdb **ret_db) MUST_USE;
void refdb_loader_free(struct refdb_loader *l);

#endif
