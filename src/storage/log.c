/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log while it is open: append, sync, index records, checkpoint, truncation.
 */
#include <errno.h>

#include "base/assert.h"
#include "base/heap.h"
#include "base/teeth.h"
#include "storage/storage_internal.h"

void index_record_encode(uint8_t *out, raft_index index, uint64_t offset, uint32_t size)
{
    put_be64(out, index);
    put_be64(out + 8, offset);
    put_be32(out + 16, size);
}

/* ---- What readers see ---- */

void log_add_anchor(struct storage *s, const struct log_point *point)
{
    mutex_lock(&s->lock);
    if (s->anchor_count == s->anchor_capacity) {
        s->anchor_capacity = s->anchor_capacity == 0 ? 64 : 2 * s->anchor_capacity;
        s->anchors = heap_grow(s->anchors, s->anchor_capacity * sizeof *s->anchors);
    }
    s->anchors[s->anchor_count++] = *point;
    mutex_unlock(&s->lock);
}

static void log_anchor_if_due(struct storage *s)
{
    const struct log_point *newest = &s->anchors[s->anchor_count - 1];

    if (s->tail.index - newest->index >= ANCHOR_ENTRIES ||
        s->tail.end - newest->end >= ANCHOR_BYTES) {
        log_add_anchor(s, &s->tail);
    }
}

static void log_publish_sizes(struct storage *s)
{
    atomic_store(&s->first_index, s->base.index + 1);
    atomic_store(&s->last_index, s->tail.index);
    atomic_store(&s->log_bytes, s->tail.end);
}

void log_publish(struct storage *s)
{
    mutex_lock(&s->lock);
    s->view.files = s->files;
    s->view.base = s->base;
    s->view.last = s->synced.index;
    s->view.end = s->synced.end;
    s->view.epoch++;
    mutex_unlock(&s->lock);
    log_publish_sizes(s);
}

raft_index storage_first_index(const struct storage *s)
{
    return atomic_load(&s->first_index);
}

raft_index storage_last_index(const struct storage *s)
{
    return atomic_load(&s->last_index);
}

uint64_t storage_log_bytes(const struct storage *s)
{
    return atomic_load(&s->log_bytes);
}

const struct persistent_state *storage_get_state(const struct storage *s)
{
    return &s->record.state;
}

/* ---- Space ---- */

/* Takes zero space so that `end` fits: a large piece, or when that fails just enough. */
static int allocate_until(struct storage *s, fs_handle file, uint64_t end, uint64_t piece,
                          uint64_t *allocated)
{
    uint64_t target = (end / piece + 1) * piece;
    int error;

    if (end <= *allocated || !s->can_allocate) {
        return 0;
    }
    error = s->fs->ops->allocate(s->fs, file, *allocated, target - *allocated);
    if (error == ENOSPC || error == EFBIG || error == EDQUOT) {
        target = end;
        error = s->fs->ops->allocate(s->fs, file, *allocated, target - *allocated);
    }
    if (error == ENOTSUP) {
        s->can_allocate = false;
        return 0;
    }
    if (error == 0) {
        *allocated = target;
    }
    return error;
}

static enum rk_status allocate_both(struct storage *s, uint64_t log_bytes, uint64_t log_piece,
                                    size_t count, uint64_t index_piece, struct errmsg *why)
{
    uint64_t records = s->tail.index - s->base.index + count;
    const char *name = LOG_NAME;
    int error = allocate_until(s, s->files->log, s->tail.end + log_bytes, log_piece,
                               &s->log_allocated);

    if (error == 0) {
        name = INDEX_NAME;
        error = allocate_until(s, s->files->index, records * INDEX_RECORD_BYTES, index_piece,
                               &s->index_allocated);
    }
    if (error == 0) {
        return RK_OK;
    }
    if (storage_error(error, why, "allocate space for", name) == RK_NOSPACE) {
        return RK_NOSPACE;
    }
    return storage_fail(s, error, why, "allocate space for", name);
}

