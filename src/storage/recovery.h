/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that read log and index at open share; nobody else includes it. */
#ifndef STORAGE_RECOVERY_H
#define STORAGE_RECOVERY_H

#include "storage/storage_internal.h"

#define INDEX_CHUNK_RECORDS 4096
#define LOG_REWRITE_BYTES (64 * KIB)
#define INDEX_CHUNK_BYTES (INDEX_CHUNK_RECORDS * INDEX_RECORD_BYTES)

struct recovery {
    struct storage *s;
    struct checkpoint checkpoint; /* of the log that was found: before or after a replacement */
    uint64_t log_bytes;
    uint64_t believed_bytes; /* of the log: what lies behind could not be read, so not be vouched */
    uint64_t index_bytes;
    bool index_belongs;
    raft_index witness;       /* the newest entry known to have been durable */
    uint64_t witnessed_bytes; /* of the log, at least: up to the end of the newest record's entry */
    raft_index suspect;       /* witness + 1 when an unreadable record follows it, else 0 */
    uint8_t *found;           /* the chunk of the index being compared, as on disk */
    uint8_t *expected;        /* and as the log says */
    size_t expected_count;
    bool index_written;
    enum entry_verdict verdict; /* on what ended the scan */
    bool is_damaged;            /* an entry that was durable; see s->tail */
    bool is_covered;            /* the scan went on behind a snapshot */
};

/* From s->tail on, which has an anchor, to the first entry that is not good. */
enum rk_status recovery_scan(struct recovery *r, struct errmsg *damage, struct errmsg *why);

/* Says what ended the scan, and `advice` after it. */
void recovery_describe(const struct recovery *r, const char *advice, struct errmsg *why);

/* r->is_damaged: marks it, or drops it from the log, or says why neither can be. */
enum rk_status recovery_damage(struct recovery *r, struct storage_recovered *recovered,
                               struct errmsg *why);

/* Bytes from the end of the log to the last one that is not zero. */
enum rk_status recovery_measure_tail(const struct recovery *r, uint64_t *ret_bytes,
                                     struct errmsg *why);
/* Behind the last good entry both files hold nothing but zeros, durably. */
enum rk_status recovery_cut_tail(struct recovery *r, struct errmsg *why);

#endif
