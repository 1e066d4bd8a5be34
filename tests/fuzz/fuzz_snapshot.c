/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a snapshot file that is the input.  The first byte says what is set right before:
 * 1 the crc of the header, 2 of each block, 4 trailer and digest.
 */
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/assert.h"
#include "base/heap.h"
#include "storage/snapshot.h"
#include "support/fs_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Returns the offset behind the blocks; *ret_raw and *ret_count sum them up. */
static size_t fix_blocks(struct buffer *b, size_t offset, uint64_t *ret_raw, uint32_t *ret_count)
{
    while (b->size - offset >= 12 && get_be32(b->data + offset) != 0) {
        uint32_t stored = get_be32(b->data + offset + 4);
        uLong crc = crc32(0, b->data + offset, 8);

        if (stored > b->size - offset - 12) {
            break;
        }
        put_be32(b->data + offset + 8, (uint32_t)crc32(crc, b->data + offset + 12, (uInt)stored));
        *ret_raw += get_be32(b->data + offset);
        ++*ret_count;
        offset += 12 + stored;
    }
    return offset;
}

static void seal(struct buffer *b, size_t offset, uint64_t raw, uint32_t count)
{
    uint8_t digest[EVP_MAX_MD_SIZE];

    b->size = offset;
    buffer_put_u32(b, 0);
    buffer_put_u32(b, count);
    buffer_put_u64(b, raw);
    buffer_put_u64(b, offset + 60);
    buffer_put_u32(b, (uint32_t)crc32(0, b->data + offset, 24));
    if (EVP_Digest(b->data, b->size, digest, NULL, EVP_sha256(), NULL) == 1) {
        buffer_put(b, digest, 32);
    }
}

static void fix(struct buffer *b, unsigned flags)
{
    uint64_t raw = 0;
    uint32_t count = 0;
    uint32_t header;
    size_t end;

    if (b->size < 20) {
        return;
    }
    header = get_be32(b->data + 12);
    if (header < 20 || header > b->size) {
        return;
    }
    if ((flags & 1) != 0) {
        put_be32(b->data + header - 4, (uint32_t)crc32(0, b->data, (uInt)header - 4));
    }
    if ((flags & 2) != 0) {
        end = fix_blocks(b, header, &raw, &count);
        if ((flags & 4) != 0) {
            seal(b, end, raw, count);
        }
    }
}

static void receive(struct fs *fs, struct slice bytes, raft_index index, raft_term term)
{
    static const uint8_t any_cluster[CLUSTER_ID_BYTES];
    struct snapshot_meta *meta = heap_new(struct snapshot_meta);
    struct snapshot_receiver *receiver = NULL;
    struct snapshot_reader *reader = NULL;
    struct errmsg why = ERRMSG_INIT;
    struct slice piece = SLICE_NONE;
    struct snapshot_id id = { index, term, 0 };
    enum rk_status status = snapshot_receiver_open(fs, "/data", id, &receiver, &why);

    INVARIANT(status == RK_OK);
    status = snapshot_receiver_put(receiver, 0, bytes, &why);
    INVARIANT(status == RK_OK);
    status = snapshot_receiver_commit(receiver, any_cluster, meta, &why);
    if (status == RK_OK) {
        status = snapshot_reader_open(fs, "/data", index, term, meta, &reader, &why);
        INVARIANT(status == RK_OK);
        while (snapshot_reader_next(reader, &piece, &why) == RK_OK && piece.size > 0) {
        }
        snapshot_reader_close(reader);
    }
    heap_free(meta);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fs_memory *memory;
    struct buffer bytes = BUFFER_INIT;
    raft_index index = 1;
    raft_term term = 1;
    fs_handle dir;
    struct fs *fs;

    if (size < 1) {
        return 0;
    }
    memory = fs_memory_new();
    fs = fs_memory_fs(memory);
    if (fs->ops->open_dir(fs, "/data", true, &dir) == 0) {
        fs->ops->close(fs, dir);
    }
    buffer_put(&bytes, data + 1, size - 1);
    fix(&bytes, data[0]);
    if (bytes.size >= 48) {
        index = get_be64(bytes.data + 32);
        term = get_be64(bytes.data + 40);
    }
    receive(fs, buffer_slice(&bytes), index, term);
    INVARIANT(fs_memory_open_handles(memory) == 0);
    fs_memory_free(memory);
    buffer_release(&bytes);
    return 0;
}
