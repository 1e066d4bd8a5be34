/* SPDX-License-Identifier: Apache-2.0 */
/* New log and index files that are to take the place of the present ones; for src/storage/. */
#ifndef STORAGE_REPLACE_H
#define STORAGE_REPLACE_H

#include "storage/storage_internal.h"

#define COPY_BYTES (1 * MIB)        /* written at a time */
#define COPY_SYNC_BYTES (256 * KIB) /* by a compaction, and synced: commits wait for no more */

struct replacement {
    struct storage *s;
    const char *log_name; /* temporary ones */
    const char *index_name;
    fs_handle log;
    fs_handle index;
    struct log_point base;
    struct log_point tail;
    struct log_point *anchors;
    size_t anchor_count;
    size_t anchor_capacity;
    struct buffer log_bytes; /* not yet written */
    struct buffer index_bytes;
    uint64_t log_allocated; /* 0 = not beforehand */
    uint64_t index_allocated;
    uint64_t log_written;
    uint64_t index_written;
};

void replacement_init(struct replacement *r, struct storage *s, struct log_base base);
void replacement_release(struct replacement *r);
void replacement_add_anchor(struct replacement *r, const struct log_point *point);
/* Creates the files under their temporary names. */
enum rk_status replacement_open(struct replacement *r, struct errmsg *why);
/* Copies entries from `scan`, which stands at r->tail, up to `last` and about `bytes_max`. */
enum rk_status replacement_copy(struct replacement *r, struct log_scan *scan, raft_index last,
                                uint64_t bytes_max, struct errmsg *why);
int replacement_flush(struct replacement *r); /* writes what was copied */
/* Space for the first entries of terms behind what was copied: once the old files are gone others
 * may have theirs.  Errors: NOSPACE, IO. */
enum rk_status replacement_hold_for_terms(struct replacement *r, struct errmsg *why);
enum rk_status replacement_sync(struct replacement *r, struct errmsg *why);
/* The files are whole and durable: state, renames, directory, state; then they are the log.
 * Thread: the writer.  A failure latches. */
enum rk_status replacement_take_place(struct replacement *r, struct errmsg *why);
/* Removes the files of one that came to nothing. */
void replacement_remove(struct replacement *r);

#endif
