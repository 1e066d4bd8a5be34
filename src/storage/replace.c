/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replacing log and index by new files that begin later: the installation of a snapshot, and
 * the last steps of a compaction (compact.c).
 *
 *   1. new files written under temporary names, synced
 *   2. state file: both logs are described, the present one and the one to come
 *   3. log renamed, index renamed, directory synced
 *   4. state file: only the new one
 *
 * Between 2 and 4 the first entry tells which log is in place; README.md, rules 20-27.
 */
#include <errno.h>

#include "base/assert.h"
#include "base/heap.h"
#include "base/teeth.h"
#include "storage/replace.h"

/* ---- 1: the new files ---- */

void replacement_add_anchor(struct replacement *r, const struct log_point *point)
{
    if (r->anchor_count == r->anchor_capacity) {
        r->anchor_capacity = r->anchor_capacity == 0 ? 64 : 2 * r->anchor_capacity;
        r->anchors = heap_grow(r->anchors, r->anchor_capacity * sizeof *r->anchors);
    }
    r->anchors[r->anchor_count++] = *point;
}

int replacement_flush(struct replacement *r)
{
    struct fs *fs = r->s->fs;
    int error = 0;

    if (r->log_bytes.size > 0) {
        error = fs->ops->write(fs, r->log, r->log_written, r->log_bytes.data, r->log_bytes.size);
    }
    if (error == 0 && r->index_bytes.size > 0) {
        error = fs->ops->write(fs, r->index, r->index_written, r->index_bytes.data,
                               r->index_bytes.size);
    }
    r->log_written += r->log_bytes.size;
    r->index_written += r->index_bytes.size;
    buffer_clear(&r->log_bytes);
    buffer_clear(&r->index_bytes);
    return error;
}

static int copy_entry(struct replacement *r, const struct entry *entry)
{
    struct slice bytes = log_scan_bytes(entry);
    const struct log_point *newest = &r->anchors[r->anchor_count - 1];
    uint8_t record[INDEX_RECORD_BYTES];

    index_record_encode(record, entry->index, r->tail.end, (uint32_t)bytes.size);
    buffer_put(&r->index_bytes, record, sizeof record);
    buffer_put_slice(&r->log_bytes, bytes);
    log_point_advance(&r->tail, bytes.data);
    if (r->tail.index - newest->index >= ANCHOR_ENTRIES ||
        r->tail.end - newest->end >= ANCHOR_BYTES) {
        replacement_add_anchor(r, &r->tail);
    }
    return r->log_bytes.size >= COPY_BYTES ? replacement_flush(r) : 0;
}

/* Checks what it copies: damage is left where it is, not given a fresh start. */
enum rk_status replacement_copy(struct replacement *r, struct log_scan *scan, raft_index last,
                                uint64_t bytes_max, struct errmsg *why)
{
    enum rk_status status = RK_OK;
    uint64_t start = r->tail.end;
    int error = 0;

    while (status == RK_OK && error == 0 && scan->at.index < last &&
           r->tail.end - start < bytes_max) {
        struct entry entry;

        status = log_scan_good(r->s, scan, &entry, why);
        if (status == RK_OK) {
            error = copy_entry(r, &entry);
        }
    }
    if (error != 0) {
        return storage_error(error, why, "write", r->log_name);
    }
    return status;
}

static enum rk_status copy_suffix(struct replacement *r, struct errmsg *why)
{
    struct storage *s = r->s;
    struct log_point start;
    struct log_scan scan;
    enum rk_status status = log_point_at(s, r->base.index, &start, why);

    if (status != RK_OK) {
        return status;
    }
    log_scan_init(&scan, s->fs, s->files->log, s->tail.end, start);
    status = replacement_copy(r, &scan, s->tail.index, UINT64_MAX, why);
    log_scan_release(&scan);
    return status;
}

void replacement_init(struct replacement *r, struct storage *s, struct log_base base)
{
    *r = (struct replacement){ .s = s, .log = -1, .index = -1 };
    r->log_name = LOG_TMP_NAME;
    r->index_name = INDEX_TMP_NAME;
    r->base = log_point_base(base.index, base.term);
    r->tail = r->base;
    replacement_add_anchor(r, &r->base);
}

enum rk_status replacement_open(struct replacement *r, struct errmsg *why)
{
    const unsigned flags = FS_WRITE | FS_CREATE | FS_TRUNC;
    enum rk_status status = storage_open_file(r->s, r->log_name, flags, &r->log, why);

    return status == RK_OK ? storage_open_file(r->s, r->index_name, flags, &r->index, why) : status;
}

static int hold_until(struct replacement *r, fs_handle file, uint64_t end, uint64_t *allocated)
{
    int error = end <= *allocated ? 0 : r->s->fs->ops->allocate(r->s->fs, file, 0, end);

    if (error == 0 && end > *allocated) {
        *allocated = end;
    }
    return error == ENOTSUP ? 0 : error;
}

enum rk_status replacement_hold_for_terms(struct replacement *r, struct errmsg *why)
{
    uint64_t records = r->tail.index - r->base.index + LOG_TERM_ENTRIES_MIN;
    int error = hold_until(r, r->log, r->tail.end + LOG_TERM_BYTES_MIN, &r->log_allocated);

    if (error == 0) {
        error = hold_until(r, r->index, records * INDEX_RECORD_BYTES, &r->index_allocated);
    }
    return error == 0 ? RK_OK : storage_error(error, why, "allocate", r->log_name);
}

enum rk_status replacement_sync(struct replacement *r, struct errmsg *why)
{
    struct fs *fs = r->s->fs;
    int error = replacement_flush(r);

    if (error == 0) {
        error = fs->ops->datasync(fs, r->log);
    }
    if (error == 0) {
        error = fs->ops->datasync(fs, r->index);
    }
    return error == 0 ? RK_OK : storage_error(error, why, "write", r->log_name);
}

