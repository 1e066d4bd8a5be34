/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Space that is ours before it is needed: a file that holds as much as one snapshot and one
 * compacted log take, and zeros behind the log's end.  README.md, rules 70-75.
 */
#include <errno.h>

#include "base/heap.h"
#include "storage/snapshot_file.h"
#include "storage/storage_internal.h"

static bool is_no_space(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

bool storage_is_short_of_space(const struct storage *s)
{
    return atomic_load(&s->is_short);
}

/* ---- How much ---- */

static uint64_t newest_snapshot_bytes(struct storage *s)
{
    struct snapshot_set *set = heap_new(struct snapshot_set);
    char name[SNAPSHOT_NAME_BYTES];
    fs_handle file = -1;
    uint64_t size = 0;

    if (snapshot_list(s->fs, s->dir, set, NULL) == RK_OK && set->count > 0) {
        snapshot_format_name(name, set->items[0].last_index, set->items[0].last_term, ".dat");
        if (storage_open_file(s, name, FS_READ, &file, NULL) == RK_OK) {
            (void)s->fs->ops->size(s->fs, file, &size);
            storage_close_file(s, &file);
        }
    }
    heap_free(set);
    return size;
}

/* What compaction would leave of the log, by the size of an average entry. */
static uint64_t compacted_log_bytes(const struct storage *s)
{
    uint64_t count = s->tail.index - s->base.index;

    if (count <= TRAILING_ENTRIES_DEFAULT) {
        return s->tail.end;
    }
    return s->tail.end / count * TRAILING_ENTRIES_DEFAULT;
}

static void reserve_measure(struct storage *s)
{
    uint64_t snapshot = newest_snapshot_bytes(s);

    s->reserve.wanted_bytes = RESERVE_BYTES_MIN + snapshot + snapshot / 4 + compacted_log_bytes(s);
    s->reserve.is_measured = true;
}

/* ---- Taking it ---- */

/* Where nothing can be allocated, what is free must do. */
static bool is_free(struct storage *s, uint64_t bytes)
{
    uint64_t free_bytes = 0;

    return s->fs->ops->free_bytes(s->fs, s->dir, &free_bytes) != 0 || free_bytes >= bytes;
}

bool reserve_has_plenty(const struct storage *s)
{
    uint64_t free_bytes = 0;

    return s->fs->ops->free_bytes(s->fs, s->dir, &free_bytes) != 0 ||
           free_bytes >= 4 * LOG_ALLOCATE_BYTES;
}

enum rk_status reserve_hold_for_terms(struct storage *s, struct errmsg *why)
{
    return reserve_has_plenty(s) ? RK_OK : log_allocate_for_terms(s, why);
}

/* What an earlier run held is held still: given up to be taken anew, others would have it. */
static bool reserve_open(struct storage *s)
{
    struct reserve *r = &s->reserve;
    uint64_t size = 0;

    if (r->file >= 0) {
        return true;
    }
    if (storage_open_file(s, RESERVE_NAME, FS_WRITE | FS_CREATE, &r->file, NULL) != RK_OK) {
        return false;
    }
    if (s->fs->ops->size(s->fs, r->file, &size) == 0 && size > 0 &&
        s->fs->ops->allocate(s->fs, r->file, 0, size) == 0) { /* a copied one may be a hole */
        r->held_bytes = size;
    }
    return true;
}

/* A part that ENOSPC left would be missing elsewhere. */
static bool reserve_allocate(struct storage *s)
{
    struct reserve *r = &s->reserve;
    int error = s->fs->ops->allocate(s->fs, r->file, 0, r->wanted_bytes);

    if (error == 0) {
        r->held_bytes = r->wanted_bytes;
        return true;
    }
    (void)s->fs->ops->truncate(s->fs, r->file, r->held_bytes);
    return !is_no_space(error) && is_free(s, r->wanted_bytes);
}

/* Whom it was released for may still need it: neither it nor more of the log is taken. */
static bool is_lent(struct storage *s, time_ms now_ms)
{
    return now_ms < s->reserve.released_until_ms && !is_free(s, 2 * s->reserve.wanted_bytes);
}

static bool reserve_hold(struct storage *s, time_ms now_ms)
{
    struct reserve *r = &s->reserve;

    if (!r->is_measured) {
        reserve_measure(s);
    }
    if (is_lent(s, now_ms)) {
        return false;
    }
    if (!reserve_open(s)) {
        return is_free(s, r->wanted_bytes);
    }
    if (r->held_bytes > 2 * r->wanted_bytes &&
        s->fs->ops->truncate(s->fs, r->file, r->wanted_bytes) == 0) {
        r->held_bytes = r->wanted_bytes;
    }
    return r->held_bytes >= r->wanted_bytes || reserve_allocate(s);
}

void storage_release_reserve(struct storage *s, time_ms now_ms)
{
    struct reserve *r = &s->reserve;

    if (r->file >= 0) {
        (void)s->fs->ops->truncate(s->fs, r->file, 0);
    }
    r->held_bytes = 0;
    r->is_measured = false;
    r->released_until_ms = now_ms + RESERVE_RELEASED_MS;
}

bool reserve_give_back(struct storage *s, uint64_t bytes)
{
    fs_handle file = -1;
    uint64_t size = 0;
    bool is_given = false;

    if (s->dir >= 0 && storage_open_file(s, RESERVE_NAME, FS_WRITE, &file, NULL) == RK_OK) {
        is_given = s->fs->ops->size(s->fs, file, &size) == 0 && size > 0 &&
                   s->fs->ops->truncate(s->fs, file, size > bytes ? size - bytes : 0) == 0;
        storage_close_file(s, &file);
    }
    return is_given;
}

/* ---- Off the reply path ---- */

/* Entries may be small: then it is their records that need space first. */
static bool has_space_ahead(const struct storage *s)
{
    uint64_t records = s->tail.index - s->base.index + LOG_AHEAD_ENTRIES_MIN;

    return !s->can_allocate || (s->log_allocated >= s->tail.end + LOG_AHEAD_BYTES_MIN &&
                                s->index_allocated >= records * INDEX_RECORD_BYTES);
}

bool reserve_is_due(const struct storage *s)
{
    return atomic_load(&s->is_short) || s->reserve.held_bytes == 0 || !has_space_ahead(s);
}

void reserve_note_refused(struct storage *s, uint64_t bytes, size_t count)
{
    s->reserve.refused_bytes = bytes;
    s->reserve.refused_count = count;
    atomic_store(&s->is_short, true);
}

static enum rk_status allocate_ahead(struct storage *s, struct errmsg *why)
{
    struct reserve *r = &s->reserve;
    uint64_t bytes = r->refused_bytes > LOG_AHEAD_BYTES_MIN ? r->refused_bytes
                                                            : LOG_AHEAD_BYTES_MIN;
    size_t count = r->refused_count > LOG_AHEAD_ENTRIES_MIN ? r->refused_count
                                                            : LOG_AHEAD_ENTRIES_MIN;
    enum rk_status status = log_allocate(s, bytes, count, why);

    if (status == RK_OK) {
        r->refused_bytes = r->refused_count = 0;
    }
    return status;
}

/* Is there no more to be had, then at least what a new leader needs. */
static enum rk_status take_ahead(struct storage *s, time_ms now_ms, struct errmsg *why)
{
    enum rk_status status = is_lent(s, now_ms) ? RK_NOSPACE : allocate_ahead(s, why);
    enum rk_status least = status == RK_NOSPACE ? log_allocate_for_terms(s, why) : RK_OK;

    return least == RK_OK || least == RK_NOSPACE ? status : least;
}

enum rk_status reserve_tick(struct storage *s, time_ms now_ms, struct errmsg *why)
{
    struct reserve *r = &s->reserve;
    enum rk_status status;
    bool has_reserve;

    if (r->checked_ms != 0 && now_ms - r->checked_ms < SPACE_CHECK_INTERVAL_MS &&
        (atomic_load(&s->is_short) || has_space_ahead(s))) {
        return RK_OK;
    }
    r->checked_ms = now_ms;
    if (!reserve_is_due(s) && r->is_measured) {
        return RK_OK;
    }
    status = take_ahead(s, now_ms, why);
    has_reserve = reserve_hold(s, now_ms);
    atomic_store(&s->is_short, status == RK_NOSPACE || !has_reserve);
    return status == RK_NOSPACE ? RK_OK : status;
}
