/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading entries back: by range beside the writer, and as a walk over the whole log.
 *
 * A read takes a copy of the view and a reference to the files under the lock, then reads
 * without it.  Did the log change meanwhile, bytes that look damaged are no damage, and the
 * read is tried again with the new view.
 */
#include <errno.h>

#include "base/assert.h"
#include "storage/storage_internal.h"

#define READ_ATTEMPTS 3

/* Where entries first..last lie; `end` may be further than last when its record is unreadable. */
struct read_range {
    raft_index first;
    raft_index last;
    uint64_t offset;
    uint64_t end;
    uint32_t first_size;
};

struct log_view log_view_take(struct storage *s)
{
    struct log_view view;

    mutex_lock(&s->lock);
    view = s->view;
    view.files->references++;
    mutex_unlock(&s->lock);
    return view;
}

bool log_view_give_back(struct storage *s, const struct log_view *view)
{
    bool is_current;

    mutex_lock(&s->lock);
    is_current = s->view.epoch == view->epoch;
    log_files_unref_locked(s, view->files);
    mutex_unlock(&s->lock);
    return is_current;
}

/* Reads the index record of `index`; false when it cannot be right. */
static bool read_record(struct storage *s, const struct log_view *view, raft_index index,
                        uint64_t *ret_offset, uint32_t *ret_size)
{
    uint8_t record[INDEX_RECORD_BYTES];
    uint64_t at = (index - view->base.index - 1) * INDEX_RECORD_BYTES;
    uint64_t offset;
    uint32_t size;
    size_t got = 0;

    if (view->files->index < 0 ||
        s->fs->ops->read(s->fs, view->files->index, at, record, sizeof record, &got) != 0 ||
        got < sizeof record || get_be64(record) != index) {
        return false;
    }
    offset = get_be64(record + 8);
    size = get_be32(record + 16);
    if (size < ENTRY_HEADER_BYTES || size > ENTRY_BYTES_MAX || offset > view->end ||
        size > view->end - offset) {
        return false;
    }
    *ret_offset = offset;
    *ret_size = size;
    return true;
}

/* Without its record an entry is found by walking from the nearest anchor before it. */
static enum rk_status find_by_anchor(struct storage *s, const struct log_view *view,
                                     raft_index index, uint64_t *ret_offset, uint32_t *ret_size,
                                     struct errmsg *why)
{
    struct log_point start = view->base;
    enum rk_status status = RK_OK;
    struct log_scan scan;

    mutex_lock(&s->lock);
    if (s->view.epoch == view->epoch) {
        size_t i = s->anchor_count - 1;

        while (s->anchors[i].index >= index) {
            i--;
        }
        start = s->anchors[i];
    }
    mutex_unlock(&s->lock);
    log_scan_init(&scan, s->fs, view->files->log, view->end, start);
    while (status == RK_OK && scan.at.index < index) {
        struct entry entry;

        *ret_offset = scan.at.end;
        status = log_scan_good(s, &scan, &entry, why);
    }
    *ret_size = (uint32_t)(scan.at.end - *ret_offset);
    log_scan_release(&scan);
    return status;
}

enum rk_status log_find(struct storage *s, const struct log_view *view, raft_index index,
                        uint64_t *ret_offset, uint32_t *ret_size, struct errmsg *why)
{
    if (read_record(s, view, index, ret_offset, ret_size)) {
        return RK_OK;
    }
    return find_by_anchor(s, view, index, ret_offset, ret_size, why);
}

static enum rk_status find_range(struct storage *s, const struct log_view *view,
                                 struct read_range *range, struct errmsg *why)
{
    enum rk_status status = log_find(s, view, range->first, &range->offset, &range->first_size,
                                     why);
    uint64_t offset;
    uint32_t size;

    range->end = view->end;
    if (status == RK_OK && range->last < view->last &&
        read_record(s, view, range->last, &offset, &size) && offset >= range->offset) {
        range->end = offset + size;
    }
    return status;
}

/* Counts the good entries at the front of `bytes`. */
static enum entry_verdict check_entries(struct slice bytes, raft_index first, raft_index last,
                                        size_t *ret_bytes, raft_index *ret_last)
{
    enum entry_verdict verdict = ENTRY_GOOD;
    raft_index index = first;
    size_t done = 0;

    while (index <= last && done < bytes.size) {
        struct entry entry;
        size_t need;

        verdict = entry_decode(slice_of(bytes.data + done, bytes.size - done), &entry, &need);
        if (verdict == ENTRY_GOOD && entry.index != index) {
            verdict = ENTRY_BAD;
        }
        if (verdict != ENTRY_GOOD) {
            break;
        }
        done += entry_size(&entry);
        index++;
    }
    *ret_bytes = done;
    *ret_last = index - 1;
    return verdict;
}

