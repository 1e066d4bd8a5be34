/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/snapshot_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <zlib.h>

#include "base/assert.h"
#include "base/heap.h"
#include "storage/storage_internal.h"

#define HEADER_FIXED_BYTES (8 + 4 + 4 + CLUSTER_ID_BYTES + 8 + 8 + 8 + 4 + 4)
#define CHECK_CHUNK_BYTES (256 * KIB)

static const uint8_t snapshot_magic[8] = { 'R', 'K', 'S', 'N', 'A', 'P', '1', '\n' };

/* ---- Names ---- */

void snapshot_format_name(char name[SNAPSHOT_NAME_BYTES], raft_index last_index,
                          raft_term last_term, const char *ending)
{
    int size = snprintf(name, SNAPSHOT_NAME_BYTES, "raft-snapshot-%" PRIu64 "-%" PRIu64 "%s",
                        last_index, last_term, ending);

    POST(size > 0 && size < SNAPSHOT_NAME_BYTES);
}

/* Decimal digits without a leading zero; moves *text behind them. */
static bool parse_number(const char **text, uint64_t *ret_value)
{
    const char *p = *text;
    uint64_t value = 0;

    if (*p < '1' || *p > '9') {
        return false;
    }
    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');

        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *text = p;
    *ret_value = value;
    return true;
}

bool snapshot_parse_name(const char *name, raft_index *ret_last_index, raft_term *ret_last_term)
{
    static const char prefix[] = "raft-snapshot-";

    if (strncmp(name, prefix, sizeof prefix - 1) != 0) {
        return false;
    }
    name += sizeof prefix - 1;
    if (!parse_number(&name, ret_last_index) || *name++ != '-') {
        return false;
    }
    return parse_number(&name, ret_last_term) && strcmp(name, ".dat") == 0;
}

/* ---- Header ---- */

void snapshot_encode_header(struct buffer *out, const struct snapshot_meta *meta)
{
    size_t start = out->size;

    buffer_put(out, snapshot_magic, sizeof snapshot_magic);
    buffer_put_u32(out, SNAPSHOT_FORMAT_VERSION);
    buffer_put_u32(out, 0);
    buffer_put(out, meta->cluster_id, CLUSTER_ID_BYTES);
    buffer_put_u64(out, meta->last_index);
    buffer_put_u64(out, meta->last_term);
    buffer_put_u64(out, meta->membership_index);
    buffer_put_u32(out, meta->feature_level);
    buffer_put_u32(out, SNAPSHOT_BLOCK_BYTES);
    membership_encode(out, &meta->membership);
    put_be32(out->data + start + 12, (uint32_t)(out->size - start + 4));
    buffer_put_u32(out, (uint32_t)crc32(0, out->data + start, (uInt)(out->size - start)));
    POST(out->size - start <= SNAPSHOT_HEADER_BYTES_MAX);
}

enum rk_status snapshot_decode_header(struct slice bytes, struct snapshot_meta *ret_meta,
                                      size_t *ret_size)
{
    struct snapshot_meta meta = { .last_index = 0 };
    struct slice cluster_id;
    struct reader in;
    uint32_t size;

    if (bytes.size < HEADER_FIXED_BYTES ||
        memcmp(bytes.data, snapshot_magic, sizeof snapshot_magic) != 0) {
        return RK_CORRUPT;
    }
    size = get_be32(bytes.data + 12);
    if (size < HEADER_FIXED_BYTES + 4 || size > SNAPSHOT_HEADER_BYTES_MAX || size > bytes.size ||
        (uint32_t)crc32(0, bytes.data, size - 4) != get_be32(bytes.data + size - 4)) {
        return RK_CORRUPT;
    }
    if (get_be32(bytes.data + 8) > SNAPSHOT_FORMAT_VERSION) {
        return RK_FOREIGN;
    }
    in = reader_of(slice_of(bytes.data + 16, size - 20));
    cluster_id = reader_bytes(&in, CLUSTER_ID_BYTES);
    memcpy(meta.cluster_id, cluster_id.data, CLUSTER_ID_BYTES);
    meta.last_index = reader_u64(&in);
    meta.last_term = reader_u64(&in);
    meta.membership_index = reader_u64(&in);
    meta.feature_level = reader_u32(&in);
    if (reader_u32(&in) > SNAPSHOT_BLOCK_BYTES ||
        membership_decode(&in, &meta.membership) != RK_OK || !reader_done(&in) ||
        meta.last_index == 0 || meta.last_index > STORED_NUMBER_MAX || meta.last_term == 0 ||
        meta.last_term > STORED_NUMBER_MAX) {
        return RK_CORRUPT;
    }
    *ret_meta = meta;
    *ret_size = size;
    return RK_OK;
}

