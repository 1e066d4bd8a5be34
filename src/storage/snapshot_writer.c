/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <zlib.h>

#include "base/assert.h"
#include "base/heap.h"
#include "base/teeth.h"
#include "storage/snapshot_file.h"
#include "storage/storage_internal.h"

/* Object ids do not shrink, and trying costs ten times what writing them does.  When a block saved
 * less than half, so many behind it are kept raw untried: a rule of the bytes alone. */
#define BLOCKS_UNTRIED 7

struct snapshot_writer {
    struct fs *fs;
    fs_handle dir;
    fs_handle file;
    char tmp_name[SNAPSHOT_NAME_BYTES];
    char name[SNAPSHOT_NAME_BYTES];
    struct buffer raw;    /* of the block being filled */
    struct buffer stored; /* head and bytes of the block being written */
    z_stream stream;
    bool has_stream;
    EVP_MD_CTX *digest;
    uint64_t offset;
    uint64_t raw_bytes;
    uint32_t blocks;
    unsigned untried; /* blocks to keep raw without trying */
    bool is_failed;
};

static enum rk_status write_bytes(struct snapshot_writer *w, struct slice bytes, struct errmsg *why)
{
    int error = w->fs->ops->write(w->fs, w->file, w->offset, bytes.data, bytes.size);

    if (error != 0) {
        w->is_failed = true;
        return storage_error(error, why, "write", w->tmp_name);
    }
    w->offset += bytes.size;
    if (EVP_DigestUpdate(w->digest, bytes.data, bytes.size) != 1) {
        w->is_failed = true;
        return storage_error(ENOMEM, why, "write", w->tmp_name);
    }
    return RK_OK;
}

static void writer_free(struct snapshot_writer *w)
{
    if (w->file >= 0) {
        w->fs->ops->close(w->fs, w->file);
    }
    if (w->dir >= 0) {
        w->fs->ops->close(w->fs, w->dir);
    }
    if (w->has_stream) {
        (void)deflateEnd(&w->stream);
    }
    EVP_MD_CTX_free(w->digest);
    buffer_release(&w->raw);
    buffer_release(&w->stored);
    heap_free(w);
}

void snapshot_writer_abort(struct snapshot_writer *w)
{
    if (w == NULL) {
        return;
    }
    if (w->file >= 0) {
        (void)w->fs->ops->unlink(w->fs, w->dir, w->tmp_name);
    }
    writer_free(w);
}

static enum rk_status open_file(struct snapshot_writer *w, const char *data_dir, struct errmsg *why)
{
    int error = w->fs->ops->open_dir(w->fs, data_dir, false, &w->dir);

    if (error != 0) {
        return storage_error(error, why, "open directory", data_dir);
    }
    error = w->fs->ops->open(w->fs, w->dir, w->tmp_name, FS_WRITE | FS_CREATE | FS_TRUNC, &w->file);
    return error == 0 ? RK_OK : storage_error(error, why, "create", w->tmp_name);
}

enum rk_status snapshot_writer_open(struct fs *fs, const char *data_dir,
                                    const struct snapshot_meta *meta,
                                    struct snapshot_writer **ret_writer, struct errmsg *why)
{
    struct snapshot_writer *w = heap_new(struct snapshot_writer);
    enum rk_status status;

    PRE(meta->last_index > 0 && meta->last_term > 0);
    w->fs = fs;
    w->dir = -1;
    w->file = -1;
    snapshot_format_name(w->name, meta->last_index, meta->last_term, ".dat");
    snapshot_format_name(w->tmp_name, meta->last_index, meta->last_term, ".tmp");
    w->has_stream = deflateInit(&w->stream, 1) == Z_OK;
    w->digest = EVP_MD_CTX_new();
    if (!w->has_stream || w->digest == NULL ||
        EVP_DigestInit_ex(w->digest, EVP_sha256(), NULL) != 1) {
        status = storage_error(ENOMEM, why, "write", w->tmp_name);
    } else {
        status = open_file(w, data_dir, why);
    }
    if (status == RK_OK) {
        snapshot_encode_header(&w->stored, meta);
        status = write_bytes(w, buffer_slice(&w->stored), why);
    }
    if (status != RK_OK) {
        snapshot_writer_abort(w);
        return status;
    }
    *ret_writer = w;
    return RK_OK;
}

/* Deflates w->raw to `to`, which has room for as many bytes; how many it took, or 0 when it does
 * not shrink. */
static size_t deflate_block(struct snapshot_writer *w, uint8_t *to)
{
    int rc = deflateReset(&w->stream);

    INVARIANT(rc == Z_OK);
    w->stream.next_in = w->raw.data;
    w->stream.avail_in = (uInt)w->raw.size;
    w->stream.next_out = to;
    w->stream.avail_out = (uInt)w->raw.size - 1;
    return deflate(&w->stream, Z_FINISH) == Z_STREAM_END ? w->raw.size - 1 - w->stream.avail_out
                                                         : 0;
}

