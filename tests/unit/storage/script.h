/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One life of a storage that touches everything - appends, syncs, truncation, state, snapshots,
 * compaction, installation, restarts - and what must be true whenever it is cut short.
 */
#ifndef TESTS_STORAGE_SCRIPT_H
#define TESTS_STORAGE_SCRIPT_H

#include "support/fs_faulty.h"
#include "support/fs_memory.h"
#include "support/store.h"

enum { SCRIPT_INDEX_MAX = 2048 };

/* What the script was promised, and what it tried. */
struct promise {
    raft_term acked[SCRIPT_INDEX_MAX];   /* term of the acknowledged entry, 0 = none */
    uint32_t possible[SCRIPT_INDEX_MAX]; /* bit t: an entry of term t may be there */
    raft_term term, vote;                /* saved */
    raft_term term_tried, vote_tried;    /* being saved */
    raft_index snapshot;                 /* committed */
    uint64_t boot_count;
};

struct script {
    struct fs_memory *memory;
    struct fs_faulty faulty;
    struct store t;
    struct promise promise;
    bool acks_before_sync; /* a planted bug */
    const char *step;      /* the one that did not succeed; NULL = all did */
    enum rk_status status; /* of that step */
    time_ms now_ms;
};

/* With or without space allocated ahead. */
struct script *script_new(bool can_allocate);
void script_free(struct script *x);

/* Runs until a step fails or the end. */
void script_run(struct script *x);

/* Opens the directory without faults and compares with the promise.  NULL = as it should be, else
 * what is wrong (static storage).  Leaves the store closed. */
const char *script_check(struct script *x);

#endif