enum rk_status log_allocate(struct storage *s, uint64_t log_bytes, size_t count, struct errmsg *why)
{
    return allocate_both(s, log_bytes, LOG_ALLOCATE_BYTES, count, INDEX_ALLOCATE_BYTES, why);
}

enum rk_status log_allocate_for_terms(struct storage *s, struct errmsg *why)
{
    return allocate_both(s, LOG_TERM_BYTES_MIN, SECTOR_BYTES, LOG_TERM_ENTRIES_MIN, SECTOR_BYTES,
                         why);
}

/* ---- Append ---- */

/* Moves the tail over one record and keeps its index record for the next sync. */
static void log_append_record(struct storage *s, const uint8_t *entry,
                              const struct storage_record *record)
{
    uint8_t encoded[INDEX_RECORD_BYTES];

    index_record_encode(encoded, record->index, s->tail.end, record->size);
    buffer_put(&s->index_pending, encoded, sizeof encoded);
    log_point_advance(&s->tail, entry);
    log_anchor_if_due(s);
}

/* Programmer errors only: these bytes were framed and checked before they came here. */
static void log_check_records(const struct storage *s, struct slice bytes,
                              const struct storage_record *records, size_t count)
{
    raft_term term = s->tail.term;
    size_t offset = 0;

    for (size_t i = 0; i < count; i++) {
        const struct storage_record *record = &records[i];
        const uint8_t *entry = bytes.data + offset;

        PRE(record->size >= ENTRY_HEADER_BYTES && record->size <= ENTRY_BYTES_MAX);
        PRE(bytes.size - offset >= record->size);
        PRE(record->index == s->tail.index + 1 + i);
        PRE(record->term >= term && record->term <= s->record.state.current_term);
        PRE(get_be64(entry) == record->term && get_be64(entry + 8) == record->index);
        PRE(get_be32(entry + 20) == record->size - ENTRY_HEADER_BYTES);
        term = record->term;
        offset += record->size;
    }
    PRE(offset == bytes.size);
}

/* What entries may not use up: without its first entry a new leader commits nothing, answers no
 * linearizable read and takes no snapshot to cut the log with. */
static enum rk_status append_allocate(struct storage *s, uint64_t bytes,
                                      const struct storage_record *records, size_t count,
                                      struct errmsg *why)
{
    bool is_first_of_term = count == 1 && records[0].term > s->tail.term;
    enum rk_status status;

    if (!is_first_of_term) {
        bytes += LOG_TERM_BYTES_MIN;
        count += LOG_TERM_ENTRIES_MIN;
    }
    status = log_allocate(s, bytes, count, why);
    if (status != RK_OK) {
        reserve_note_refused(s, bytes, count);
    }
    return status;
}

enum rk_status storage_append(struct storage *s, struct slice bytes,
                              const struct storage_record *records, size_t count,
                              struct errmsg *why)
{
    enum rk_status status = storage_check_latch(s, why);
    size_t offset = 0;
    int error;

    PRE(!s->is_read_only);
    if (status != RK_OK || count == 0) {
        return status;
    }
    log_check_records(s, bytes, records, count);
    status = append_allocate(s, bytes.size, records, count, why);
    if (status != RK_OK) {
        return status;
    }
    error = s->fs->ops->write(s->fs, s->files->log, s->tail.end, bytes.data, bytes.size);
    if (error != 0) {
        return storage_fail(s, error, why, "write", LOG_NAME);
    }
    for (size_t i = 0; i < count; i++) {
        log_append_record(s, bytes.data + offset, &records[i]);
        offset += records[i].size;
    }
    log_publish_sizes(s);
    return RK_OK;
}

/*
 * A new term's number is durable before its first entry is acknowledged: should that entry be
 * damaged later, the log is still known to have ended in this term.  What was under repair is
 * whole again when the log has come as far.
 */
static enum rk_status log_note_tail(struct storage *s, struct errmsg *why)
{
    bool is_repaired = repair_settle(s, &s->tail);
    enum rk_status status;

