/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replacing log and index by new files that begin later: compaction and the installation of
 * a snapshot.
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
#include "storage/storage_internal.h"

#define COPY_BYTES (1 * MIB)

struct replacement {
    struct storage *s;
    fs_handle log;
    fs_handle index;
    struct log_point base;
    struct log_point tail;
    struct log_point *anchors;
    size_t anchor_count;
    size_t anchor_capacity;
    struct buffer log_bytes; /* not yet written */
    struct buffer index_bytes;
    uint64_t log_written;
    uint64_t index_written;
};

/* ---- 1: the new files ---- */

static void add_anchor(struct replacement *r, const struct log_point *point)
{
    if (r->anchor_count == r->anchor_capacity) {
        r->anchor_capacity = r->anchor_capacity == 0 ? 64 : 2 * r->anchor_capacity;
        r->anchors = heap_grow(r->anchors, r->anchor_capacity * sizeof *r->anchors);
    }
    r->anchors[r->anchor_count++] = *point;
}

static int flush_copy(struct replacement *r)
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
        add_anchor(r, &r->tail);
    }
    return r->log_bytes.size >= COPY_BYTES ? flush_copy(r) : 0;
}

/* Checks what it copies: damage is left where it is, not given a fresh start. */
static enum rk_status copy_suffix(struct replacement *r, struct errmsg *why)
{
    struct storage *s = r->s;
    struct log_point start;
    struct log_scan scan;
    enum rk_status status = log_point_at(s, r->base.index, &start, why);
    int error = 0;

    if (status != RK_OK) {
        return status;
    }
    log_scan_init(&scan, s->fs, s->files->log, s->tail.end, start);
    while (status == RK_OK && error == 0 && scan.at.index < s->tail.index) {
        struct entry entry;

        status = log_scan_good(s, &scan, &entry, why);
        if (status == RK_OK) {
            error = copy_entry(r, &entry);
        }
    }
    log_scan_release(&scan);
    if (error != 0) {
        return storage_error(error, why, "write", LOG_TMP_NAME);
    }
    return status;
}

static enum rk_status write_new_files(struct replacement *r, bool keeps_suffix, struct errmsg *why)
{
    struct storage *s = r->s;
    const unsigned flags = FS_WRITE | FS_CREATE | FS_TRUNC;
    enum rk_status status = storage_open_file(s, LOG_TMP_NAME, flags, &r->log, why);
    int error;

    if (status == RK_OK) {
        status = storage_open_file(s, INDEX_TMP_NAME, flags, &r->index, why);
    }
    if (status == RK_OK && keeps_suffix && r->base.index < s->tail.index) {
        status = copy_suffix(r, why);
    }
    if (status != RK_OK) {
        return status;
    }
    error = flush_copy(r);
    if (error == 0) {
        error = s->fs->ops->datasync(s->fs, r->log);
    }
    if (error == 0) {
        error = s->fs->ops->datasync(s->fs, r->index);
    }
    return error == 0 ? RK_OK : storage_error(error, why, "write", LOG_TMP_NAME);
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

static enum rk_status rename_files(struct storage *s, struct errmsg *why)
{
    const struct fs_ops *ops = s->fs->ops;
    int error = ops->rename(s->fs, s->dir, LOG_TMP_NAME, LOG_NAME);

    if (error == 0) {
        error = ops->rename(s->fs, s->dir, INDEX_TMP_NAME, INDEX_NAME);
    }
    if (error == 0 && !TOOTH(DIRECTORY_NOT_SYNCED)) {
        error = ops->sync_dir(s->fs, s->dir);
    }
    return error == 0 ? RK_OK : storage_fail(s, error, why, "rename", LOG_TMP_NAME);
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
    s->log_allocated = r->tail.end;
    s->index_allocated = r->index_written;
    s->is_index_dirty = false;
    mutex_unlock(&s->lock);
    r->log = -1;
    r->index = -1;
    r->anchors = NULL;
    log_publish(s);
}

enum rk_status log_replace(struct storage *s, raft_index base_index, raft_term base_term,
                           bool keeps_suffix, struct errmsg *why)
{
    struct replacement r = { .s = s, .log = -1, .index = -1 };
    enum rk_status status;

    r.base = log_point_base(base_index, base_term);
    r.tail = r.base;
    add_anchor(&r, &r.base);
    status = write_new_files(&r, keeps_suffix, why);
    if (status == RK_OK) {
        status = announce(&r, why);
    } else {
        (void)s->fs->ops->unlink(s->fs, s->dir, LOG_TMP_NAME);
        (void)s->fs->ops->unlink(s->fs, s->dir, INDEX_TMP_NAME);
        if (status == RK_IO) {
            atomic_store(&s->is_failed, true);
        }
    }
    if (status == RK_OK) {
        status = rename_files(s, why);
    }
    if (status == RK_OK) {
        status = confirm(&r, why);
    }
    if (status == RK_OK) {
        switch_files(&r);
    }
    storage_close_file(s, &r.log);
    storage_close_file(s, &r.index);
    buffer_release(&r.log_bytes);
    buffer_release(&r.index_bytes);
    heap_free(r.anchors);
    return status;
}

/* ---- The two uses ---- */

enum rk_status storage_compact(struct storage *s, raft_index first_index, struct errmsg *why)
{
    enum rk_status status = storage_check_latch(s, why);
    struct log_point base;

    PRE(!s->is_read_only);
    PRE(first_index <= s->tail.index + 1);
    if (status != RK_OK || first_index <= s->base.index + 1) {
        return status;
    }
    status = storage_sync(s, why);
    if (status == RK_OK) {
        status = log_point_at(s, first_index - 1, &base, why);
    }
    return status == RK_OK ? log_replace(s, base.index, base.term, true, why) : status;
}

enum rk_status storage_install(struct storage *s, raft_index last_index, raft_term last_term,
                               bool keeps_suffix, struct errmsg *why)
{
    enum rk_status status = storage_check_latch(s, why);

    PRE(!s->is_read_only);
    PRE(last_index > s->base.index);
    PRE(!keeps_suffix || last_index <= s->tail.index);
    if (status == RK_OK) {
        status = storage_sync(s, why);
    }
    return status == RK_OK ? log_replace(s, last_index, last_term, keeps_suffix, why) : status;
}
