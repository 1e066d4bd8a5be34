/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading log and index at open: what a crash left, what was damaged, what is foreign.
 * README.md, rules 10-19, says why each judgement is safe.
 */
#include "storage/recovery.h"

#include "base/assert.h"
#include "base/heap.h"
#include "base/teeth.h"

/* ---- Which log is it? ---- */

static bool read_first_index(struct recovery *r, raft_index *ret_index)
{
    struct storage *s = r->s;
    uint8_t header[ENTRY_HEADER_BYTES];
    size_t got = 0;

    if (storage_read_again(s->fs, s->files->log, 0, header, sizeof header, &got) != 0 ||
        got < sizeof header) {
        return false;
    }
    *ret_index = get_be64(header + 8);
    return *ret_index != 0;
}

/*
 * A replacement of the log was announced and the crash may have come before or after the
 * rename: the first entry tells.  An empty log is the new one: the old one would have had to
 * be empty as well, and then both are the same.
 */
static void choose_base(struct recovery *r)
{
    struct state_record *record = &r->s->record;
    struct log_base base = record->base;
    raft_index first;

    r->checkpoint = record->checkpoint;
    if ((record->flags & STATE_HAS_PENDING) != 0 &&
        (!read_first_index(r, &first) || first == record->pending_base.index + 1)) {
        base = record->pending_base;
        r->checkpoint = record->pending_checkpoint;
    }
    r->s->base = log_point_base(base.index, base.term);
}

/* ---- The witnesses ---- */

static enum rk_status read_index_chunk(struct recovery *r, uint64_t record, size_t *ret_count,
                                       struct errmsg *why)
{
    struct storage *s = r->s;
    size_t got = 0;
    int error = 0;

    if (s->files->index >= 0) { /* read only, it may be missing */
        error = storage_read_again(s->fs, s->files->index, record * INDEX_RECORD_BYTES, r->found,
                                   INDEX_CHUNK_BYTES, &got);
    }
    if (error != 0) {
        return storage_error(error, why, "read", INDEX_NAME);
    }
    memset(r->found + got, 0, INDEX_CHUNK_BYTES - got);
    *ret_count = got / INDEX_RECORD_BYTES;
    return RK_OK;
}

/* Looks from the end, for the newest record that names the index of its own position. */
static enum rk_status find_witness(struct recovery *r, struct errmsg *why)
{
    uint64_t records = r->index_bytes / INDEX_RECORD_BYTES;
    uint64_t chunk = records / INDEX_CHUNK_RECORDS + 1;
    raft_index base = r->s->base.index;
    bool follower_is_bad =
        false; /* the record behind the one looked at is neither zero nor right */

    while (chunk-- > 0) {
        size_t count;
        enum rk_status status = read_index_chunk(r, chunk * INDEX_CHUNK_RECORDS, &count, why);

        if (status != RK_OK) {
            return status;
        }
        while (count-- > 0) {
            const uint8_t *record = r->found + count * INDEX_RECORD_BYTES;
            raft_index index = base + 1 + chunk * INDEX_CHUNK_RECORDS + count;

            if (get_be64(record) == index) {
                r->witnessed_bytes = get_be64(record + 8) + get_be32(record + 16);
                r->witness = index > r->witness ? index : r->witness;
                r->suspect = follower_is_bad && index == r->witness ? index + 1 : 0;
                return RK_OK;
            }
            follower_is_bad = !storage_is_zero(slice_of(record, INDEX_RECORD_BYTES));
        }
    }
    return RK_OK;
}

/* The index counts only when it begins with the record of this log's first entry, or, should that
 * one have rotted, goes on with that of the second. */
static enum rk_status judge_index(struct recovery *r, struct errmsg *why)
{
    raft_index first = r->s->base.index + 1;
    const uint8_t *second = r->found + INDEX_RECORD_BYTES;
    size_t count = 0;
    enum rk_status status = read_index_chunk(r, 0, &count, why);

    if (status != RK_OK) {
        return status;
    }
    r->witness = r->checkpoint.index;
    r->index_belongs = (count > 0 && get_be64(r->found) == first && get_be64(r->found + 8) == 0) ||
                       (count > 1 && get_be64(second) == first + 1 &&
                        get_be64(second + 8) >= ENTRY_HEADER_BYTES &&
                        get_be64(second + 8) <= ENTRY_BYTES_MAX);
    return r->index_belongs ? find_witness(r, why) : RK_OK;
}

/* ---- The index follows the log ---- */

/* Compares a chunk of records with the file and writes it where it differs.  All entries they
 * name are durable: the log was synced before it was read. */
