/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damage that other members can make good: what of it is remembered, and where the bytes go.
 * README.md, rules 60-66.
 */
#include <errno.h>
#include <stdio.h>

#include "base/heap.h"
#include "storage/storage_internal.h"

#define ASIDE_PREFIX "raft-log-"
#define ASIDE_SUFFIX ".damaged"
#define ASIDE_TMP_NAME "raft-log-damaged.tmp"
#define COPY_BYTES (1 * MIB)

bool storage_is_repairing(const struct storage *s)
{
    return atomic_load(&s->is_repairing);
}

/* During a change the other half counts as well: any other voter will do. */
bool repair_is_possible(const struct storage *s)
{
    const struct membership *m = &s->record.state.latest_membership;
    unsigned others = 0;

    if (s->is_read_only) {
        return false;
    }
    if (m->count == 0) {
        return s->voters > 1;
    }
    for (unsigned i = 0; i < m->count; i++) {
        others += m->members[i].id != s->record.state.id &&
                  (m->members[i].flags & (MEMBER_VOTER | MEMBER_VOTER_OLD)) != 0;
    }
    return others > 0;
}

static bool is_behind(raft_term term, raft_index index, const struct storage_repair *repair)
{
    return term < repair->last_term || (term == repair->last_term && index < repair->last_index);
}

bool repair_is_reached(const struct storage_repair *repair, const struct log_point *point)
{
    return !is_behind(point->term, point->index, repair);
}

void repair_mark(struct storage *s, raft_index first, struct log_base last)
{
    struct storage_repair *repair = &s->record.repair;

    if (repair->last_index == 0 || first < repair->first) {
        repair->first = first;
    }
    if (!is_behind(last.term, last.index, repair)) {
        repair->last_index = last.index;
        repair->last_term = last.term;
    }
    atomic_store(&s->is_repairing, true);
}

bool repair_settle(struct storage *s, const struct log_point *point)
{
    if (s->record.repair.last_index == 0 || !repair_is_reached(&s->record.repair, point)) {
        return false;
    }
    s->record.repair = (struct storage_repair){ 0 };
    atomic_store(&s->is_repairing, false);
    return true;
}

/* ---- The bytes ---- */

/* What cannot be read is left as zeros. */
static int copy_piece(struct storage *s, fs_handle from, uint64_t offset, struct buffer *bytes,
                      size_t size)
{
    int error = buffer_reserve(bytes, COPY_BYTES) == RK_OK ? 0 : ENOMEM;

    buffer_clear(bytes);
    if (error == 0) {
        error = storage_read_bytes(s->fs, from, offset, bytes, size);
    }
    if (error == EIO && size > SECTOR_BYTES) {
        return copy_piece(s, from, offset, bytes, SECTOR_BYTES - offset % SECTOR_BYTES);
    }
    if (error == EIO) {
        memset(bytes->data, 0, size);
        bytes->size = size;
        error = 0;
    }
    return error;
}

/* Bytes from `start` to `end` of the log to the beginning of another file. */
static int copy_range(struct storage *s, fs_handle to, uint64_t start, uint64_t end)
{
    struct buffer bytes = BUFFER_INIT;
    uint64_t offset = start;
    int error = 0;

    while (error == 0 && offset < end) {
        size_t size = end - offset < COPY_BYTES ? (size_t)(end - offset) : COPY_BYTES;

        error = copy_piece(s, s->files->log, offset, &bytes, size);
        if (error == 0) {
            error = s->fs->ops->write(s->fs, to, offset - start, bytes.data, bytes.size);
        }
        if (bytes.size == 0) {
            break;
        }
        offset += bytes.size;
    }
    buffer_release(&bytes);
    return error;
}

enum rk_status repair_set_aside(struct storage *s, raft_index first, uint64_t offset,
                                struct errmsg *why)
{
    char name[64];
    fs_handle aside = -1;
    uint64_t size = 0;
    enum rk_status status = storage_open_file(s, ASIDE_TMP_NAME, FS_WRITE | FS_CREATE | FS_TRUNC,
                                              &aside, why);
    int error;

    if (status != RK_OK) {
        return status;
    }
    (void)snprintf(name, sizeof name, ASIDE_PREFIX "%llu" ASIDE_SUFFIX, (unsigned long long)first);
    error = s->fs->ops->size(s->fs, s->files->log, &size);
    if (error == 0) {
        error = copy_range(s, aside, offset, size);
    }
    if (error == 0) {
        error = s->fs->ops->datasync(s->fs, aside);
    }
    storage_close_file(s, &aside);
    if (error == 0) {
        error = s->fs->ops->rename(s->fs, s->dir, ASIDE_TMP_NAME, name);
    }
    if (error == 0) {
        error = s->fs->ops->sync_dir(s->fs, s->dir);
    }
    return error == 0 ? RK_OK : storage_error(error, why, "set aside damaged entries in", name);
}

static void drop_name(void *context, const char *name)
{
    struct storage *s = context;
    size_t size = strlen(name);
    const size_t suffix = strlen(ASIDE_SUFFIX);

    if (strncmp(name, ASIDE_PREFIX, strlen(ASIDE_PREFIX)) == 0 && size > suffix &&
        strcmp(name + size - suffix, ASIDE_SUFFIX) == 0) {
        (void)s->fs->ops->unlink(s->fs, s->dir, name);
    }
}

void repair_drop_aside(struct storage *s)
{
    (void)s->fs->ops->list(s->fs, s->dir, drop_name, s);
}
