/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <zlib.h>

#include "base/heap.h"
#include "storage/snapshot_file.h"
#include "storage/storage_internal.h"

struct snapshot_reader {
    struct fs *fs;
    fs_handle file;
    char name[SNAPSHOT_NAME_BYTES];
    struct snapshot_check check;
    z_stream stream;
    bool has_stream;
    uint8_t *raw;
};

enum rk_status snapshot_open_file(struct fs *fs, const char *data_dir, const char *name,
                                  fs_handle *ret_file, struct errmsg *why)
{
    fs_handle dir = -1;
    int error = fs->ops->open_dir(fs, data_dir, false, &dir);

    if (error != 0) {
        return storage_error(error, why, "open directory", data_dir);
    }
    error = fs->ops->open(fs, dir, name, FS_READ, ret_file);
    fs->ops->close(fs, dir);
    if (error == ENOENT) {
        errmsg_set(why, "%s/%s does not exist", data_dir, name);
        return RK_NOT_FOUND;
    }
    return error == 0 ? RK_OK : storage_error(error, why, "open", name);
}

enum rk_status snapshot_check_named(struct fs *fs, fs_handle file, const char *name,
                                    raft_index last_index, raft_term last_term,
                                    struct snapshot_meta *ret_meta, uint64_t *ret_first_block,
                                    struct errmsg *why)
{
    enum rk_status status = snapshot_check_file(fs, file, name, ret_meta, ret_first_block, why);

    if (status == RK_OK &&
        (ret_meta->last_index != last_index || ret_meta->last_term != last_term)) {
        errmsg_set(why, "%s: the file is another snapshot, up to entry %llu of term %llu", name,
                   (unsigned long long)ret_meta->last_index,
                   (unsigned long long)ret_meta->last_term);
        return RK_CORRUPT;
    }
    return status;
}

void snapshot_reader_close(struct snapshot_reader *r)
{
    if (r == NULL) {
        return;
    }
    if (r->file >= 0) {
        r->fs->ops->close(r->fs, r->file);
    }
    if (r->has_stream) {
        (void)inflateEnd(&r->stream);
    }
    buffer_release(&r->check.bytes);
    heap_free(r->raw);
    heap_free(r);
}

enum rk_status snapshot_reader_open(struct fs *fs, const char *data_dir, raft_index last_index,
                                    raft_term last_term, struct snapshot_meta *ret_meta,
                                    struct snapshot_reader **ret_reader, struct errmsg *why)
{
    struct snapshot_reader *r = heap_new(struct snapshot_reader);
    struct snapshot_meta *meta = heap_new(struct snapshot_meta);
    enum rk_status status;
    int error = 0;

    r->fs = fs;
    r->file = -1;
    snapshot_format_name(r->name, last_index, last_term, ".dat");
    r->check = (struct snapshot_check){ .fs = fs, .name = r->name };
    status = snapshot_open_file(fs, data_dir, r->name, &r->file, why);
    if (status == RK_OK) {
        status = snapshot_check_named(fs, r->file, r->name, last_index, last_term, meta,
                                      &r->check.offset, why);
    }
    if (status == RK_OK) {
        r->check.file = r->file;
        r->has_stream = inflateInit(&r->stream) == Z_OK;
        r->raw = heap_try_alloc(SNAPSHOT_BLOCK_BYTES);
        error = r->has_stream && r->raw != NULL ? fs->ops->size(fs, r->file, &r->check.file_bytes)
                                                : ENOMEM;
        if (error != 0) {
            status = storage_error(error, why, "read", r->name);
        }
    }
    if (status == RK_OK) {
        *ret_meta = *meta;
        *ret_reader = r;
    } else {
        snapshot_reader_close(r);
    }
    heap_free(meta);
    return status;
}

/* The head says how much may come out; a block that gives more or less is damaged. */
static bool inflate_block(struct snapshot_reader *r, uint32_t raw_bytes)
{
    struct buffer *stored = &r->check.bytes;

    if (stored->size == raw_bytes) {
        memcpy(r->raw, stored->data, raw_bytes);
        return true;
    }
    if (inflateReset(&r->stream) != Z_OK) {
        return false;
    }
    r->stream.next_in = stored->data;
    r->stream.avail_in = (uInt)stored->size;
    r->stream.next_out = r->raw;
    r->stream.avail_out = raw_bytes;
    return inflate(&r->stream, Z_FINISH) == Z_STREAM_END && r->stream.avail_out == 0 &&
           r->stream.avail_in == 0;
}

enum rk_status snapshot_reader_next(struct snapshot_reader *r, struct slice *ret_bytes,
                                    struct errmsg *why)
{
    struct block_head head;
    uint64_t offset = r->check.offset;
    enum rk_status status = snapshot_next_block(&r->check, &head, why);

    if (status != RK_OK) {
        return status;
    }
    if (head.raw_bytes == 0) {
        *ret_bytes = SLICE_NONE;
        return RK_OK;
    }
    if (!inflate_block(r, head.raw_bytes)) {
        errmsg_set(why, "%s: a block that does not inflate at offset %llu", r->name,
                   (unsigned long long)offset);
        return RK_CORRUPT;
    }
    *ret_bytes = slice_of(r->raw, head.raw_bytes);
    return RK_OK;
}
