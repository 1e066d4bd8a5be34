/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One repository: a block of its own with its names and texts, and the map of its refs.
 *
 * Refs and last_index change in the block (a copy of it when frozen); any other change
 * builds a new block.  The state's sum follows every change:
 *
 *   its fields      H(id, path, format, head, state, reason, primary, epoch, replicas)
 *   its last index  H(id, last_index)
 *   its refs        content_digest, the sum over its refs of
 *                   H(digest_ref(name, oid), id, index and actor of the last change)
 */
#ifndef REFDB_REPOSITORY_H
#define REFDB_REPOSITORY_H

#include "refdb/state.h"

struct repository {
    uint32_t generation; /* the first, see node_pool.h */
    uint8_t format;      /* enum object_format */
    uint8_t state;       /* enum repository_state */
    uint8_t replica_count;
    uint16_t path_size, head_size, reason_size;
    name_id primary;
    uint64_t id, primary_epoch;
    raft_index last_index;
    struct ordered_map refs; /* name -> oid, varint last index, varint actor */
    struct digest refs_digest, content_digest;
    uint64_t ref_bytes; /* see refdb_gauges */
    name_id replicas[]; /* in order of name; then path, head, reason */
};

/* A repository's fields apart, to build it from. */
struct repository_fields {
    uint64_t id, primary_epoch;
    raft_index last_index;
    enum object_format format;
    enum repository_state state;
    struct slice path, head, reason;
    name_id primary;
    unsigned replica_count;
    name_id replicas[REPLICAS_MAX];
};

#define HEAD_DEFAULT "refs/heads/main"

struct slice repository_path(const struct repository *r);
struct slice repository_head(const struct repository *r);
struct slice repository_reason(const struct repository *r);
size_t repository_size(const struct repository *r);
/* The slices point into `r`. */
void repository_get_fields(const struct repository *r, struct repository_fields *ret_fields);

/* NULL when there is none. */
struct repository *repository_find(const struct state_maps *maps, struct slice path);
struct repository *repository_find_id(const struct refdb *db, uint64_t id);

/* Adds a repository without refs; its storages get one use more each.  The sum follows. */
struct repository *repository_add(struct refdb *db, const struct repository_fields *fields);

/* Builds it anew with other fields (the id stays) and last index fields->last_index. */
struct repository *repository_replace(struct refdb *db, struct repository *old,
                                      const struct repository_fields *fields);

/* Removes it with its refs: these from sight at once, from memory with later entries when
 * they are many. */
void repository_remove(struct refdb *db, struct repository *r);

/* Frees some of what removals left over. */
void repository_sweep(struct refdb *db);

/* The block to change: `r`, or its copy when frozen. */
struct repository *repository_changeable(struct refdb *db, struct repository *r);

void repository_set_last_index(struct refdb *db, struct repository *r, raft_index index);

/* The position of a storage among the replicas; false gives where it belongs. */
bool repository_find_replica(const struct name_maps *names, const struct repository_fields *fields,
                             struct slice storage, unsigned *ret_slot);

/* The bytes it counts for without its refs: path, head, reason, names of replicas. */
uint64_t repository_bytes(const struct refdb *db, const struct repository_fields *fields);

/* Its part of the state's sum, without its refs. */
struct digest repository_digest(const struct name_maps *names, const struct repository *r);

void repository_discard(struct refdb *db, struct repository *r);

/* ---- Refs ---- */

struct ref_value {
    struct oid oid;
    raft_index last_index;
    name_id actor;
};

/* The bytes a ref counts for: name, oid, actor. */
static inline uint64_t ref_bytes(const struct refdb *db, struct slice name,
                                 const struct ref_value *v)
{
    return name.size + v->oid.size + name_table_size(&db->actors, v->actor);
}

#define REF_VALUE_BYTES_MAX (OID_BYTES_MAX + 20)

struct slice ref_value_encode(const struct ref_value *v, uint8_t bytes[REF_VALUE_BYTES_MAX]);
void ref_value_decode(struct slice bytes, enum object_format format, struct ref_value *ret_v);

/* The element of content_digest.  `ref_digest` = digest_ref(name, oid). */
struct digest ref_content_digest(struct digest ref_digest, uint64_t repository_id,
                                 raft_index last_index, uint64_t actor_hash);

#endif