void replacement_remove(struct replacement *r)
{
    struct storage *s = r->s;

    (void)s->fs->ops->unlink(s->fs, s->dir, r->log_name);
    (void)s->fs->ops->unlink(s->fs, s->dir, r->index_name);
}

void replacement_release(struct replacement *r)
{
    storage_close_file(r->s, &r->log);
    storage_close_file(r->s, &r->index);
    buffer_release(&r->log_bytes);
    buffer_release(&r->index_bytes);
    heap_free(r->anchors);
    r->anchors = NULL;
}

static enum rk_status write_new_files(struct replacement *r, bool keeps_suffix, struct errmsg *why)
{
    enum rk_status status = replacement_open(r, why);

    if (status == RK_OK && keeps_suffix && r->base.index < r->s->tail.index) {
        status = copy_suffix(r, why);
    }
    return status;
}

/* ---- 2-4: taking their place ---- */

static struct checkpoint checkpoint_of(const struct log_point *point)
{
    return (struct checkpoint){ point->index, point->term, point->hash };
}

static enum rk_status announce(struct replacement *r, struct errmsg *why)
{
    struct state_record *record = &r->s->record;

    record->flags |= STATE_HAS_PENDING;
    record->checkpoint = checkpoint_of(&r->s->synced);
    record->pending_base = (struct log_base){ r->base.index, r->base.term };
    record->pending_checkpoint = checkpoint_of(&r->tail);
    if (TOOTH(INDEX_APART_FROM_STATE)) {
        return RK_OK;
    }
    return state_save(r->s, why);
}

static enum rk_status rename_files(struct replacement *r, struct errmsg *why)
{
    struct storage *s = r->s;
    const struct fs_ops *ops = s->fs->ops;
    int error = ops->rename(s->fs, s->dir, r->log_name, LOG_NAME);

    if (error == 0) {
        error = ops->rename(s->fs, s->dir, r->index_name, INDEX_NAME);
    }
    if (error == 0 && !TOOTH(DIRECTORY_NOT_SYNCED)) {
        error = ops->sync_dir(s->fs, s->dir);
    }
    return error == 0 ? RK_OK : storage_fail(s, error, why, "rename", r->log_name);
}

static enum rk_status confirm(struct replacement *r, struct errmsg *why)
{
    struct state_record *record = &r->s->record;

    record->flags &= ~(unsigned)STATE_HAS_PENDING;
    record->base = record->pending_base;
    record->checkpoint = record->pending_checkpoint;
    record->pending_base = (struct log_base){ 0, 0 };
    record->pending_checkpoint = (struct checkpoint){ 0, 0, 0 };
    (void)repair_settle(r->s, &r->tail); /* what was set aside goes at the next start */
    return state_save(r->s, why);
}

/* Readers that hold the old files finish with them; the last one closes them. */
static void switch_files(struct replacement *r)
{
    struct storage *s = r->s;

    mutex_lock(&s->lock);
    log_files_unref_locked(s, s->files);
    s->files = log_files_new(r->log, r->index);
    heap_free(s->anchors);
    s->anchors = r->anchors;
    s->anchor_count = r->anchor_count;
    s->anchor_capacity = r->anchor_capacity;
    s->base = r->base;
    s->tail = r->tail;
    s->synced = r->tail;
    s->log_allocated = r->log_allocated > r->tail.end ? r->log_allocated : r->tail.end;
    s->index_allocated = r->index_allocated > r->index_written ? r->index_allocated
                                                               : r->index_written;
    s->is_index_dirty = false;
    s->reserve.is_measured = false;
    mutex_unlock(&s->lock);
    r->log = -1;
    r->index = -1;
    r->anchors = NULL;
    log_publish(s);
}

enum rk_status replacement_take_place(struct replacement *r, struct errmsg *why)
{
    enum rk_status status = announce(r, why);

    if (status == RK_OK) {
        status = rename_files(r, why);
    }
    if (status == RK_OK) {
        status = confirm(r, why);
    }
    if (status == RK_OK) {
        switch_files(r);
    }
    return status;
}

static enum rk_status finish_replacing(struct replacement *r, enum rk_status status,
                                       struct errmsg *why)
{
    if (status == RK_OK) {
        status = replacement_sync(r, why);
    }
    if (status == RK_OK) {
        status = replacement_take_place(r, why);
    } else {
        replacement_remove(r);
        if (status == RK_IO) {
            atomic_store(&r->s->is_failed, true);
        }
    }
    replacement_release(r);
    return status;
}

enum rk_status log_replace(struct storage *s, raft_index base_index, raft_term base_term,
                           bool keeps_suffix, struct errmsg *why)
{
    struct replacement r;
    enum rk_status status;

    replacement_init(&r, s, (struct log_base){ base_index, base_term });
    status = write_new_files(&r, keeps_suffix, why);
    return finish_replacing(&r, status, why);
}

enum rk_status storage_install(struct storage *s, raft_index last_index, raft_term last_term,
                               bool keeps_suffix, struct errmsg *why)
{
    enum rk_status status = storage_check_latch(s, why);
    struct replacement r;

    PRE(!s->is_read_only);
    PRE(last_index > s->base.index);
    PRE(!keeps_suffix || last_index <= s->tail.index);
    if (status == RK_OK) {
        status = storage_sync(s, why);
    }
    if (status != RK_OK) {
        return status;
    }
    replacement_init(&r, s, (struct log_base){ last_index, last_term });
    status = write_new_files(&r, keeps_suffix, why);
    if (status == RK_OK) {
        status = replacement_hold_for_terms(&r, why);
    }
    return finish_replacing(&r, status, why);
}
