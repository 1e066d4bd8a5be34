/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/assert.h"
#include "base/heap.h"
#include "storage/snapshot_file.h"
#include "storage/storage_internal.h"

struct snapshot_source {
    struct fs *fs;
    fs_handle file;
    struct snapshot_id id;
    uint64_t file_bytes;
    char name[SNAPSHOT_NAME_BYTES];
};

/* The digest at the end of a file that was just verified. */
static int read_id(struct snapshot_source *s)
{
    uint8_t bytes[8];
    size_t got = 0;
    int error = s->fs->ops->size(s->fs, s->file, &s->file_bytes);

    if (error == 0) {
        error = s->fs->ops->read(s->fs, s->file, s->file_bytes - SNAPSHOT_DIGEST_BYTES, bytes,
                                 sizeof bytes, &got);
    }
    if (error == 0 && got < sizeof bytes) {
        error = EIO; /* it was longer a moment ago */
    }
    if (error == 0) {
        struct reader in = reader_of(slice_of(bytes, sizeof bytes));

        s->id.file_id = reader_u64(&in);
    }
    return error;
}

enum rk_status snapshot_source_open(struct fs *fs, const char *data_dir, raft_index last_index,
                                    raft_term last_term, struct snapshot_source **ret_source,
                                    struct errmsg *why)
{
    struct snapshot_source *s = heap_new(struct snapshot_source);
    struct snapshot_meta *meta = heap_new(struct snapshot_meta);
    uint64_t first_block;
    enum rk_status status;

    s->fs = fs;
    s->file = -1;
    s->id = (struct snapshot_id){ last_index, last_term, 0 };
    snapshot_format_name(s->name, last_index, last_term, ".dat");
    status = snapshot_open_file(fs, data_dir, s->name, &s->file, why);
    if (status == RK_OK) {
        status = snapshot_check_named(fs, s->file, s->name, last_index, last_term, meta,
                                      &first_block, why);
    }
    if (status == RK_OK) {
        int error = read_id(s);

        status = error == 0 ? RK_OK : storage_error(error, why, "read", s->name);
    }
    heap_free(meta);
    if (status != RK_OK) {
        snapshot_source_close(s);
        return status;
    }
    *ret_source = s;
    return RK_OK;
}

enum rk_status snapshot_source_read(struct snapshot_source *s, uint64_t offset, size_t size,
                                    struct buffer *out, struct errmsg *why)
{
    size_t got = 0;
    int error = buffer_reserve(out, size) == RK_OK ? 0 : ENOMEM;

    PRE(offset <= s->file_bytes && size <= s->file_bytes - offset);
    if (error == 0) {
        error = s->fs->ops->read(s->fs, s->file, offset, out->data + out->size, size, &got);
    }
    if (error == 0 && got < size) {
        error = EIO;
    }
    if (error != 0) {
        return storage_error(error, why, "read", s->name);
    }
    out->size += size;
    return RK_OK;
}

struct snapshot_id snapshot_source_id(const struct snapshot_source *s)
{
    return s->id;
}

uint64_t snapshot_source_bytes(const struct snapshot_source *s)
{
    return s->file_bytes;
}

void snapshot_source_close(struct snapshot_source *s)
{
    if (s == NULL) {
        return;
    }
    if (s->file >= 0) {
        s->fs->ops->close(s->fs, s->file);
    }
    heap_free(s);
}

uint64_t snapshot_file_bytes(struct fs *fs, const char *data_dir, raft_index last_index,
                             raft_term last_term)
{
    struct errmsg why = ERRMSG_INIT;
    char name[SNAPSHOT_NAME_BYTES];
    fs_handle file = -1;
    uint64_t bytes = 0;

    snapshot_format_name(name, last_index, last_term, ".dat");
    if (snapshot_open_file(fs, data_dir, name, &file, &why) != RK_OK) {
        return 0;
    }
    if (fs->ops->size(fs, file, &bytes) != 0) {
        bytes = 0;
    }
    fs->ops->close(fs, file);
    return bytes;
}
