/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/heap.h"
#include "storage/snapshot_file.h"
#include "storage/storage_internal.h"

#define CHUNK_RECORDS 4096

struct verification {
    struct fs *fs;
    fs_handle dir;
    const char *data_dir;
    void (*each)(void *context, const struct storage_finding *finding);
    void *context;
    unsigned findings;
    struct state_record state; /* of the better slot */
    bool has_state;
    fs_handle log;
    fs_handle index;
    uint64_t log_bytes;
    uint64_t records;     /* of the index, whole ones */
    raft_index base;      /* index before the first entry */
    uint8_t *chunk;       /* records from chunk_first on */
    uint64_t chunk_first; /* UINT64_MAX = none are read */
    int error;            /* of reading the index */
};

__attribute__((format(printf, 4, 5))) static void report(struct verification *v, const char *file,
                                                         uint64_t offset, const char *format, ...)
{
    char text[256];
    struct storage_finding finding = { file, offset, text };
    va_list arguments;

    if (v->findings++ >= FINDINGS_MAX) {
        return;
    }
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    v->each(v->context, &finding);
}

static enum rk_status open_for_reading(struct verification *v, const char *name,
                                       fs_handle *ret_file, uint64_t *ret_bytes, struct errmsg *why)
{
    int error = v->fs->ops->open(v->fs, v->dir, name, FS_READ, ret_file);

    *ret_bytes = 0;
    if (error == 0) {
        error = v->fs->ops->size(v->fs, *ret_file, ret_bytes);
    } else {
        *ret_file = -1;
    }
    if (error == ENOENT || error == ELOOP || error == EISDIR || error == EINVAL) {
        report(v, name, 0, error == ENOENT ? "is missing" : "is no regular file");
        return RK_OK;
    }
    return error == 0 ? RK_OK : storage_error(error, why, "open", name);
}

static void close_file(struct verification *v, fs_handle *file)
{
    if (*file >= 0) {
        v->fs->ops->close(v->fs, *file);
        *file = -1;
    }
}

/* ---- The state file ---- */