static enum rk_status flush_index_chunk(struct recovery *r, struct errmsg *why)
{
    struct storage *s = r->s;
    size_t size = r->expected_count * INDEX_RECORD_BYTES;
    uint64_t record = s->tail.index - s->base.index - r->expected_count;
    size_t count;
    enum rk_status status;
    int error;

    if (r->expected_count == 0) {
        return RK_OK;
    }
    status = read_index_chunk(r, record, &count, why);
    r->expected_count = 0;
    if (status != RK_OK || memcmp(r->found, r->expected, size) == 0) {
        return status;
    }
    r->index_written = true;
    if (s->is_read_only) {
        return RK_OK;
    }
    error = s->fs->ops->write(s->fs, s->files->index, record * INDEX_RECORD_BYTES, r->expected,
                              size);
    return error == 0 ? RK_OK : storage_error(error, why, "write", INDEX_NAME);
}

static enum rk_status accept_entry(struct recovery *r, const struct log_point *next,
                                   struct errmsg *why)
{
    struct storage *s = r->s;
    uint64_t offset = s->tail.end;
    const struct log_point *newest = &s->anchors[s->anchor_count - 1];

    index_record_encode(r->expected + r->expected_count * INDEX_RECORD_BYTES, next->index, offset,
                        (uint32_t)(next->end - offset));
    r->expected_count++;
    s->tail = *next;
    if (next->index - newest->index >= ANCHOR_ENTRIES || next->end - newest->end >= ANCHOR_BYTES) {
        log_add_anchor(s, next);
    }
    return r->expected_count == INDEX_CHUNK_RECORDS ? flush_index_chunk(r, why) : RK_OK;
}

/* ---- The log decides content ---- */

void recovery_describe(const struct recovery *r, const char *advice, struct errmsg *why)
{
    const struct storage *s = r->s;
    const char *what = r->verdict == ENTRY_ABSENT  ? "is missing"
                       : r->verdict == ENTRY_SHORT ? "is cut off"
                                                   : "is damaged";

    errmsg_set(why,
               "%s/%s: entry %llu at offset %llu %s although it was durable (entries up to %llu "
               "were)%s",
               s->data_dir, LOG_NAME, (unsigned long long)s->tail.index + 1,
               (unsigned long long)s->tail.end, what, (unsigned long long)r->witness, advice);
}

static enum rk_status check_checkpoint(const struct recovery *r, struct errmsg *why)
{
    const struct storage *s = r->s;

    if (s->tail.index != r->checkpoint.index || r->is_covered ||
        (s->tail.hash == r->checkpoint.hash && s->tail.term == r->checkpoint.term)) {
        return RK_OK;
    }
    errmsg_set(why,
               "%s/%s is intact but is not the log that %s belongs to (they differ at or before "
               "entry %llu, offset %llu): was one of them copied from elsewhere? If so put the "
               "right one back, else empty the directory and run `refkeeper member replace`",
               s->data_dir, LOG_NAME, STATE_NAME, (unsigned long long)s->tail.index,
               (unsigned long long)s->tail.end);
    return RK_FOREIGN;
}

/* What ends the log: nothing more, or a torn tail, or damage. */
static void judge_end(struct recovery *r, enum entry_verdict verdict, struct errmsg *damage)
{
    raft_index index = r->s->tail.index + 1;

    if (TOOTH(ROT_TRUNCATED) || (TOOTH(LENGTH_TRUSTED) && verdict == ENTRY_SHORT)) {
        return;
    }
    r->is_damaged = index <= r->witness || (index == r->suspect && verdict != ENTRY_ABSENT);
    r->verdict = verdict;
    if (r->is_damaged) {
        recovery_describe(r, "", damage);
    }
}

/* What cannot be read is no torn tail: it may be an entry that was acknowledged. */
static enum rk_status check_end_was_read(const struct recovery *r, struct errmsg *why)
{
    const struct storage *s = r->s;

    if (r->believed_bytes == r->log_bytes) {
        return RK_OK;
    }
    errmsg_set(why,
               "%s/%s cannot be read at offset %llu, behind entry %llu: nothing was changed; start "
               "again, and should it stay so, empty the directory and run `refkeeper member "
               "replace`",
               s->data_dir, LOG_NAME, (unsigned long long)r->believed_bytes,
               (unsigned long long)s->tail.index);
    return RK_IO;
}

enum rk_status recovery_scan(struct recovery *r, struct errmsg *damage, struct errmsg *why)
{
    struct storage *s = r->s;
    uint64_t limit = r->believed_bytes > s->tail.end ? r->believed_bytes : s->tail.end;
    struct log_scan scan;
    enum rk_status status = check_checkpoint(r, why);

