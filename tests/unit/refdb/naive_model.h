/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of refdb once more, over plain arrays and with linear searches: slow, small, and
 * written without a look at the real thing.  Its results are what the real ones must be.
 */
#ifndef TESTS_REFDB_NAIVE_MODEL_H
#define TESTS_REFDB_NAIVE_MODEL_H

#include "refdb/refdb.h"

#define NAIVE_REFS 20     /* names there are */
#define NAIVE_REPOS 40    /* repositories at a time */
#define NAIVE_STORAGES 5  /* names there are */
#define NAIVE_ITEMS 8     /* updates of a batch */
#define NAIVE_SESSIONS 64 /* the last so many are known */
#define NAIVE_RESULTS 64  /* kept per session */
#define NAIVE_PATH_MAX 200

extern const char *const naive_ref_names[NAIVE_REFS];
extern const char *const naive_storage_names[NAIVE_STORAGES];
extern const char *const naive_actors[3]; /* the first is "" */

struct naive_item {
    enum rk_status status;
    enum refdb_outcome outcome;
    unsigned current; /* number of the oid */
    raft_index current_index;
    const char *actor;
    char detail[NAIVE_PATH_MAX + 1];
};

struct naive_result {
    unsigned count;
    struct naive_item items[NAIVE_ITEMS];
    bool is_replay;
    raft_index replay_index;
};

struct naive_repository {
    char path[NAIVE_PATH_MAX + 1];
    uint64_t id, epoch;
    raft_index last_index;
    unsigned oid_bytes; /* 0 = not known */
    enum repository_state state;
    char reason[16];
    const char *head;
    bool has_replica[NAIVE_STORAGES];
    unsigned primary;
    struct {
        unsigned value; /* 0 = absent; from 100 on it has 32 bytes */
        raft_index index;
        const char *actor;
    } refs[NAIVE_REFS];
};

struct naive_session {
    uint64_t id, floor, last_ms;
    unsigned count;
    struct {
        uint64_t sequence;
        struct naive_result result;
        raft_index index;
    } results[NAIVE_RESULTS];
};

struct naive {
    unsigned repository_count;
    struct naive_repository repositories[NAIVE_REPOS];
    bool has_storage[NAIVE_STORAGES];
    enum storage_state storage_states[NAIVE_STORAGES];
    unsigned tombstone_count;
    struct {
        char path[NAIVE_PATH_MAX + 1];
        raft_index index;
    } tombstones[2000];
    uint64_t now_ms;
    unsigned session_count;
    struct naive_session sessions[NAIVE_SESSIONS];

    /* Of the command at hand. */
    raft_index index;
    unsigned flags; /* enum envelope_flags */
    uint64_t demanded_id, demanded_epoch;
    unsigned demanded_storage;
    const char *actor;
    struct naive_result result;
};

struct naive_update {
    unsigned ref;
    int old;            /* -1 any, 0 absent */
    unsigned new_value; /* 0 = delete */
};

unsigned naive_oid_bytes(unsigned value);
struct naive_repository *naive_find(struct naive *m, const char *path);

void naive_update_refs(struct naive *m, const char *path, const struct naive_update *updates,
                       unsigned count, bool is_atomic);
void naive_register(struct naive *m, const char *path, unsigned storage);
void naive_create(struct naive *m, const char *path, unsigned primary, unsigned replica,
                  enum object_format format);
void naive_remove(struct naive *m, const char *path);
void naive_rename(struct naive *m, const char *from, const char *to);
void naive_rename_prefix(struct naive *m, const char *from, const char *to);
void naive_set_primary(struct naive *m, unsigned storage, const char *const *paths, unsigned count);
void naive_set_head(struct naive *m, const char *path, const char *head);
void naive_set_state(struct naive *m, const char *path, enum repository_state state,
                     const char *reason);
void naive_remove_replica(struct naive *m, const char *path, unsigned storage);
void naive_set_storage(struct naive *m, unsigned storage, enum storage_state state);
void naive_remove_storage(struct naive *m, unsigned storage);
void naive_open_session(struct naive *m);

/* False when the result is known without executing: expired or replayed. */
bool naive_enter_session(struct naive *m, uint64_t id, uint64_t sequence, uint64_t lowest);
void naive_leave_session(struct naive *m, uint64_t id, uint64_t sequence);

#endif
