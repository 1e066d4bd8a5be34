/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies behind the last good entry at open: torn bytes go, space taken ahead stays on a disk
 * that is about to be full.  README.md, rules 15 and 71.
 */
#include "storage/recovery.h"

/* Bytes from the end of the log to the last one that is not zero. */
enum rk_status recovery_measure_tail(const struct recovery *r, uint64_t *ret_bytes,
                                     struct errmsg *why)
{
    const struct storage *s = r->s;
    uint64_t offset = s->tail.end;
    uint64_t torn = 0;

    while (offset < r->log_bytes) {
        size_t got = 0;
        int error = storage_read_again(s->fs, s->files->log, offset, r->found, INDEX_CHUNK_BYTES,
                                       &got);

        if (error != 0) {
            return storage_error(error, why, "read", LOG_NAME);
        }
        if (got == 0) {
            break;
        }
        for (size_t i = storage_is_zero(slice_of(r->found, got)) ? 0 : got; i > 0; i--) {
            if (r->found[i - 1] != 0) {
                torn = offset + i - s->tail.end;
                break;
            }
        }
        offset += got;
    }
    *ret_bytes = torn;
    return RK_OK;
}

/* False also when it cannot be read. */
static bool is_zero_from(const struct recovery *r, fs_handle file, uint64_t offset, uint64_t end)
{
    const struct storage *s = r->s;
    size_t got = 1;

    while (offset < end && got > 0) {
        if (s->fs->ops->read(s->fs, file, offset, r->found, INDEX_CHUNK_BYTES, &got) != 0 ||
            !storage_is_zero(slice_of(r->found, got))) {
            return false;
        }
        offset += got;
    }
    return true;
}

/* What is torn is not cut off and taken anew: in between others would have its space. */
static int zero_from(const struct recovery *r, fs_handle file, uint64_t offset, uint64_t end)
{
    const struct storage *s = r->s;
    int error = 0;

    if (is_zero_from(r, file, offset, end)) {
        return 0;
    }
    memset(r->found, 0, INDEX_CHUNK_BYTES);
    while (error == 0 && offset < end) {
        size_t size = end - offset < INDEX_CHUNK_BYTES ? (size_t)(end - offset) : INDEX_CHUNK_BYTES;

        error = s->fs->ops->write(s->fs, file, offset, r->found, size);
        offset += size;
    }
    return error;
}

/* Ends a file at `end`, but for `ahead` bytes of space taken ahead when the disk is about to be
 * full: they could not be had again.  After a power cut they may be a hole: they are taken anew. */
static int end_file(const struct recovery *r, fs_handle file, uint64_t end, uint64_t ahead,
                    uint64_t *bytes)
{
    const struct fs_ops *ops = r->s->fs->ops;
    uint64_t kept = *bytes < end + ahead ? *bytes : end + ahead;
    uint64_t had = *bytes;

    if (kept <= end || r->is_damaged || reserve_has_plenty(r->s) ||
        zero_from(r, file, end, kept) != 0 || ops->allocate(r->s->fs, file, end, kept - end) != 0) {
        kept = end;
    }
    *bytes = kept;
    return kept == had ? 0 : ops->truncate(r->s->fs, file, kept);
}

/* Behind the last good entry both files hold nothing but zeros, durably, before anything is
 * appended: bytes left there could one day look like its successor. */
enum rk_status recovery_cut_tail(struct recovery *r, struct errmsg *why)
{
    struct storage *s = r->s;
    const struct fs_ops *ops = s->fs->ops;
    uint64_t index_bytes = (s->tail.index - s->base.index) * INDEX_RECORD_BYTES;
    int error;

    if (s->is_read_only) {
        return RK_OK;
    }
    error = end_file(r, s->files->index, index_bytes, LOG_AHEAD_ENTRIES_MIN * INDEX_RECORD_BYTES,
                     &r->index_bytes);
    if (error == 0) {
        error = ops->datasync(s->fs, s->files->index);
    }
    if (error != 0) {
        return storage_error(error, why, "truncate", INDEX_NAME);
    }
    error = end_file(r, s->files->log, s->tail.end, LOG_AHEAD_BYTES_MIN, &r->log_bytes);
    if (error == 0) {
        error = ops->datasync(s->fs, s->files->log);
    }
    if (error != 0) {
        return storage_error(error, why, "truncate", LOG_NAME);
    }
    s->log_allocated = r->log_bytes;
    s->index_allocated = r->index_bytes;
    return RK_OK;
}
