/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storages: name -> addresses, zone, state, and how many repositories use each.
 *
 *   record   u64 last index, u8 state, three strings: http address, ssh address, zone
 */
#ifndef REFDB_STORAGE_H
#define REFDB_STORAGE_H

#include "refdb/repository.h"

struct storage_record {
    raft_index last_index;
    enum storage_state state;
    struct slice http_address, ssh_address, zone;
};

bool storage_find(const struct state_maps *maps, struct slice name,
                  struct storage_record *ret_record);

/* False when the bytes are no record. */
bool storage_record_decode(struct slice bytes, struct storage_record *ret_record);

/* Adds or replaces.  The sum follows.  PRE: a valid name, bounded fields. */
void storage_put(struct refdb *db, struct slice name, const struct storage_record *record);

/* PRE: it exists and no repository uses it. */
void storage_remove(struct refdb *db, struct slice name);

/* The name's number, adding an ACTIVE storage without addresses when it is unknown. */
name_id storage_take(struct refdb *db, struct slice name, raft_index index);

/* Repositories that use it / whose primary it is. */
uint64_t storage_replica_count(const struct refdb *db, name_id id);
uint64_t storage_primary_count(const struct refdb *db, name_id id);

/* Counts the replicas and the primary of `r` in, or out. */
void storage_count_uses(struct refdb *db, const struct repository *r, bool is_in);

struct digest storage_digest(struct slice name, struct slice record);

#endif