static enum rk_status read_view(struct storage *s, const struct log_view *view,
                                struct read_range *range, size_t bytes_max, struct buffer *out,
                                raft_index *ret_last, struct errmsg *why)
{
    size_t start = out->size;
    enum rk_status status = find_range(s, view, range, why);
    size_t want = bytes_max;
    size_t good;
    int error;

    if (status != RK_OK) {
        return status;
    }
    want = want < range->first_size ? range->first_size : want;
    if (want > range->end - range->offset) {
        want = (size_t)(range->end - range->offset);
    }
    if (buffer_reserve(out, want) != RK_OK) {
        return storage_error(ENOMEM, why, "read", LOG_NAME);
    }
    error = storage_read_bytes(s->fs, view->files->log, range->offset, out, want);
    if (error == EIO && want > range->first_size) { /* at least the first one may be readable */
        error = storage_read_bytes(s->fs, view->files->log, range->offset, out, range->first_size);
    }
    if (error != 0 && error != EIO) {
        return storage_error(error, why, "read", LOG_NAME);
    }
    (void)check_entries(slice_of(out->data + start, out->size - start), range->first, range->last,
                        &good, ret_last);
    if (good == 0) {
        out->size = start;
        return log_damaged(s, range->first, range->offset, why);
    }
    out->size = start + good;
    return RK_OK;
}

static enum rk_status check_bounds(const struct log_view *view, raft_index first,
                                   struct errmsg *why)
{
    if (first <= view->base.index) {
        errmsg_set(why, "entry %llu is no longer in the log, which begins at %llu",
                   (unsigned long long)first, (unsigned long long)view->base.index + 1);
        return RK_COMPACTED;
    }
    if (first > view->last) {
        errmsg_set(why, "entry %llu is not in the log yet, which ends at %llu",
                   (unsigned long long)first, (unsigned long long)view->last);
        return RK_NOT_FOUND;
    }
    return RK_OK;
}

enum rk_status storage_read(struct storage *s, raft_index first, raft_index last, size_t bytes_max,
                            struct buffer *out, raft_index *ret_last, struct errmsg *why)
{
    enum rk_status status = RK_OK;

    if (first == 0 || first > last) {
        errmsg_set(why, "no entries from %llu to %llu", (unsigned long long)first,
                   (unsigned long long)last);
        return RK_BADARG;
    }
    for (unsigned attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
        struct read_range range = { .first = first, .last = last };
        struct log_view view;

        status = storage_check_latch(s, why);
        if (status != RK_OK) {
            return status;
        }
        view = log_view_take(s);
        range.last = last < view.last ? last : view.last;
        status = check_bounds(&view, first, why);
        if (status == RK_OK) {
            status = read_view(s, &view, &range, bytes_max, out, ret_last, why);
        }
        if (log_view_give_back(s, &view) || status == RK_OK) {
            return status;
        }
    }
    errmsg_set(why, "entry %llu: the log kept changing", (unsigned long long)first);
    return RK_NOT_FOUND;
}

/* ---- The whole log ---- */

enum rk_status storage_walk(struct storage *s, raft_index first,
                            bool (*each)(void *context, const struct entry *entry, uint64_t offset),
                            void *context, struct errmsg *why)
{
    struct log_point start;
    struct log_scan scan;
    enum rk_status status = RK_OK;
    bool goes_on = true;

    if (first <= s->base.index) {
        first = s->base.index + 1;
    }
    if (first > s->tail.index) {
        return RK_OK;
    }
    status = log_point_at(s, first - 1, &start, why);
    log_scan_init(&scan, s->fs, s->files->log, s->tail.end, start);
    while (status == RK_OK && goes_on && scan.at.index < s->tail.index) {
        uint64_t offset = scan.at.end;
        struct entry entry;

        status = log_scan_good(s, &scan, &entry, why);
        if (status == RK_OK) {
            goes_on = each(context, &entry, offset);
        }
    }
    log_scan_release(&scan);
    return status;
}
