/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/heap.h"
#include "storage/snapshot_file.h"
#include "storage/storage_internal.h"

/* Written bytes are synced this often, so that the last sync is short. */
#define RECEIVED_SYNC_BYTES (8 * MIB)

struct snapshot_receiver {
    struct fs *fs;
    fs_handle dir;
    fs_handle file;
    raft_index last_index;
    raft_term last_term;
    char part_name[SNAPSHOT_NAME_BYTES];
    char name[SNAPSHOT_NAME_BYTES];
    uint64_t stored_bytes;
    uint64_t synced_bytes;
};

void snapshot_receiver_close(struct snapshot_receiver *r)
{
    if (r == NULL) {
        return;
    }
    if (r->file >= 0) {
        r->fs->ops->close(r->fs, r->file);
    }
    if (r->dir >= 0) {
        r->fs->ops->close(r->fs, r->dir);
    }
    heap_free(r);
}

void snapshot_receiver_abort(struct snapshot_receiver *r)
{
    if (r == NULL) {
        return;
    }
    if (r->file >= 0) {
        (void)r->fs->ops->unlink(r->fs, r->dir, r->part_name);
    }
    snapshot_receiver_close(r);
}

/* Of unfinished files only the one being received may stay: an abandoned one would keep its
 * space for ever. */
static void drop_other_part(void *context, const char *name)
{
    struct snapshot_receiver *r = context;
    size_t size = strlen(name);

    if (strncmp(name, "raft-snapshot-", 14) == 0 && size > 5 &&
        strcmp(name + size - 5, ".part") == 0 && strcmp(name, r->part_name) != 0) {
        (void)r->fs->ops->unlink(r->fs, r->dir, name);
    }
}

enum rk_status snapshot_receiver_open(struct fs *fs, const char *data_dir, struct snapshot_id id,
                                      struct snapshot_receiver **ret_receiver, struct errmsg *why)
{
    struct snapshot_receiver *r = heap_new(struct snapshot_receiver);
    char ending[32];
    int error;

    r->fs = fs;
    r->dir = -1;
    r->file = -1;
    r->last_index = id.last_index;
    r->last_term = id.last_term;
    snprintf(ending, sizeof ending, "-%016llx.part", (unsigned long long)id.file_id);
    snapshot_format_name(r->name, id.last_index, id.last_term, ".dat");
    snapshot_format_name(r->part_name, id.last_index, id.last_term, ending);
    error = fs->ops->open_dir(fs, data_dir, false, &r->dir);
    if (error == 0) {
        error = fs->ops->list(fs, r->dir, drop_other_part, r);
    }
    if (error == 0) {
        error = fs->ops->open(fs, r->dir, r->part_name, FS_WRITE | FS_CREATE, &r->file);
    }
    if (error == 0) {
        error = fs->ops->size(fs, r->file, &r->stored_bytes);
    }
    if (error != 0) {
        snapshot_receiver_close(r);
        return storage_error(error, why, "create", "a received snapshot");
    }
    *ret_receiver = r;
    return RK_OK;
}

/* What a failed sync left the kernel holds for written: nobody may go on from it, not even after
 * a kill, so it goes at once. */
static int sync_received(struct snapshot_receiver *r)
{
    int error = r->fs->ops->datasync(r->fs, r->file);

    r->synced_bytes = r->stored_bytes;
    if (error != 0) {
        (void)r->fs->ops->unlink(r->fs, r->dir, r->part_name);
    }
    return error;
}

enum rk_status snapshot_receiver_put(struct snapshot_receiver *r, uint64_t offset,
                                     struct slice bytes, struct errmsg *why)
{
    int error;

    if (offset > r->stored_bytes) {
        errmsg_set(why, "%s: a chunk at %llu, but only %llu bytes are stored", r->part_name,
                   (unsigned long long)offset, (unsigned long long)r->stored_bytes);
        return RK_PROTOCOL;
    }
    if (bytes.size <= r->stored_bytes - offset) {
        return RK_OK; /* seen before */
    }
    error = r->fs->ops->write(r->fs, r->file, offset, bytes.data, bytes.size);
    if (error != 0) {
        return storage_error(error, why, "write", r->part_name);
    }
    r->stored_bytes = offset + bytes.size;
    if (r->stored_bytes - r->synced_bytes >= RECEIVED_SYNC_BYTES) {
        error = sync_received(r);
    }
    return error == 0 ? RK_OK : storage_error(error, why, "sync", r->part_name);
}

uint64_t snapshot_receiver_bytes(const struct snapshot_receiver *r)
{
    return r->stored_bytes;
}

static bool is_zero_id(const uint8_t id[CLUSTER_ID_BYTES])
{
    static const uint8_t zeros[CLUSTER_ID_BYTES];

    return memcmp(id, zeros, sizeof zeros) == 0;
}

static enum rk_status check_received(struct snapshot_receiver *r, const uint8_t *cluster_id,
                                     struct snapshot_meta *meta, struct errmsg *why)
{
    uint64_t first_block;
    enum rk_status status = snapshot_check_file(r->fs, r->file, r->part_name, meta, &first_block,
                                                why);

    if (status != RK_OK) {
        return status;
    }
    if (meta->last_index != r->last_index || meta->last_term != r->last_term) {
        errmsg_set(why, "%s: the file is another snapshot than was announced", r->part_name);
        return RK_CORRUPT;
    }
    if (!is_zero_id(cluster_id) && memcmp(cluster_id, meta->cluster_id, CLUSTER_ID_BYTES) != 0) {
        errmsg_set(why, "%s: the snapshot is of another cluster", r->part_name);
        return RK_FOREIGN;
    }
    return RK_OK;
}

/* What is read back for the check may come from the page cache; the sync stands before it, so
 * that a failing disk is heard of first. */
enum rk_status snapshot_receiver_commit(struct snapshot_receiver *r,
                                        const uint8_t cluster_id[CLUSTER_ID_BYTES],
                                        struct snapshot_meta *ret_meta, struct errmsg *why)
{
    const struct fs_ops *ops = r->fs->ops;
    struct snapshot_meta *meta = heap_new(struct snapshot_meta);
    int error = sync_received(r);
    enum rk_status status = error == 0 ? check_received(r, cluster_id, meta, why)
                                       : storage_error(error, why, "sync", r->part_name);

    if (status != RK_OK) {
        heap_free(meta);
        snapshot_receiver_abort(r);
        return status;
    }
    error = ops->rename(r->fs, r->dir, r->part_name, r->name);
    if (error == 0) {
        error = ops->sync_dir(r->fs, r->dir);
    }
    status = error == 0 ? snapshot_prune(r->fs, r->dir, why)
                        : storage_error(error, why, "commit", r->part_name);
    if (status == RK_OK) {
        *ret_meta = *meta;
    }
    heap_free(meta);
    snapshot_receiver_close(r);
    return status;
}