    if (s->tail.term <= s->record.newest_term && !is_repaired) {
        return RK_OK;
    }
    if (s->tail.term > s->record.newest_term) {
        s->record.newest_term = s->tail.term;
    }
    status = state_save(s, why);
    if (status == RK_OK && is_repaired) {
        repair_drop_aside(s);
    }
    return status;
}

static int log_datasync(struct storage *s)
{
    int error;

    if (TOOTH(ACK_BEFORE_SYNC)) {
        return 0;
    }
    error = s->fs->ops->datasync(s->fs, s->files->log);
    if (TOOTH(SYNC_RETRIED) && error != 0) {
        error = s->fs->ops->datasync(s->fs, s->files->log);
    }
    return error;
}

enum rk_status storage_sync(struct storage *s, struct errmsg *why)
{
    enum rk_status status = storage_check_latch(s, why);
    uint64_t offset = (s->synced.index - s->base.index) * INDEX_RECORD_BYTES;
    int error;

    if (status != RK_OK || s->synced.index == s->tail.index) {
        return status;
    }
    error = log_datasync(s);
    if (error != 0) {
        return storage_fail(s, error, why, "sync", LOG_NAME);
    }
    status = log_note_tail(s, why);
    if (status != RK_OK) {
        return status;
    }
    error = s->fs->ops->write(s->fs, s->files->index, offset, s->index_pending.data,
                              s->index_pending.size);
    if (error != 0) {
        return storage_fail(s, error, why, "write", INDEX_NAME);
    }
    buffer_clear(&s->index_pending);
    s->is_index_dirty = true;
    s->synced = s->tail;
    mutex_lock(&s->lock);
    s->view.last = s->synced.index;
    s->view.end = s->synced.end;
    mutex_unlock(&s->lock);
    return RK_OK;
}

/* ---- Off the reply path ---- */

static enum rk_status index_sync(struct storage *s, struct errmsg *why)
{
    int error;

    if (!s->is_index_dirty) {
        return RK_OK;
    }
    error = s->fs->ops->datasync(s->fs, s->files->index);
    if (error != 0) {
        return storage_fail(s, error, why, "sync", INDEX_NAME);
    }
    s->is_index_dirty = false;
    return RK_OK;
}

static bool checkpoint_is_due(const struct storage *s)
{
    return s->record.checkpoint.index != s->synced.index;
}

static struct checkpoint checkpoint_of(const struct log_point *point)
{
    return (struct checkpoint){ point->index, point->term, point->hash };
}

enum rk_status storage_tick(struct storage *s, time_ms now_ms, struct errmsg *why)
{
    enum rk_status status = storage_check_latch(s, why);

    PRE(!s->is_read_only);
    s->ticked_ms = now_ms;
    if (status == RK_OK && s->is_index_dirty &&
        now_ms - s->index_synced_ms >= INDEX_SYNC_INTERVAL_MS) {
        s->index_synced_ms = now_ms;
        status = index_sync(s, why);
    }
    if (status == RK_OK && checkpoint_is_due(s) &&
        now_ms - s->checkpoint_ms >= CHECKPOINT_INTERVAL_MS) {
        s->checkpoint_ms = now_ms;
        s->record.checkpoint = checkpoint_of(&s->synced);
        status = state_save(s, why);
    }
    return status == RK_OK ? reserve_tick(s, now_ms, why) : status;
}

time_ms storage_deadline_ms(const struct storage *s)
{
    time_ms deadline_ms = INT64_MAX;

    if (checkpoint_is_due(s)) {
        deadline_ms = s->checkpoint_ms + CHECKPOINT_INTERVAL_MS;
    }
    if (s->is_index_dirty && s->index_synced_ms + INDEX_SYNC_INTERVAL_MS < deadline_ms) {
        deadline_ms = s->index_synced_ms + INDEX_SYNC_INTERVAL_MS;
    }
    if (reserve_is_due(s) && s->reserve.checked_ms + SPACE_CHECK_INTERVAL_MS < deadline_ms) {
        deadline_ms = s->reserve.checked_ms + SPACE_CHECK_INTERVAL_MS;
    }
    return deadline_ms;
}

