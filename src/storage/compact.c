/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cutting the front of the log while it goes on: what is to stay is copied beside the writer,
 * and the writer only adds what came meanwhile and switches.  README.md, rules 20-28.
 */
#include <errno.h>

#include "base/assert.h"
#include "base/heap.h"
#include "storage/replace.h"

#define CATCH_UP_ROUNDS 8
#define CATCH_UP_BYTES (256 * KIB) /* a smaller rest is left to the writer */
#define SHRINK_BYTES (2 * MIB)     /* of an old log that is not needed any more, at a time */

struct storage_compaction {
    struct replacement r;
    struct log_view view; /* of the log being copied; keeps its files open */
    struct log_scan scan;
    bool is_switched;
};

/* The entry before the first one to be kept, as a place to copy from. */
static enum rk_status find_start(struct storage_compaction *c, raft_index index, struct errmsg *why)
{
    struct storage *s = c->r.s;
    struct log_point before = { .index = index - 1 };
    enum rk_status status;
    struct entry entry;
    uint32_t size;

    status = log_find(s, &c->view, index, &before.end, &size, why);
    if (status != RK_OK) {
        return status;
    }
    log_scan_init(&c->scan, s->fs, c->view.files->log, c->view.end, before);
    return log_scan_good(s, &c->scan, &entry, why);
}

/* Blocks that a write has to allocate are flushed by the next commit of the file system's
 * journal, and that may be one a sync of the log waits for. */
static enum rk_status allocate_all(struct storage_compaction *c, struct errmsg *why)
{
    struct storage *s = c->r.s;
    uint64_t bytes = c->view.end - c->scan.at.end + LOG_ALLOCATE_BYTES;
    uint64_t records = c->view.last - c->scan.at.index + LOG_TERM_ENTRIES_MIN;
    int error = s->fs->ops->allocate(s->fs, c->r.log, 0, bytes);

    if (error == ENOSPC || error == EDQUOT) {
        bytes -= LOG_ALLOCATE_BYTES - LOG_TERM_BYTES_MIN; /* the reserve holds no more */
        error = s->fs->ops->allocate(s->fs, c->r.log, 0, bytes);
    }
    if (error == 0) {
        c->r.log_allocated = bytes;
        error = s->fs->ops->allocate(s->fs, c->r.index, 0, records * INDEX_RECORD_BYTES);
    }
    if (error == 0) {
        c->r.index_allocated = records * INDEX_RECORD_BYTES;
    }
    return error == 0 || error == ENOTSUP ? RK_OK
                                          : storage_error(error, why, "allocate", c->r.log_name);
}

enum rk_status storage_compaction_begin(struct storage *s, raft_index first_index,
                                        struct storage_compaction **ret_compaction,
                                        struct errmsg *why)
{
    struct storage_compaction *c = heap_new(struct storage_compaction);
    enum rk_status status = storage_check_latch(s, why);

    PRE(!s->is_read_only);
    c->r.s = s;
    c->r.log = c->r.index = -1;
    c->view = log_view_take(s);
    if (status == RK_OK &&
        (first_index <= c->view.base.index + 1 || first_index > c->view.last + 1)) {
        errmsg_set(why, "the log is not to be cut at %llu", (unsigned long long)first_index);
        status = RK_NOT_FOUND;
    }
    if (status == RK_OK) {
        status = find_start(c, first_index - 1, why);
    }
    if (status == RK_OK) {
        replacement_init(&c->r, s, (struct log_base){ c->scan.at.index, c->scan.at.term });
        c->r.log_name = LOG_COMPACT_NAME;
        c->r.index_name = INDEX_COMPACT_NAME;
        status = replacement_open(&c->r, why);
    }
    if (status == RK_OK) {
        status = allocate_all(c, why);
    }
    if (status != RK_OK) {
        storage_compaction_free(c);
        return status;
    }
    *ret_compaction = c;
    return RK_OK;
}

/* What is durable by now.  False when the log was cut or replaced since the beginning. */
static bool look_again(struct storage_compaction *c, raft_index *ret_last)
{
    struct storage *s = c->r.s;
    bool is_same;

    mutex_lock(&s->lock);
    is_same = s->view.epoch == c->view.epoch;
    *ret_last = s->view.last;
    c->scan.limit = s->view.end;
    mutex_unlock(&s->lock);
    return is_same;
}

static enum rk_status refuse_change(struct errmsg *why)
{
    errmsg_set(why, "the log was cut meanwhile");
    return RK_NOT_FOUND;
}

