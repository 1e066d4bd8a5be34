/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/data_dir.h"

#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "base/heap.h"
#include "storage/snapshot.h"
#include "storage/verify.h"

static void add_mark(struct data_dir *d, raft_index index, raft_term term, struct slice command)
{
    struct data_mark *mark;

    if (d->count == 0) {
        d->first = index;
    }
    if (d->count == d->capacity) {
        d->capacity = d->capacity == 0 ? 1024 : 2 * d->capacity;
        d->marks = heap_grow(d->marks, d->capacity * sizeof *d->marks);
    }
    mark = &d->marks[d->count++];
    *mark = (struct data_mark){ .term = term };
    if (command.size > 0) {
        mark->crc = (uint32_t)crc32(0, command.data, (uInt)command.size);
    }
    if (d->db != NULL) {
        refdb_digest(d->db, mark->digest);
    }
}

/* The state the newest snapshot holds, or an empty one. */
static enum rk_status load_snapshot(struct data_dir *d)
{
    struct snapshot_reader *reader = NULL;
    struct refdb_loader *loader;
    struct snapshot_meta meta;
    struct slice bytes;
    enum rk_status status;

    if (d->recovered.snapshot_last_index == 0) {
        d->db = refdb_new();
        return RK_OK;
    }
    status = snapshot_reader_open(fs_posix(), d->path, d->recovered.snapshot_last_index,
                                  d->recovered.snapshot_last_term, &meta, &reader, &d->why);
    if (status != RK_OK) {
        return status;
    }
    loader = refdb_loader_new();
    do {
        status = snapshot_reader_next(reader, &bytes, &d->why);
        if (status == RK_OK && bytes.size > 0) {
            status = refdb_loader_put(loader, bytes);
        }
    } while (status == RK_OK && bytes.size > 0);
    snapshot_reader_close(reader);
    if (status != RK_OK) {
        refdb_loader_free(loader);
    } else {
        status = refdb_loader_finish(loader, &d->db);
    }
    if (status != RK_OK) {
        errmsg_wrap(&d->why, "load the snapshot of index %" PRIu64,
                    d->recovered.snapshot_last_index);
    }
    return status;
}

static bool apply(void *context, const struct entry *entry, uint64_t offset)
{
    struct data_dir *d = context;
    struct refdb_result result;
    enum rk_status status = RK_OK;

    if (entry->index > refdb_applied_index(d->db)) {
        if (entry->index != refdb_applied_index(d->db) + 1) {
            errmsg_set(&d->why, "entry %" PRIu64 " at offset %" PRIu64 " does not follow %" PRIu64,
                       entry->index, offset, refdb_applied_index(d->db));
            status = RK_CORRUPT;
        } else {
            status = refdb_apply(d->db, entry, &result);
        }
        if (status == RK_UNSUPPORTED || status == RK_PROTOCOL) {
            errmsg_set(&d->why,
                       "entry %" PRIu64 " at offset %" PRIu64 ": %s; written by a newer "
                       "version?",
                       entry->index, offset, rk_status_text(status));
        }
    }
    if (d->count > 0 && entry->term < d->marks[d->count - 1].term) {
        errmsg_set(&d->why,
                   "entry %" PRIu64 " at offset %" PRIu64 " has an older term than the "
                   "one before it",
                   entry->index, offset);
        status = RK_CORRUPT;
    }
    if (status != RK_OK) {
        d->status = status;
        return false;
    }
    add_mark(d, entry->index, entry->term, entry->command);
    return true;
}

static enum rk_status check_whole(struct data_dir *d)
{
    const struct storage_recovered *r = &d->recovered;
    uint8_t kept[16], derived[16];

    if (r->state.current_term < r->log_last_term) {
        errmsg_set(&d->why, "the state file is of term %" PRIu64 ", the log of term %" PRIu64,
                   r->state.current_term, r->log_last_term);
        return RK_CORRUPT;
    }
    refdb_digest(d->db, kept);
    refdb_digest_recompute(d->db, derived);
    if (memcmp(kept, derived, sizeof kept) != 0) {
        errmsg_set(&d->why, "the digest kept is not the digest of the data");
        return RK_CORRUPT;
    }
    return RK_OK;
}

static void add_finding(void *context, const struct storage_finding *finding)
{
    struct data_dir *d = context;

    buffer_printf(&d->findings, "%s%s at offset %" PRIu64 ": %s", d->findings.size > 0 ? "; " : "",
                  finding->file, finding->offset, finding->text);
}

/* Known to the directory itself, and not to be seen in its files. */
static void add_repair(struct data_dir *d)
{
    const struct storage_repair *repair = &d->recovered.repair;

    if (repair->last_index != 0) {
        buffer_printf(&d->findings,
                      "%sentries %" PRIu64 " to %" PRIu64
                      " were damaged and are not fetched again yet; what is left of them is in "
                      "raft-log-*.damaged",
                      d->findings.size > 0 ? "; " : "", repair->first, repair->last_index);
    }
}

void data_dir_read(struct data_dir *d, const char *path)
{
    const struct storage_options options = { .fs = fs_posix(),
                                             .data_dir = path,
                                             .is_read_only = true };
    enum rk_status status;

    *d = (struct data_dir){ .path = path };
    status = storage_verify(fs_posix(), path, add_finding, d, &d->why);
    if (status == RK_OK) {
        status = storage_open(&options, &d->storage, &d->recovered, &d->why);
    }
    if (status == RK_OK) {
        add_repair(d);
        status = load_snapshot(d);
    }
    if (status == RK_OK && d->recovered.snapshot_last_index != 0 &&
        d->recovered.log_first_index > d->recovered.snapshot_last_index) {
        /* Nothing before the snapshot is held: its own index can be compared, too. */
        add_mark(d, d->recovered.snapshot_last_index, d->recovered.snapshot_last_term, SLICE_NONE);
    }
    if (status == RK_OK) {
        status = storage_walk(d->storage, d->recovered.log_first_index, apply, d, &d->why);
    }
    if (status == RK_OK && d->status == RK_OK) {
        status = check_whole(d);
    }
    if (status != RK_OK) {
        d->status = status;
    }
}

void data_dir_release(struct data_dir *d)
{
    storage_close(d->storage);
    refdb_free(d->db);
    heap_free(d->marks);
    buffer_release(&d->findings);
}

const struct data_mark *data_dir_mark(const struct data_dir *d, raft_index index)
{
    return d->count == 0 || index < d->first || index - d->first >= d->count
               ? NULL
               : &d->marks[index - d->first];
}
