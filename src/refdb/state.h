/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a state consists of.  Inside refdb/ only.
 *
 * `maps` is all that a snapshot holds beside a few numbers: a freeze copies that struct.
 * The rest is derived from it, kept for speed, and built again by the loader; it has a pool of
 * its own that is never frozen.
 */
#ifndef REFDB_STATE_H
#define REFDB_STATE_H

#include "base/limits.h"
#include "model/membership.h"
#include "refdb/digest.h"
#include "refdb/name_table.h"
#include "refdb/node_pool.h"
#include "refdb/ordered_map.h"
#include "refdb/refdb.h"
#include "refdb/result.h"

/* Integers in keys and values of the maps are big-endian. */
struct state_maps {
    struct ordered_map repositories;    /* path -> struct repository * */
    struct ordered_map storages;        /* name -> storage record, see storage.h */
    struct ordered_map sessions;        /* u64 id -> session record, see session.h */
    struct ordered_map session_results; /* u64 id, u64 sequence -> result.h */
    struct ordered_map tombstones;      /* path -> u64 id, u64 index of the removal */
    struct ordered_map settings;        /* name -> record, see settings.h */
};

struct state_indexes {
    struct ordered_map ids;             /* u64 id -> struct repository * */
    struct ordered_map session_order;   /* u64 index of the last use, u64 id -> nothing */
    struct ordered_map tombstone_order; /* u64 index of the removal -> path */
};

/* The refs of a removed repository, which are freed a little with each entry. */
struct detached {
    struct detached *next;
    enum object_format format;
    struct ordered_map refs;
};

struct state_position {
    raft_index applied_index;
    raft_term applied_term;
    uint64_t cluster_ms;         /* replicated time, the highest seen */
    raft_index membership_index; /* 0 = none yet */
    struct digest sum;           /* of everything in the maps */
};

struct refdb {
    struct node_pool pool;
    struct node_pool index_pool;
    struct state_maps maps;
    struct state_indexes indexes;
    struct detached *detached;
    struct state_position at;
    struct membership membership;    /* valid when at.membership_index > 0 */
    struct name_table storage_names; /* used by: its record, each replica */
    struct name_table actors;        /* used by: each ref whose last change is theirs */
    uint64_t *primary_counts;        /* of repositories, by id of the storage's name */
    size_t primary_count_capacity;
    uint64_t ref_count;
    uint64_t ref_bytes, repository_bytes; /* see refdb_gauges */
    uint64_t session_bytes;               /* of kept results */
    uint64_t limits[LIMIT_COUNT];         /* the setting, decoded; 0 = none */
    struct buffer filter;                 /* likewise */
    struct state_mark {
        raft_index index; /* a multiple of DIGEST_INTERVAL; 0 = none yet */
        uint8_t digest[DIGEST_BYTES];
    } marks[DIGESTS_KEPT]; /* the newest, by index / DIGEST_INTERVAL modulo their number */
    struct result_builder results;
    struct buffer scratch;      /* within one function */
    struct ref_update *updates; /* of the batch being applied */
    size_t update_capacity;
};

static inline struct slice key_of_u64(uint64_t value, uint8_t key[8])
{
    put_be64(key, value);
    return slice_of(key, 8);
}

/* Keeps the digest of now when the applied index is one to compare at. */
void state_mark(struct refdb *db);

/* The digest of a state at this position; `m` counts once there is one. */
struct digest state_digest(const struct state_position *at, const struct membership *m,
                           struct buffer *scratch);

#endif