/* ---- Checking ---- */

static enum rk_status damaged(const struct snapshot_check *c, struct errmsg *why, const char *what)
{
    errmsg_set(why, "%s: %s at offset %" PRIu64, c->name, what, c->offset);
    return RK_CORRUPT;
}

/* Reads exactly `size` bytes at c->offset into c->bytes. */
static enum rk_status read_bytes(struct snapshot_check *c, size_t size, struct errmsg *why)
{
    size_t got = 0;
    int error;

    buffer_clear(&c->bytes);
    if (size > c->file_bytes - c->offset) {
        return damaged(c, why, "the file ends early");
    }
    if (buffer_reserve(&c->bytes, size) != RK_OK) {
        return storage_error(ENOMEM, why, "read", c->name);
    }
    error = c->fs->ops->read(c->fs, c->file, c->offset, c->bytes.data, size, &got);
    if (error != 0) {
        return storage_error(error, why, "read", c->name);
    }
    if (got < size) {
        return damaged(c, why, "the file ends early");
    }
    c->bytes.size = size;
    return RK_OK;
}

static void digest_bytes(struct snapshot_check *c)
{
    if (c->digest != NULL) {
        int rc = EVP_DigestUpdate(c->digest, c->bytes.data, c->bytes.size);

        INVARIANT(rc == 1);
    }
}

enum rk_status snapshot_next_block(struct snapshot_check *c, struct block_head *ret_head,
                                   struct errmsg *why)
{
    struct block_head head;
    enum rk_status status = read_bytes(c, SNAPSHOT_BLOCK_HEAD_BYTES, why);
    uLong crc;

    if (status != RK_OK) {
        return status;
    }
    head.raw_bytes = get_be32(c->bytes.data);
    head.stored_bytes = get_be32(c->bytes.data + 4);
    head.crc = get_be32(c->bytes.data + 8);
    if (head.raw_bytes == 0) {
        *ret_head = head;
        return RK_OK;
    }
    if (head.raw_bytes > SNAPSHOT_BLOCK_BYTES || head.stored_bytes > SNAPSHOT_STORED_BYTES_MAX) {
        return damaged(c, why, "a block of impossible size");
    }
    crc = crc32(0, c->bytes.data, 8);
    digest_bytes(c);
    c->offset += SNAPSHOT_BLOCK_HEAD_BYTES;
    status = read_bytes(c, head.stored_bytes, why);
    if (status != RK_OK) {
        return status;
    }
    if ((uint32_t)crc32(crc, c->bytes.data, (uInt)c->bytes.size) != head.crc) {
        return damaged(c, why, "a block with a bad crc");
    }
    digest_bytes(c);
    c->offset += head.stored_bytes;
    *ret_head = head;
    return RK_OK;
}

static enum rk_status check_header(struct snapshot_check *c, struct snapshot_meta *ret_meta,
                                   struct errmsg *why)
{
    size_t size = SNAPSHOT_HEADER_BYTES_MAX;
    enum rk_status status;

    if (size > c->file_bytes) {
        size = (size_t)c->file_bytes;
    }
    status = read_bytes(c, size, why);
    if (status != RK_OK) {
        return status;
    }
    status = snapshot_decode_header(buffer_slice(&c->bytes), ret_meta, &size);
    if (status == RK_FOREIGN) {
        errmsg_set(why, "%s was written by a newer version of refkeeper", c->name);
    } else if (status != RK_OK) {
        return damaged(c, why, "a damaged header");
    }
    c->bytes.size = size;
    digest_bytes(c);
    c->offset = size;
    c->first_block = size;
    return status;
}

static enum rk_status check_trailer(struct snapshot_check *c, uint32_t blocks, uint64_t raw_bytes,
                                    struct errmsg *why)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    enum rk_status status = read_bytes(c, SNAPSHOT_TRAILER_BYTES, why);
    int rc;

    if (status != RK_OK) {
        return status;
    }
    if (get_be32(c->bytes.data + 4) != blocks || get_be64(c->bytes.data + 8) != raw_bytes ||
        get_be64(c->bytes.data + 16) != c->file_bytes ||
        (uint32_t)crc32(0, c->bytes.data, SNAPSHOT_TRAILER_BYTES - 4) !=
            get_be32(c->bytes.data + SNAPSHOT_TRAILER_BYTES - 4)) {
        return damaged(c, why, "a damaged trailer");
    }
    digest_bytes(c);
    c->offset += SNAPSHOT_TRAILER_BYTES;
    status = read_bytes(c, SNAPSHOT_DIGEST_BYTES, why);
    if (status != RK_OK) {
        return status;
    }
    rc = EVP_DigestFinal_ex(c->digest, digest, NULL);
    INVARIANT(rc == 1);
    if (memcmp(digest, c->bytes.data, SNAPSHOT_DIGEST_BYTES) != 0 ||
        c->offset + SNAPSHOT_DIGEST_BYTES != c->file_bytes) {
        return damaged(c, why, "a wrong digest");
    }
    return RK_OK;
}