/* Piece by piece to the disk, so that no sync of the log has to wait for all of it. */
static enum rk_status copy_piece(struct storage_compaction *c, raft_index last, struct errmsg *why)
{
    struct storage *s = c->r.s;
    enum rk_status status = replacement_copy(&c->r, &c->scan, last, COPY_SYNC_BYTES, why);
    int error;

    if (status != RK_OK) {
        return status;
    }
    error = replacement_flush(&c->r);
    if (error == 0) {
        error = s->fs->ops->datasync(s->fs, c->r.log);
    }
    return error == 0 ? RK_OK : storage_error(error, why, "write", c->r.log_name);
}

enum rk_status storage_compaction_copy(struct storage_compaction *c, bool (*between)(void *context),
                                       void *context, struct errmsg *why)
{
    enum rk_status status = RK_OK;

    for (unsigned round = 0; status == RK_OK && round < CATCH_UP_ROUNDS; round++) {
        uint64_t start = c->r.tail.end;
        raft_index last;

        do {
            if (between != NULL && between(context)) {
                errmsg_set(why, "the node stops");
                return RK_STOPPED;
            }
            if (!look_again(c, &last)) {
                return refuse_change(why);
            }
            status = copy_piece(c, last, why);
        } while (status == RK_OK && c->scan.at.index < last);
        if (c->r.tail.end - start < CATCH_UP_BYTES) {
            break;
        }
    }
    return status == RK_OK ? replacement_sync(&c->r, why) : status;
}

enum rk_status storage_compaction_finish(struct storage_compaction *c, struct errmsg *why)
{
    struct storage *s = c->r.s;
    enum rk_status status = storage_check_latch(s, why);
    raft_index last;

    if (status == RK_OK) {
        status = storage_sync(s, why);
    }
    if (status == RK_OK && !look_again(c, &last)) {
        status = refuse_change(why);
    }
    if (status == RK_OK) {
        status = replacement_copy(&c->r, &c->scan, last, UINT64_MAX, why);
    }
    if (status == RK_OK) {
        status = replacement_hold_for_terms(&c->r, why);
    }
    if (status == RK_OK) {
        status = replacement_sync(&c->r, why);
    }
    if (status == RK_OK) {
        INVARIANT(c->r.tail.index == s->tail.index);
        status = replacement_take_place(&c->r, why);
        c->is_switched = status == RK_OK;
    }
    return status;
}

/* Nobody else can reach the old files any more, unless a read is in the middle of them. */
static bool is_last_reader(struct storage_compaction *c)
{
    bool is_last;

    mutex_lock(&c->r.s->lock);
    is_last = c->view.files != c->r.s->files && c->view.files->references == 1;
    mutex_unlock(&c->r.s->lock);
    return is_last;
}

void storage_compaction_shrink(struct storage_compaction *c, bool (*between)(void *context),
                               void *context)
{
    struct fs *fs = c->r.s->fs;
    uint64_t size = 0;

    if (!c->is_switched || !is_last_reader(c) ||
        fs->ops->size(fs, c->view.files->log, &size) != 0) {
        return;
    }
    while (size > 0) {
        size = size > SHRINK_BYTES ? size - SHRINK_BYTES : 0;
        if (fs->ops->truncate(fs, c->view.files->log, size) != 0 || between(context)) {
            return;
        }
    }
}

void storage_compaction_free(struct storage_compaction *c)
{
    if (c == NULL) {
        return;
    }
    if (!c->is_switched && c->r.log >= 0 && !atomic_load(&c->r.s->is_failed)) {
        replacement_remove(&c->r);
    }
    replacement_release(&c->r);
    log_scan_release(&c->scan);
    (void)log_view_give_back(c->r.s, &c->view); /* may close the old log: its space is freed */
    heap_free(c);
}

/* A failed write of the new files leaves the old ones as they are, but the disk is not well. */
static enum rk_status latch_io(struct storage *s, enum rk_status status)
{
    if (status == RK_IO) {
        atomic_store(&s->is_failed, true);
    }
    return status;
}

enum rk_status storage_compact(struct storage *s, raft_index first_index, struct errmsg *why)
{
    enum rk_status status = storage_check_latch(s, why);
    struct storage_compaction *c = NULL;

    PRE(!s->is_read_only);
    PRE(first_index <= s->tail.index + 1);
    if (status != RK_OK || first_index <= s->base.index + 1) {
        return status;
    }
    status = storage_sync(s, why);
    if (status == RK_OK) {
        status = storage_compaction_begin(s, first_index, &c, why);
    }
    if (status == RK_OK) {
        status = storage_compaction_copy(c, NULL, NULL, why);
    }
    if (status == RK_OK) {
        status = storage_compaction_finish(c, why);
    }
    status = latch_io(s, status);
    storage_compaction_free(c);
    return status;
}
