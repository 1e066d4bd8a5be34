/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of applying one entry.  Each leaves its result in db->results.  [DESIGN 3] */
#ifndef REFDB_APPLY_H
#define REFDB_APPLY_H

#include "refdb/repository.h"

/* The entry being applied. */
struct apply {
    struct refdb *db;
    raft_index index;
    const struct envelope *envelope; /* NULL for a bare command */
    struct slice actor;
    struct slice path; /* of the ref updates */
    name_id actor_id;  /* one use of it while the entry is applied; 0 before the first change */
};

/*
 * Finds the repository a command is about and holds it against what the envelope demands.
 * A refusal is written into `item`: NOREPO, REMOVED, RENAMED, FENCED.
 */
struct repository *apply_find_repository(struct apply *a, struct slice path,
                                         struct refdb_item *item);

/* False, with FROZEN in `item`, unless refs and head may change. */
bool apply_check_writable(struct apply *a, const struct repository *r, struct refdb_item *item);

/* True when the envelope demands an identity, epoch or primary; a command that cannot be held
 * against them is BADARG rather than carried out unchecked. */
bool apply_has_demands(const struct apply *a);

/* NOSTORAGE, with the name if it is fit to be shown. */
void apply_refuse_storage(struct apply *a, struct refdb_item *item, struct slice storage);

static inline void apply_refuse(struct apply *a, struct refdb_item *item, enum rk_status status,
                                struct slice detail)
{
    item->status = status;
    item->detail = result_text(&a->db->results, detail);
}

/* How much more fits below the limits; UINT64_MAX where there is none. */
struct room {
    uint64_t left[LIMIT_COUNT];
};

/* `r` NULL: of a repository to come.  `freed`: what the same batch gives back; NULL = nothing. */
struct room apply_room(const struct refdb *db, const struct repository *r, const uint64_t *freed);
bool apply_has_limits(const struct refdb *db);

/* Takes it; false, with TOOLARGE and the limit in `item`, when it does not fit. */
bool apply_take_room(struct apply *a, struct room *room, const uint64_t wanted[LIMIT_COUNT],
                     struct refdb_item *item);

/* The one item of a command that is no batch of ref updates. */
static inline struct refdb_item *apply_one_item(struct apply *a)
{
    return result_items(&a->db->results, 1);
}

/* Ref updates of one repository; the result has the items refdb.h promises. */
void apply_ref_updates(struct apply *a, struct slice path, const struct ref_update *updates,
                       size_t count, bool is_atomic);

/* Any command with tag 1, 2 or >= 19. */
void apply_register_repo(struct apply *a, const struct command *c);
void apply_remove_repo(struct apply *a, const struct command *c);
void apply_set_primary(struct apply *a, const struct command *c);
void apply_move_primary(struct apply *a, const struct command *c);
void apply_create_repo(struct apply *a, const struct command *c);
void apply_rename_repo(struct apply *a, const struct command *c);
void apply_set_head(struct apply *a, const struct command *c);
void apply_set_state(struct apply *a, const struct command *c);
void apply_remove_replica(struct apply *a, const struct command *c);
void apply_set_storage(struct apply *a, const struct command *c);
void apply_remove_storage(struct apply *a, const struct command *c);
void apply_set_limits(struct apply *a, const struct command *c);
void apply_set_filter(struct apply *a, const struct command *c);

#endif
