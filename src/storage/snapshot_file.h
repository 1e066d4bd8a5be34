/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a snapshot file and the names of snapshots; for src/storage/ only.
 *
 *   header   { "RKSNAP1\n", u32 format version, u32 header bytes, 16 B cluster id,
 *              u64 last index, u64 last term, u64 membership index, u32 feature level,
 *              u32 block bytes max, membership, u32 crc of all before }
 *   block    { u32 raw bytes > 0, u32 stored bytes, u32 crc of these 8 bytes and the stored
 *              ones, stored bytes: zlib, or raw when both sizes are equal }
 *   trailer  { u32 zero, u32 blocks, u64 raw bytes of all, u64 file bytes, u32 crc of these 24 }
 *   digest   { SHA-256 of everything before }
 */
#ifndef STORAGE_SNAPSHOT_FILE_H
#define STORAGE_SNAPSHOT_FILE_H

#include <openssl/evp.h>

#include "storage/snapshot.h"

#define SNAPSHOT_FORMAT_VERSION 1
#define SNAPSHOT_BLOCK_BYTES (256 * KIB)                           /* raw */
#define SNAPSHOT_STORED_BYTES_MAX (SNAPSHOT_BLOCK_BYTES + 4 * KIB) /* over zlib's worst case */
#define SNAPSHOT_BLOCK_HEAD_BYTES 12
#define SNAPSHOT_TRAILER_BYTES 28
#define SNAPSHOT_DIGEST_BYTES 32
#define SNAPSHOT_HEADER_BYTES_MAX (32 * KIB)
#define SNAPSHOT_KEPT 2

enum { SNAPSHOT_NAME_BYTES = 80 };

/* Writes "raft-snapshot-<index>-<term><ending>". */
void snapshot_format_name(char name[SNAPSHOT_NAME_BYTES], raft_index last_index,
                          raft_term last_term, const char *ending);

/* True for the name of a finished snapshot. */
bool snapshot_parse_name(const char *name, raft_index *ret_last_index, raft_term *ret_last_term);

void snapshot_encode_header(struct buffer *out, const struct snapshot_meta *meta);

/* Checks the first bytes of a file; *ret_size is the size of the header.
 * Errors: CORRUPT, FOREIGN (intact, of a newer format). */
enum rk_status snapshot_decode_header(struct slice bytes, struct snapshot_meta *ret_meta,
                                      size_t *ret_size) MUST_USE;

struct block_head {
    uint32_t raw_bytes; /* 0 = this is the trailer */
    uint32_t stored_bytes;
    uint32_t crc;
};

/* ---- An open snapshot file that is being checked ---- */

struct snapshot_check {
    struct fs *fs;
    fs_handle file;
    const char *name; /* for messages; borrowed */
    uint64_t file_bytes;
    uint64_t offset;      /* of the next block */
    uint64_t first_block; /* offset of the first */
    struct buffer bytes;  /* the block just read, as stored */
    EVP_MD_CTX *digest;   /* NULL when bytes are not digested */
};

/*
 * Reads the whole file once: header, framing and CRC of each block, totals, digest.
 * Errors: CORRUPT (names the offset), FOREIGN, IO, NOMEM.
 */
enum rk_status snapshot_check_file(struct fs *fs, fs_handle file, const char *name,
                                   struct snapshot_meta *ret_meta, uint64_t *ret_first_block,
                                   struct errmsg *why) MUST_USE;

/* Opens a file of the directory for reading.  Errors: NOT_FOUND, IO. */
enum rk_status snapshot_open_file(struct fs *fs, const char *data_dir, const char *name,
                                  fs_handle *ret_file, struct errmsg *why) MUST_USE;

/* snapshot_check_file(), and that the file is what its name says: a file under another
 * snapshot's name is as bad as a damaged one. */
enum rk_status snapshot_check_named(struct fs *fs, fs_handle file, const char *name,
                                    raft_index last_index, raft_term last_term,
                                    struct snapshot_meta *ret_meta, uint64_t *ret_first_block,
                                    struct errmsg *why) MUST_USE;

/* Reads and checks the block at c->offset into c->bytes and moves on; raw_bytes 0 = no more. */
enum rk_status snapshot_next_block(struct snapshot_check *c, struct block_head *ret_head,
                                   struct errmsg *why) MUST_USE;

/* ---- The set in a directory ---- */

struct snapshot_name {
    raft_index last_index;
    raft_term last_term;
};

#define SNAPSHOTS_LISTED_MAX 64 /* the newest ones; older ones are left alone */

struct snapshot_set {
    struct snapshot_name items[SNAPSHOTS_LISTED_MAX]; /* newest first */
    size_t count;
};

enum rk_status snapshot_list(struct fs *fs, fs_handle dir, struct snapshot_set *ret_set,
                             struct errmsg *why) MUST_USE;

/* Removes all but the SNAPSHOT_KEPT newest, and those set aside as damaged. */
enum rk_status snapshot_prune(struct fs *fs, fs_handle dir, struct errmsg *why) MUST_USE;

#endif
