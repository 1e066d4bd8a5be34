/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of this node: when one is taken, how one travels, how one is installed.
 *
 *   take     freeze the map (loop), dump and write it (worker), thaw, tell the core what
 *            may be compacted, compact (writer)
 *   send     see snapshot_transfer.h
 *   install  when all of it was received: verify and load (worker), ask the core, reset the
 *            log (writer), swap the map (loop)
 *
 * Thread: the loop.
 */
#ifndef NODE_SNAPSHOTS_H
#define NODE_SNAPSHOTS_H

#include "node/snapshot_transfer.h"
#include "raft/raft.h"
#include "storage/snapshot.h"

struct node;
struct refdb;
struct refdb_view;
struct storage_compaction;
struct writer_report;

struct snapshots {
    raft_index last_index; /* newest durable one; 0 = none */
    raft_term last_term;
    uint64_t last_bytes;       /* of its file; 0 = not known */
    uint64_t last_state_bytes; /* of the state in it, as refdb_gauges counts them */
    raft_index older_index;    /* the one before; the log is never cut beyond it */
    time_ms taken_ms;          /* when the newest was taken, or the node started */
    uint64_t applied_bytes;    /* since then */
    bool is_taking;
    bool is_compacting;                    /* copied, or finished by the writer */
    struct storage_compaction *compaction; /* copied; NULL = none */
    time_ms compaction_ms;                 /* when the newest began */
    struct snapshot_transfer transfer;

    bool is_loading;      /* on the worker */
    struct refdb *loaded; /* verified and loaded, waiting for the core's word */
    struct snapshot_meta loaded_meta;
    bool is_installing; /* the writer resets the log: nothing is applied meanwhile */

    uint64_t taken_total, installed_total;
};

/* End of a turn: takes one when due, sends chunks. */
void snapshots_turn(struct node *n);

/* Notes what the newest one takes, which has just been loaded from it. */
void snapshots_note_size(struct node *n);

/* Asks for one now.  False when one is being taken or nothing was applied since the last. */
bool snapshots_take(struct node *n);

/* The writer has cut the log's front. */
void snapshots_compacted(struct node *n, raft_index first_index);

/* Where the log may begin. */
raft_index compaction_index(const struct node *n);
/* Cuts the log's front as far as it may be, unless that is being done. */
void compaction_start(struct node *n);
void compaction_turn(struct node *n);
void compaction_finished(struct node *n, const struct writer_report *report);
void compaction_release(struct node *n);

/* The core has decided to install what was loaded. */
void snapshots_install(struct node *n, raft_index last_index, raft_term last_term,
                       bool keeps_suffix);

/* The writer has reset the log. */
void snapshots_installed(struct node *n);

/* Reads, verifies and loads a snapshot file.  Any thread.  Errors: CORRUPT, FOREIGN, IO,
 * UNSUPPORTED. */
enum rk_status snapshots_load(const char *data_dir, raft_index last_index, raft_term last_term,
                              struct snapshot_meta *ret_meta, struct refdb **ret_refdb,
                              struct errmsg *why) MUST_USE;

void snapshots_release(struct node *n);

#endif