    log_scan_init(&scan, s->fs, s->files->log, limit, s->tail);
    while (status == RK_OK) {
        enum entry_verdict verdict = ENTRY_BAD;
        struct entry entry;

        status = log_scan_next(&scan, &verdict, &entry);
        if (status != RK_OK) {
            (void)storage_error(scan.error, why, "read", LOG_NAME);
            break;
        }
        if (verdict != ENTRY_GOOD) {
            judge_end(r, verdict, damage);
            status = r->is_damaged ? RK_OK : check_end_was_read(r, why);
            break;
        }
        status = accept_entry(r, &scan.at, why);
        if (status == RK_OK) {
            status = check_checkpoint(r, why);
        }
    }
    log_scan_release(&scan);
    return status == RK_OK ? flush_index_chunk(r, why) : status;
}

static enum rk_status scan_all(struct recovery *r, struct errmsg *damage, struct errmsg *why)
{
    struct storage *s = r->s;

    s->tail = s->base;
    s->anchor_count = 0;
    log_add_anchor(s, &s->base);
    return recovery_scan(r, damage, why);
}

static enum rk_status check_terms(const struct storage *s, struct errmsg *why)
{
    if (s->tail.term <= s->record.state.current_term) {
        return RK_OK;
    }
    errmsg_set(why,
               "%s/%s has entries of term %llu, but %s knows terms only up to %llu: it was put "
               "back from an old copy and may have forgotten a vote; empty the directory and run "
               "`refkeeper member replace`",
               s->data_dir, LOG_NAME, (unsigned long long)s->tail.term, STATE_NAME,
               (unsigned long long)s->record.state.current_term);
    return RK_FOREIGN;
}

/* ---- Opening the files ---- */

/* Empty, and found damaged if anything is known to have been in it. */
static enum rk_status create_log(struct storage *s, struct errmsg *why)
{
    enum rk_status status = storage_open_file(s, LOG_NAME, FS_WRITE | FS_CREATE, &s->files->log,
                                              why);
    int error = status == RK_OK ? s->fs->ops->sync_dir(s->fs, s->dir) : 0;

    return error == 0 ? status : storage_error(error, why, "create", LOG_NAME);
}

/* Syncs what a killed process may have left in the page cache: it is about to be believed. */
static enum rk_status open_log(struct recovery *r, struct errmsg *why)
{
    struct storage *s = r->s;
    unsigned flags = s->is_read_only ? FS_READ : FS_WRITE;
    enum rk_status status;
    int error = 0;

    status = storage_open_file(s, LOG_NAME, flags, &s->files->log, why);
    if (status == RK_NOT_FOUND && repair_is_possible(s)) {
        status = create_log(s, why);
    }
    if (status == RK_NOT_FOUND) {
        errmsg_set(why,
                   "%s/%s is missing although this member has one: put it back, or empty the "
                   "directory and run `refkeeper member replace`",
                   s->data_dir, LOG_NAME);
        return RK_CORRUPT;
    }
    if (status == RK_OK && !s->is_read_only) {
        error = s->fs->ops->datasync(s->fs, s->files->log);
    }
    if (status == RK_OK && error == 0) {
        error = s->fs->ops->size(s->fs, s->files->log, &r->log_bytes);
    }
    return error == 0 ? status : storage_error(error, why, "sync", LOG_NAME);
}

static enum rk_status open_index(struct recovery *r, struct errmsg *why)
{
    struct storage *s = r->s;
    unsigned flags = s->is_read_only ? FS_READ : FS_WRITE;
    enum rk_status status;
    int error;

    status = storage_open_file(s, INDEX_NAME, flags, &s->files->index, why);
    if (status == RK_NOT_FOUND && s->is_read_only) {
        r->witness = r->checkpoint.index;
        return RK_OK;
    }
    if (status == RK_NOT_FOUND) {
        status = storage_open_file(s, INDEX_NAME, FS_WRITE | FS_CREATE, &s->files->index, why);
        error = status == RK_OK ? s->fs->ops->sync_dir(s->fs, s->dir) : 0;
        if (error != 0) {
            return storage_error(error, why, "create", INDEX_NAME);
        }
    }
    if (status != RK_OK) {
        return status;
    }
    error = s->fs->ops->size(s->fs, s->files->index, &r->index_bytes);
    if (error != 0) {
        return storage_error(error, why, "read", INDEX_NAME);
    }
    return judge_index(r, why);
}