static enum rk_status check_steps(struct snapshot_check *c, struct snapshot_meta *ret_meta,
                                  struct errmsg *why)
{
    enum rk_status status = check_header(c, ret_meta, why);
    uint64_t raw_bytes = 0;
    uint32_t blocks = 0;

    while (status == RK_OK) {
        struct block_head head;

        status = snapshot_next_block(c, &head, why);
        if (status == RK_OK && head.raw_bytes == 0) {
            return check_trailer(c, blocks, raw_bytes, why);
        }
        raw_bytes += head.raw_bytes;
        blocks++;
    }
    return status;
}

enum rk_status snapshot_check_file(struct fs *fs, fs_handle file, const char *name,
                                   struct snapshot_meta *ret_meta, uint64_t *ret_first_block,
                                   struct errmsg *why)
{
    struct snapshot_check c = { .fs = fs, .file = file, .name = name };
    enum rk_status status;
    int error = fs->ops->size(fs, file, &c.file_bytes);

    if (error != 0) {
        return storage_error(error, why, "read", name);
    }
    c.digest = EVP_MD_CTX_new();
    if (c.digest == NULL || EVP_DigestInit_ex(c.digest, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(c.digest);
        return storage_error(ENOMEM, why, "read", name);
    }
    status = check_steps(&c, ret_meta, why);
    *ret_first_block = c.first_block;
    EVP_MD_CTX_free(c.digest);
    buffer_release(&c.bytes);
    return status;
}

/* ---- The set ---- */

static bool is_newer(const struct snapshot_name *a, const struct snapshot_name *b)
{
    return a->last_index != b->last_index ? a->last_index > b->last_index
                                          : a->last_term > b->last_term;
}

/* Insertion into the newest few: a directory with thousands of names costs no memory. */
static void list_name(void *context, const char *name)
{
    struct snapshot_set *set = context;
    struct snapshot_name item;
    size_t i;

    if (!snapshot_parse_name(name, &item.last_index, &item.last_term)) {
        return;
    }
    for (i = set->count; i > 0 && is_newer(&item, &set->items[i - 1]); i--) {
        if (i < SNAPSHOTS_LISTED_MAX) {
            set->items[i] = set->items[i - 1];
        }
    }
    if (i < SNAPSHOTS_LISTED_MAX) {
        set->items[i] = item;
        set->count += set->count < SNAPSHOTS_LISTED_MAX ? 1 : 0;
    }
}

enum rk_status snapshot_list(struct fs *fs, fs_handle dir, struct snapshot_set *ret_set,
                             struct errmsg *why)
{
    int error;

    ret_set->count = 0;
    error = fs->ops->list(fs, dir, list_name, ret_set);
    return error == 0 ? RK_OK : storage_error(error, why, "list", "snapshots");
}

struct pruning {
    struct fs *fs;
    fs_handle dir;
    struct snapshot_name oldest_kept;
    int error;
};

static void prune_name(void *context, const char *name)
{
    struct pruning *p = context;
    struct snapshot_name item;
    size_t size = strlen(name);

    if (snapshot_parse_name(name, &item.last_index, &item.last_term)) {
        if (!is_newer(&p->oldest_kept, &item)) {
            return;
        }
    } else if (strncmp(name, "raft-snapshot-", 14) != 0 || size < 8 ||
               strcmp(name + size - 8, ".damaged") != 0) {
        return;
    }
    if (p->error == 0) {
        p->error = p->fs->ops->unlink(p->fs, p->dir, name);
    }
}

enum rk_status snapshot_prune(struct fs *fs, fs_handle dir, struct errmsg *why)
{
    struct pruning p = { .fs = fs, .dir = dir };
    struct snapshot_set set;
    enum rk_status status = snapshot_list(fs, dir, &set, why);

    if (status != RK_OK) {
        return status;
    }
    if (set.count >= SNAPSHOT_KEPT) {
        p.oldest_kept = set.items[SNAPSHOT_KEPT - 1];
    }
    p.error = fs->ops->list(fs, dir, prune_name, &p);
    return p.error == 0 ? RK_OK : storage_error(p.error, why, "remove", "old snapshots");
}