/* Puts w->raw behind a head into w->stored, deflated or, where that gains nothing, raw. */
static void compress_block(struct snapshot_writer *w)
{
    uint8_t *head;
    uLong crc;
    size_t size = 0;

    buffer_clear(&w->stored);
    if (buffer_reserve(&w->stored, SNAPSHOT_BLOCK_HEAD_BYTES + w->raw.size) != RK_OK) {
        heap_exhausted(SNAPSHOT_BLOCK_HEAD_BYTES + w->raw.size);
    }
    head = w->stored.data;
    if (w->untried > 0) {
        w->untried--;
    } else {
        size = deflate_block(w, head + SNAPSHOT_BLOCK_HEAD_BYTES);
        w->untried = size == 0 || size > w->raw.size / 2 ? BLOCKS_UNTRIED : 0;
    }
    if (size == 0) {
        size = w->raw.size;
        memcpy(head + SNAPSHOT_BLOCK_HEAD_BYTES, w->raw.data, size);
    }
    put_be32(head, (uint32_t)w->raw.size);
    put_be32(head + 4, (uint32_t)size);
    crc = crc32(0, head, 8);
    put_be32(head + 8, (uint32_t)crc32(crc, head + SNAPSHOT_BLOCK_HEAD_BYTES, (uInt)size));
    w->stored.size = SNAPSHOT_BLOCK_HEAD_BYTES + size;
}

static enum rk_status flush_block(struct snapshot_writer *w, struct errmsg *why)
{
    if (w->raw.size == 0) {
        return RK_OK;
    }
    compress_block(w);
    w->raw_bytes += w->raw.size;
    w->blocks++;
    buffer_clear(&w->raw);
    return write_bytes(w, buffer_slice(&w->stored), why);
}

enum rk_status snapshot_writer_put(struct snapshot_writer *w, struct slice bytes,
                                   struct errmsg *why)
{
    PRE(!w->is_failed);
    while (bytes.size > 0) {
        size_t room = SNAPSHOT_BLOCK_BYTES - w->raw.size;
        size_t size = bytes.size < room ? bytes.size : room;

        buffer_put(&w->raw, bytes.data, size);
        bytes.data += size;
        bytes.size -= size;
        if (w->raw.size == SNAPSHOT_BLOCK_BYTES) {
            enum rk_status status = flush_block(w, why);

            if (status != RK_OK) {
                return status;
            }
        }
    }
    return RK_OK;
}

static enum rk_status write_trailer(struct snapshot_writer *w, struct errmsg *why)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    struct buffer *out = &w->stored;
    uint64_t file_bytes = w->offset + SNAPSHOT_TRAILER_BYTES + SNAPSHOT_DIGEST_BYTES;
    enum rk_status status;

    buffer_clear(out);
    buffer_put_u32(out, 0);
    buffer_put_u32(out, w->blocks);
    buffer_put_u64(out, w->raw_bytes);
    buffer_put_u64(out, file_bytes);
    buffer_put_u32(out, (uint32_t)crc32(0, out->data, (uInt)out->size));
    status = write_bytes(w, buffer_slice(out), why);
    if (status != RK_OK) {
        return status;
    }
    if (EVP_DigestFinal_ex(w->digest, digest, NULL) != 1) {
        return storage_error(ENOMEM, why, "write", w->tmp_name);
    }
    return write_bytes(w, slice_of(digest, SNAPSHOT_DIGEST_BYTES), why);
}

enum rk_status snapshot_writer_commit(struct snapshot_writer *w, struct errmsg *why)
{
    const struct fs_ops *ops = w->fs->ops;
    enum rk_status status;
    int error;

    PRE(!w->is_failed);
    status = flush_block(w, why);
    if (status == RK_OK) {
        status = write_trailer(w, why);
    }
    if (status != RK_OK) {
        snapshot_writer_abort(w);
        return status;
    }
    error = TOOTH(LOG_CUT_BEFORE_SNAPSHOT) ? 0 : ops->datasync(w->fs, w->file);
    if (error == 0) {
        error = ops->rename(w->fs, w->dir, w->tmp_name, w->name);
    }
    if (error == 0 && !TOOTH(DIRECTORY_NOT_SYNCED)) {
        error = ops->sync_dir(w->fs, w->dir);
    }
    status = error == 0 ? snapshot_prune(w->fs, w->dir, why)
                        : storage_error(error, why, "commit", w->tmp_name);
    writer_free(w);
    return status;
}