/* The next piece; false at the end, or where the log cannot be read. */
static bool read_to_rewrite(struct recovery *r, uint64_t offset, uint8_t *bytes, size_t *ret_size)
{
    struct storage *s = r->s;
    size_t sector = SECTOR_BYTES - (size_t)(offset % SECTOR_BYTES);
    int error = storage_read_again(s->fs, s->files->log, offset, bytes, LOG_REWRITE_BYTES,
                                   ret_size);

    if (error != 0) {
        error = storage_read_again(s->fs, s->files->log, offset, bytes, sector, ret_size);
    }
    if (error != 0) {
        r->believed_bytes = offset;
    }
    return error == 0 && *ret_size > 0;
}

/*
 * Writes once more what no record vouches for.  When a sync fails the kernel takes the pages for
 * written, and no later sync writes them: the process that died of it left bytes that can be
 * read, but would not outlive a power cut.  Where they cannot be read nothing is believed, also
 * should a later read get them.
 * Space taken ahead reads as zeros whether they were written or not, so zeros are passed over;
 * the last piece is not: writing it makes the size durable as well.
 */
static enum rk_status rewrite_unwitnessed(struct recovery *r, struct errmsg *why)
{
    struct storage *s = r->s;
    const struct fs_ops *ops = s->fs->ops;
    uint64_t offset = r->witnessed_bytes <= r->log_bytes ? r->witnessed_bytes : 0;
    uint8_t *bytes;
    size_t got = 0;
    int error = 0;

    r->believed_bytes = r->log_bytes;
    if (s->is_read_only || offset == r->log_bytes) {
        return RK_OK;
    }
    bytes = heap_alloc(LOG_REWRITE_BYTES);
    while (error == 0 && read_to_rewrite(r, offset, bytes, &got)) {
        if (offset + got >= r->log_bytes || !storage_is_zero(slice_of(bytes, got))) {
            error = ops->write(s->fs, s->files->log, offset, bytes, got);
        }
        offset += got;
    }
    heap_free(bytes);
    if (error == 0) {
        error = ops->datasync(s->fs, s->files->log);
    }
    return error == 0 ? RK_OK : storage_error(error, why, "write", LOG_NAME);
}

/* A foreign index is emptied first: half overwritten it would pass for ours. */
static enum rk_status drop_foreign_index(struct recovery *r, struct errmsg *why)
{
    struct storage *s = r->s;
    int error;

    if (r->index_belongs || r->index_bytes == 0 || s->is_read_only) {
        return RK_OK;
    }
    error = s->fs->ops->truncate(s->fs, s->files->index, 0);
    if (error == 0) {
        error = s->fs->ops->datasync(s->fs, s->files->index);
    }
    r->index_bytes = 0;
    return error == 0 ? RK_OK : storage_error(error, why, "truncate", INDEX_NAME);
}

static enum rk_status log_recover_steps(struct recovery *r, struct storage_recovered *recovered,
                                        struct errmsg *why)
{
    struct storage *s = r->s;
    enum rk_status status = open_log(r, why);
    bool had_records;

    if (status != RK_OK) {
        return status;
    }
    choose_base(r);
    status = open_index(r, why);
    had_records = r->index_bytes > 0;
    if (status == RK_OK) {
        status = rewrite_unwitnessed(r, why);
    }
    if (status == RK_OK) {
        status = drop_foreign_index(r, why);
    }
    if (status == RK_OK) {
        status = scan_all(r, &recovered->damage, why);
    }
    if (status == RK_OK && r->is_damaged) {
        status = recovery_damage(r, recovered, why);
    }
    if (status == RK_OK) {
        status = check_terms(s, why);
    }
    if (status == RK_OK && !r->is_damaged) {
        status = recovery_measure_tail(r, &recovered->torn_bytes, why);
    }
    if (status == RK_OK) {
        status = recovery_cut_tail(r, why);
    }
    recovered->is_index_rebuilt = s->tail.index > s->base.index && !r->index_belongs &&
                                  (had_records || r->index_written);
    return status;
}

enum rk_status log_recover(struct storage *s, struct storage_recovered *recovered,
                           struct errmsg *why)
{
    struct recovery r = { .s = s };
    enum rk_status status;

    r.found = heap_alloc(INDEX_CHUNK_BYTES);
    r.expected = heap_alloc(INDEX_CHUNK_BYTES);
    s->files = log_files_new(-1, -1);
    status = log_recover_steps(&r, recovered, why);
    heap_free(r.found);
    heap_free(r.expected);
    if (status == RK_OK) {
        s->synced = s->tail;
        s->record.base = (struct log_base){ s->base.index, s->base.term };
        s->record.checkpoint = (struct checkpoint){ s->tail.index, s->tail.term, s->tail.hash };
        s->record.flags &= ~(unsigned)STATE_HAS_PENDING;
        log_publish(s);
    }
    return status;
}
