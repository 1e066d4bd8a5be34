/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An entry that was durable is not good any more: a snapshot has it, or others have it, or the
 * directory is refused.  README.md, rules 60-66.
 */
#include <stdio.h>

#include "storage/recovery.h"

static enum rk_status refuse_entry(const struct recovery *r, struct errmsg *why)
{
    char advice[192];

    (void)snprintf(advice, sizeof advice,
                   "; nothing was changed: see `refkeeper fsck %s`, and with a healthy majority "
                   "empty the directory and run `refkeeper member replace`",
                   r->s->data_dir);
    recovery_describe(r, advice, why);
    return RK_CORRUPT;
}

/* The entry's place as the index has it, when that can be. */
static bool read_record(const struct recovery *r, raft_index index, uint64_t *ret_offset,
                        uint32_t *ret_size)
{
    const struct storage *s = r->s;
    uint8_t record[INDEX_RECORD_BYTES];
    uint64_t at = (index - s->record.base.index - 1) * INDEX_RECORD_BYTES;
    size_t got = 0;

    if (!r->index_belongs || index <= s->record.base.index ||
        s->fs->ops->read(s->fs, s->files->index, at, record, sizeof record, &got) != 0 ||
        got < sizeof record || get_be64(record) != index) {
        return false;
    }
    *ret_offset = get_be64(record + 8);
    *ret_size = get_be32(record + 16);
    return *ret_size > ENTRY_HEADER_BYTES && *ret_size <= ENTRY_BYTES_MAX &&
           *ret_offset <= r->log_bytes && *ret_size <= r->log_bytes - *ret_offset;
}

/*
 * How far the log reached: at least to the last witness, and as far as good entries follow it,
 * which may have been acknowledged before their records were synced.  The term of a last entry
 * that is damaged itself is at most the newest one that the state file knows.
 */
static struct log_base find_reach(const struct recovery *r)
{
    const struct storage *s = r->s;
    raft_index last = r->witness > s->tail.index ? r->witness : s->tail.index + 1;
    struct log_base reach = { last, s->record.newest_term };
    struct log_point start = { .index = last - 1 };
    enum entry_verdict verdict = ENTRY_GOOD;
    struct log_scan scan;
    struct entry entry;
    uint32_t size;

    reach.term = reach.term > s->tail.term ? reach.term : s->tail.term;
    if (!read_record(r, last, &start.end, &size)) {
        return reach;
    }
    log_scan_init(&scan, s->fs, s->files->log, r->log_bytes, start);
    if (log_scan_next(&scan, &verdict, &entry) != RK_OK || verdict != ENTRY_GOOD) {
        log_scan_release(&scan);
        start = (struct log_point){ .index = last, .end = start.end + size };
        log_scan_init(&scan, s->fs, s->files->log, r->log_bytes, start);
    }
    while (log_scan_next(&scan, &verdict, &entry) == RK_OK && verdict == ENTRY_GOOD) {
    }
    if (scan.at.term != 0) {
        reach = (struct log_base){ scan.at.index, scan.at.term };
    }
    log_scan_release(&scan);
    return reach;
}

/*
 * A snapshot has what is damaged: the log is replaced by what follows it.  What is damaged
 * behind it remains in r->is_damaged.
 */
static enum rk_status skip_covered(struct recovery *r, struct storage_recovered *recovered,
                                   struct errmsg *why)
{
    struct storage *s = r->s;
    struct log_point start = log_point_base(recovered->snapshot_last_index,
                                            recovered->snapshot_last_term);
    uint64_t offset;
    uint32_t size;

    if (start.index <= s->tail.index || s->is_read_only ||
        !read_record(r, start.index, &offset, &size)) {
        return RK_OK;
    }
    start.end = offset + size;
    s->anchor_count = 0;
    log_add_anchor(s, &start);
    s->tail = start;
    r->is_damaged = false;
    r->is_covered = true;
    return recovery_scan(r, &recovered->damage, why);
}

/* The state file first: what is cut off afterwards is known to be missing from then on. */
static enum rk_status mark_damage(struct recovery *r, struct errmsg *why)
{
    struct storage *s = r->s;
    enum rk_status status = repair_set_aside(s, s->tail.index + 1, s->tail.end, why);

    repair_mark(s, s->tail.index + 1, find_reach(r));
    if (status != RK_OK || r->is_covered) {
        return status; /* replacing the log saves it */
    }
    s->record.checkpoint = (struct checkpoint){ s->tail.index, s->tail.term, s->tail.hash };
    return state_save(s, why);
}

/* The old log stays described as it was until the new one is in its place. */
static enum rk_status replace_covered(struct recovery *r, struct errmsg *why)
{
    struct storage *s = r->s;
    struct log_point base = s->anchors[0];
    enum rk_status status;

    s->synced = (struct log_point){ .index = r->checkpoint.index,
                                    .term = r->checkpoint.term,
                                    .hash = r->checkpoint.hash };
    status = log_replace(s, base.index, base.term, true, why);
    r->log_bytes = s->tail.end;
    r->index_bytes = s->index_allocated;
    return status;
}

enum rk_status recovery_damage(struct recovery *r, struct storage_recovered *recovered,
                               struct errmsg *why)
{
    struct storage *s = r->s;
    enum rk_status status;

    s->record.base = (struct log_base){ s->base.index, s->base.term };
    status = skip_covered(r, recovered, why);
    if (status == RK_OK && r->is_damaged && !repair_is_possible(s)) {
        status = refuse_entry(r, why);
    }
    if (status != RK_OK) {
        return status;
    }
    s->record.flags &= ~(unsigned)STATE_HAS_PENDING;
    s->record.checkpoint = r->checkpoint;
    if (r->is_damaged) {
        status = mark_damage(r, why);
    }
    if (status == RK_OK && r->is_covered) {
        recovered->is_damage_covered = true;
        status = replace_covered(r, why);
    }
    return status;
}