static void judge_slots(struct verification *v, struct slice bytes)
{
    static const char *const names[] = { "first", "second" };
    struct state_record *record = heap_new(struct state_record);
    enum rk_status status[2];

    for (unsigned i = 0; i < 2; i++) {
        size_t start = (size_t)i * STATE_SLOT_BYTES;
        size_t size = bytes.size > start ? bytes.size - start : 0;

        size = size < STATE_SLOT_BYTES ? size : STATE_SLOT_BYTES;
        status[i] = size == 0 ? RK_CORRUPT
                              : state_decode(slice_of(bytes.data + start, size), record);
        if (status[i] == RK_OK && (!v->has_state || record->generation > v->state.generation)) {
            v->state = *record;
            v->has_state = true;
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        if (status[i] == RK_FOREIGN) {
            report(v, STATE_NAME, (uint64_t)i * STATE_SLOT_BYTES, "is of a newer format");
        } else if (status[i] != RK_OK) {
            report(v, STATE_NAME, (uint64_t)i * STATE_SLOT_BYTES, "the %s copy is damaged; %s",
                   names[i],
                   status[1 - i] == RK_OK
                       ? "the other one is whole, and repairs it at the next start"
                       : "so is the other one: term and vote are lost");
        }
    }
    heap_free(record);
}

static enum rk_status verify_state(struct verification *v, struct errmsg *why)
{
    uint8_t *bytes = heap_zalloc((size_t)2 * STATE_SLOT_BYTES);
    fs_handle file = -1;
    uint64_t file_bytes = 0;
    size_t got = 0;
    enum rk_status status = open_for_reading(v, STATE_NAME, &file, &file_bytes, why);
    int error = 0;

    if (file >= 0) {
        error = v->fs->ops->read(v->fs, file, 0, bytes, (size_t)2 * STATE_SLOT_BYTES, &got);
        if (error == 0) {
            judge_slots(v, slice_of(bytes, got));
        } else {
            status = storage_error(error, why, "read", STATE_NAME);
        }
    }
    close_file(v, &file);
    heap_free(bytes);
    return status;
}

/* ---- Log and index, side by side ---- */

/* Record k, or NULL when there is none or it cannot be read. */
static const uint8_t *record_at(struct verification *v, uint64_t k)
{
    size_t got = 0;

    if (k >= v->records) {
        return NULL;
    }
    if (v->chunk_first == UINT64_MAX || k < v->chunk_first || k - v->chunk_first >= CHUNK_RECORDS) {
        v->chunk_first = k - k % CHUNK_RECORDS;
        memset(v->chunk, 0, (size_t)CHUNK_RECORDS * INDEX_RECORD_BYTES);
        v->error = v->fs->ops->read(v->fs, v->index, v->chunk_first * INDEX_RECORD_BYTES, v->chunk,
                                    (size_t)CHUNK_RECORDS * INDEX_RECORD_BYTES, &got);
    }
    return v->error == 0 ? v->chunk + (k - v->chunk_first) * INDEX_RECORD_BYTES : NULL;
}

static bool is_zero_record(const uint8_t *record)
{
    return storage_is_zero(slice_of(record, INDEX_RECORD_BYTES));
}

/* A record that names the index of its own position. */
static bool is_witness(struct verification *v, raft_index index)
{
    const uint8_t *record = record_at(v, index - v->base - 1);

    return record != NULL && get_be64(record) == index;
}

static void compare_record(struct verification *v, raft_index index, uint64_t offset, uint32_t size)
{
    uint64_t k = index - v->base - 1;
    const uint8_t *record = record_at(v, k);
    uint8_t expected[INDEX_RECORD_BYTES];

    if (record == NULL || is_zero_record(record)) {
        return; /* the index is synced later than the log */
    }
    index_record_encode(expected, index, offset, size);
    if (memcmp(record, expected, sizeof expected) != 0) {
        report(v, INDEX_NAME, k * INDEX_RECORD_BYTES,
               "the record of entry %" PRIu64 " is damaged; it is written anew at the next start",
               index);
    }
}

/* Of an entry that cannot be read itself: the next one tells its size; index 0 = none does. */
static void judge_record(struct verification *v, const struct log_point *before,
                         const struct log_point *next)
{
    const uint8_t *record = record_at(v, before->index - v->base);
    raft_index index = before->index + 1;

    if (record != NULL && get_be64(record) == index && get_be64(record + 8) == before->end &&
        next->index == index) {
        compare_record(v, index, before->end, (uint32_t)(next->end - before->end));
    } else if (record != NULL &&
               (get_be64(record) != index || get_be64(record + 8) != before->end)) {
        compare_record(v, index, before->end, 0);
    }
}

static raft_index last_witness(struct verification *v)
{
    raft_index last = v->state.checkpoint.index > v->base ? v->state.checkpoint.index : v->base;

    for (uint64_t k = v->records; k > 0 && v->base + k > last; k--) {
        if (is_witness(v, v->base + k)) {
            return v->base + k;
        }
    }
    return last;
}

/* The point before the next entry whose record leads behind `after`; index 0 = there is none. */
static struct log_point next_readable(struct verification *v, const struct log_point *after)
{
    struct log_point point = { .term = after->term };

    for (uint64_t k = after->index + 1 - v->base; k < v->records; k++) {
        const uint8_t *record = record_at(v, k);

        if (record != NULL && get_be64(record) == v->base + 1 + k &&
            get_be64(record + 8) > after->end && get_be64(record + 8) < v->log_bytes) {
            point.index = v->base + k;
            point.end = get_be64(record + 8);
            return point;
        }
    }
    return point;
}

static const char *word_of(enum entry_verdict verdict)
{
    return verdict == ENTRY_ABSENT  ? "is missing"
           : verdict == ENTRY_SHORT ? "is cut off"
                                    : "is damaged";
}

/* No crash leaves both a bad entry behind the last witness and a bad record for it: README.md,
 * rule 16. */
static bool is_torn(struct verification *v, raft_index index, enum entry_verdict verdict,
                    raft_index witness)
{
    const uint8_t *record = record_at(v, index - v->base - 1);

    if (index <= witness) {
        return false;
    }
    return index > witness + 1 || verdict == ENTRY_ABSENT || record == NULL ||
           is_zero_record(record);
}

/* Walks the entries, and after a bad one goes on where the index says that another begins. */
static enum rk_status walk_log(struct verification *v, struct log_point start, struct errmsg *why)
{
    raft_index witness = last_witness(v);
    enum rk_status status = RK_OK;
    struct log_scan scan;

    log_scan_init(&scan, v->fs, v->log, v->log_bytes, start);
    while (status == RK_OK && v->findings < FINDINGS_MAX) {
        enum entry_verdict verdict = ENTRY_BAD;
        struct entry entry;
        uint64_t offset = scan.at.end;

        status = log_scan_next(&scan, &verdict, &entry);
        if (status != RK_OK) {
            (void)storage_error(scan.error, why, "read", LOG_NAME);
        } else if (verdict == ENTRY_GOOD) {
            compare_record(v, entry.index, offset, (uint32_t)entry_size(&entry));
        } else if (is_torn(v, scan.at.index + 1, verdict, witness)) {
            break;
        } else {
            struct log_point next = next_readable(v, &scan.at);

            report(v, LOG_NAME, offset, "entry %" PRIu64 " %s although it was durable",
                   scan.at.index + 1, word_of(verdict));
            judge_record(v, &scan.at, &next);
            if (next.index == 0) {
                break;
            }
            log_scan_release(&scan);
            log_scan_init(&scan, v->fs, v->log, v->log_bytes, next);
        }
    }
    log_scan_release(&scan);
    return status;
}

/* While a replacement is pending the first entry tells which log is in place. */
static struct log_point first_point(struct verification *v)
{
    struct log_base base = v->state.base;
    uint8_t header[ENTRY_HEADER_BYTES] = { 0 };
    size_t got = 0;

    if ((v->state.flags & STATE_HAS_PENDING) != 0 &&
        v->fs->ops->read(v->fs, v->log, 0, header, sizeof header, &got) == 0 &&
        get_be64(header + 8) == v->state.pending_base.index + 1) {
        base = v->state.pending_base;
    }
    return log_point_base(base.index, base.term);
}

static enum rk_status verify_log(struct verification *v, struct errmsg *why)
{
    uint64_t index_bytes = 0;
    struct log_point start;
    enum rk_status status = open_for_reading(v, LOG_NAME, &v->log, &v->log_bytes, why);

    if (status == RK_OK) {
        status = open_for_reading(v, INDEX_NAME, &v->index, &index_bytes, why);
    }
    if (status != RK_OK || v->log < 0 || !v->has_state) {
        return status;
    }
    v->records = v->index < 0 ? 0 : index_bytes / INDEX_RECORD_BYTES;
    start = first_point(v);
    v->base = start.index;
    v->chunk = heap_alloc((size_t)CHUNK_RECORDS * INDEX_RECORD_BYTES);
    status = walk_log(v, start, why);
    if (status == RK_OK && v->error != 0) {
        status = storage_error(v->error, why, "read", INDEX_NAME);
    }
    heap_free(v->chunk);
    return status;
}

/* ---- Snapshots ---- */

static enum rk_status verify_snapshot(struct verification *v, const struct snapshot_name *item,
                                      struct errmsg *why)
{
    struct snapshot_meta *meta = heap_new(struct snapshot_meta);
    struct errmsg damage = ERRMSG_INIT;
    char name[SNAPSHOT_NAME_BYTES];
    fs_handle file = -1;
    uint64_t first_block;
    uint64_t bytes;
    enum rk_status status;

    snapshot_format_name(name, item->last_index, item->last_term, ".dat");
    status = open_for_reading(v, name, &file, &bytes, why);
    if (status == RK_OK && file >= 0) {
        status = snapshot_check_named(v->fs, file, name, item->last_index, item->last_term, meta,
                                      &first_block, &damage);
        if (status == RK_CORRUPT || status == RK_FOREIGN) {
            report(v, name, 0, "%.150s; it is never used", damage.text);
            status = RK_OK;
        } else if (status != RK_OK) {
            *why = damage;
        }
    }
    close_file(v, &file);
    heap_free(meta);
    return status;
}

static enum rk_status verify_snapshots(struct verification *v, struct errmsg *why)
{
    struct snapshot_set *set = heap_new(struct snapshot_set);
    enum rk_status status = snapshot_list(v->fs, v->dir, set, why);

    for (size_t i = 0; status == RK_OK && i < set->count; i++) {
        status = verify_snapshot(v, &set->items[i], why);
    }
    heap_free(set);
    return status;
}

enum rk_status storage_verify(struct fs *fs, const char *data_dir,
                              void (*each)(void *context, const struct storage_finding *finding),
                              void *context, struct errmsg *why)
{
    struct verification v = { .fs = fs,
                              .data_dir = data_dir,
                              .each = each,
                              .context = context,
                              .dir = -1,
                              .log = -1,
                              .index = -1,
                              .chunk_first = UINT64_MAX };
    int error = fs->ops->open_dir(fs, data_dir, false, &v.dir);
    enum rk_status status;

    if (error == ENOENT) {
        errmsg_set(why, "%s does not exist", data_dir);
        return RK_NOT_FOUND;
    }
    if (error != 0) {
        return storage_error(error, why, "open directory", data_dir);
    }
    status = verify_state(&v, why);
    if (status == RK_OK) {
        status = verify_log(&v, why);
    }
    if (status == RK_OK) {
        status = verify_snapshots(&v, why);
    }
    close_file(&v, &v.log);
    close_file(&v, &v.index);
    close_file(&v, &v.dir);
    return status;
}