enum rk_status storage_save_state(struct storage *s, const struct persistent_state *state,
                                  struct errmsg *why)
{
    const struct persistent_state *old = &s->record.state;
    enum rk_status status = storage_check_latch(s, why);

    PRE(!s->is_read_only);
    PRE(state->current_term >= old->current_term);
    PRE(state->current_term > old->current_term || old->voted_for == 0 ||
        state->voted_for == old->voted_for);
    PRE(state->incarnation == old->incarnation && state->boot_count == old->boot_count);
    PRE(state->id == old->id || old->id == 0 || (old->current_term == 0 && s->tail.index == 0));
    PRE(strcmp(state->node_name, old->node_name) == 0);
    PRE(state->format_version == old->format_version);
    if (status != RK_OK) {
        return status;
    }
    s->record.state = *state;
    return state_save(s, why);
}

/* ---- Points and truncation ---- */

enum rk_status log_point_at(struct storage *s, raft_index index, struct log_point *ret_point,
                            struct errmsg *why)
{
    enum rk_status status = RK_OK;
    struct log_scan scan;
    size_t i = s->anchor_count - 1;

    PRE(index >= s->base.index && index <= s->tail.index);
    while (s->anchors[i].index > index) {
        i--;
    }
    log_scan_init(&scan, s->fs, s->files->log, s->tail.end, s->anchors[i]);
    while (status == RK_OK && scan.at.index < index) {
        struct entry entry;

        status = log_scan_good(s, &scan, &entry, why);
    }
    *ret_point = scan.at;
    log_scan_release(&scan);
    return status;
}

/* The index first: a record must never outlive its entry. */
static enum rk_status log_cut_files(struct storage *s, const struct log_point *end,
                                    struct errmsg *why)
{
    enum rk_status status;
    const struct fs_ops *ops = s->fs->ops;
    uint64_t index_bytes = (end->index - s->base.index) * INDEX_RECORD_BYTES;
    int error = ops->truncate(s->fs, s->files->index, index_bytes);

    if (error == 0) {
        error = ops->datasync(s->fs, s->files->index);
    }
    if (error != 0) {
        return storage_fail(s, error, why, "truncate", INDEX_NAME);
    }
    s->index_allocated = index_bytes;
    s->is_index_dirty = false;
    error = ops->truncate(s->fs, s->files->log, end->end);
    if (error == 0) {
        error = ops->datasync(s->fs, s->files->log);
    }
    if (error != 0) {
        return storage_fail(s, error, why, "truncate", LOG_NAME);
    }
    s->log_allocated = end->end;
    status = reserve_hold_for_terms(s, why);
    return status == RK_NOSPACE ? RK_OK : status;
}

enum rk_status storage_truncate(struct storage *s, raft_index from, struct errmsg *why)
{
    enum rk_status status = storage_check_latch(s, why);
    struct log_point end;

    PRE(!s->is_read_only);
    PRE(from > s->base.index);
    if (status != RK_OK || from > s->tail.index) {
        return status;
    }
    status = storage_sync(s, why); /* so that what stays has its records */
    if (status == RK_OK) {
        status = log_point_at(s, from - 1, &end, why);
    }
    if (status == RK_OK && s->record.checkpoint.index >= from) {
        s->record.checkpoint = checkpoint_of(&end);
        status = state_save(s, why);
    }
    if (status != RK_OK) {
        return status;
    }
    mutex_lock(&s->lock);
    s->view.last = end.index;
    s->view.end = end.end;
    s->view.epoch++;
    while (s->anchors[s->anchor_count - 1].index > end.index) {
        s->anchor_count--;
    }
    mutex_unlock(&s->lock);
    s->tail = end;
    s->synced = end;
    log_publish_sizes(s);
    return log_cut_files(s, &end, why);
}
