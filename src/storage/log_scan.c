/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks the entries of a log file: framing, CRC and succession, nothing of the commands.
 */
#include <errno.h>

#include "base/assert.h"
#include "base/heap.h"
#include "storage/storage_internal.h"

static uint64_t hash_fold(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
    return hash ^ (hash >> 32);
}

struct log_point log_point_base(raft_index index, raft_term term)
{
    struct log_point point = { .index = index, .term = term, .end = 0 };

    point.hash = hash_fold(hash_fold(0, index), term);
    return point;
}

/* The header holds the CRC of the rest, so that folding headers covers every byte. */
void log_point_advance(struct log_point *point, const uint8_t *header)
{
    point->term = get_be64(header);
    point->index = get_be64(header + 8);
    point->end += ENTRY_HEADER_BYTES + get_be32(header + 20);
    point->hash = hash_fold(point->hash, point->term);
    point->hash = hash_fold(point->hash, point->index);
    point->hash = hash_fold(point->hash, get_be64(header + 16));
}

void log_scan_init(struct log_scan *scan, struct fs *fs, fs_handle file, uint64_t limit,
                   struct log_point start)
{
    *scan = (struct log_scan){ .fs = fs, .file = file, .limit = limit, .at = start };
    scan->window_offset = start.end;
}

void log_scan_release(struct log_scan *scan)
{
    buffer_release(&scan->window);
}

/* The part before what the disk does not give out is as good as any. */
static int log_scan_read(struct log_scan *scan, size_t size)
{
    size_t end = scan->window.size + size;
    uint64_t offset = scan->window_offset + scan->window.size;
    int error = storage_read_bytes(scan->fs, scan->file, offset, &scan->window, size);

    if (error != EIO) {
        return error;
    }
    while (scan->window.size < end && !scan->is_unreadable) {
        size_t have = scan->window.size;
        size_t piece;

        offset = scan->window_offset + have;
        piece = SECTOR_BYTES - (size_t)(offset % SECTOR_BYTES);
        piece = piece < end - have ? piece : end - have;
        scan->is_unreadable = storage_read_bytes(scan->fs, scan->file, offset, &scan->window,
                                                 piece) != 0;
        if (scan->window.size - have < piece) {
            break;
        }
    }
    return 0;
}

/* Reads so that the window begins at the next entry and holds `need` bytes, if there are. */
static enum rk_status log_scan_fill(struct log_scan *scan, size_t need)
{
    uint64_t left = scan->limit - scan->at.end;
    size_t want = need > SCAN_BYTES ? need : SCAN_BYTES;
    size_t have;

    buffer_consume(&scan->window, (size_t)(scan->at.end - scan->window_offset));
    scan->window_offset = scan->at.end;
    have = scan->window.size;
    if (want > left) {
        want = (size_t)left;
    }
    if (want <= have) {
        return RK_OK;
    }
    if (buffer_reserve(&scan->window, want - have) != RK_OK) {
        scan->error = ENOMEM;
        return RK_NOMEM;
    }
    scan->error = log_scan_read(scan, want - have);
    if (scan->error != 0) {
        return RK_IO;
    }
    if (scan->window.size < want) {
        scan->limit = scan->window_offset + scan->window.size; /* the file is shorter */
    }
    return RK_OK;
}

static struct slice log_scan_rest(const struct log_scan *scan)
{
    size_t skip = (size_t)(scan->at.end - scan->window_offset);

    if (scan->window.size == skip) {
        return SLICE_NONE;
    }
    return slice_of(scan->window.data + skip, scan->window.size - skip);
}

enum rk_status log_scan_next(struct log_scan *scan, enum entry_verdict *ret_verdict,
                             struct entry *ret_entry)
{
    size_t need = ENTRY_HEADER_BYTES;
    enum entry_verdict verdict = entry_decode(log_scan_rest(scan), ret_entry, &need);

    while (verdict == ENTRY_SHORT) {
        enum rk_status status;

        if (need > scan->limit - scan->at.end) {
            /* the file ends inside: a torn entry, or the last few zeros of allocated space */
            status = log_scan_fill(scan, ENTRY_HEADER_BYTES);
            if (status != RK_OK) {
                return status;
            }
            if (scan->limit - scan->at.end < ENTRY_HEADER_BYTES &&
                storage_is_zero(log_scan_rest(scan))) {
                verdict = ENTRY_ABSENT;
            }
            break;
        }
        status = log_scan_fill(scan, need);
        if (status != RK_OK) {
            return status;
        }
        verdict = entry_decode(log_scan_rest(scan), ret_entry, &need);
    }
    if (verdict != ENTRY_GOOD && scan->is_unreadable) {
        verdict = ENTRY_BAD;
    }
    if (verdict == ENTRY_GOOD &&
        (ret_entry->index != scan->at.index + 1 || ret_entry->term < scan->at.term)) {
        verdict = ENTRY_BAD;
    }
    if (verdict == ENTRY_GOOD) {
        log_point_advance(&scan->at, log_scan_rest(scan).data);
    }
    *ret_verdict = verdict;
    return RK_OK;
}

struct slice log_scan_bytes(const struct entry *entry)
{
    return slice_of(entry->command.data - ENTRY_HEADER_BYTES, entry_size(entry));
}

enum rk_status log_damaged(const struct storage *s, raft_index index, uint64_t offset,
                           struct errmsg *why)
{
    errmsg_set(why, "%s/%s: entry %llu at offset %llu is damaged; see `refkeeper fsck %s`",
               s->data_dir, LOG_NAME, (unsigned long long)index, (unsigned long long)offset,
               s->data_dir);
    return RK_CORRUPT;
}

enum rk_status log_scan_good(const struct storage *s, struct log_scan *scan,
                             struct entry *ret_entry, struct errmsg *why)
{
    enum entry_verdict verdict;
    enum rk_status status = log_scan_next(scan, &verdict, ret_entry);

    if (status != RK_OK) {
        (void)storage_error(scan->error, why, "read", LOG_NAME);
        return status;
    }
    if (verdict != ENTRY_GOOD) {
        return log_damaged(s, scan->at.index + 1, scan->at.end, why);
    }
    return RK_OK;
}
