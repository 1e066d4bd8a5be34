/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshot files: header, blocks compressed with zlib (CRC each), SHA-256 of the whole.
 *
 * Written to a temporary name, synced, renamed, directory synced; only then is it a
 * snapshot.  The two newest are kept.  Independent of struct storage: any one thread per
 * object.
 */
#ifndef STORAGE_SNAPSHOT_H
#define STORAGE_SNAPSHOT_H

#include "base/bytes.h"
#include "base/errmsg.h"
#include "model/membership.h"
#include "model/types.h"
#include "sys/fs.h"

struct snapshot_meta {
    uint8_t cluster_id[CLUSTER_ID_BYTES];
    raft_index last_index;
    raft_term last_term;
    struct membership membership; /* in force at last_index */
    raft_index membership_index;
    uint32_t feature_level;
};

/* ---- Writing ---- */

struct snapshot_writer;

enum rk_status snapshot_writer_open(struct fs *fs, const char *data_dir,
                                    const struct snapshot_meta *meta,
                                    struct snapshot_writer **ret_writer,
                                    struct errmsg *why) MUST_USE;
/* Adds state bytes; compressed and written in blocks. */
enum rk_status snapshot_writer_put(struct snapshot_writer *w, struct slice bytes,
                                   struct errmsg *why) MUST_USE;
/* Seals, syncs, renames, syncs the directory, drops all but the two newest.  Frees `w`. */
enum rk_status snapshot_writer_commit(struct snapshot_writer *w, struct errmsg *why) MUST_USE;
void snapshot_writer_abort(struct snapshot_writer *w); /* frees `w`; accepts NULL */

/* ---- Reading: verifies everything before the first byte is given out ---- */

struct snapshot_reader;

enum rk_status snapshot_reader_open(struct fs *fs, const char *data_dir, raft_index last_index,
                                    raft_term last_term, struct snapshot_meta *ret_meta,
                                    struct snapshot_reader **ret_reader,
                                    struct errmsg *why) MUST_USE;
/* The next state bytes, valid until the next call; size 0 at the end. */
enum rk_status snapshot_reader_next(struct snapshot_reader *r, struct slice *ret_bytes,
                                    struct errmsg *why) MUST_USE;
void snapshot_reader_close(struct snapshot_reader *r);

/* ---- The file itself, for transfer ---- */

/* Its size as the directory has it; 0 when it cannot be asked. */
uint64_t snapshot_file_bytes(struct fs *fs, const char *data_dir, raft_index last_index,
                             raft_term last_term);

/* Which bytes are meant: two files of one name differ in their id unless they are equal. */
struct snapshot_id {
    raft_index last_index;
    raft_term last_term;
    uint64_t file_id; /* first 8 bytes of the file's SHA-256, big-endian */
};

/*
 * A finished file, held open: its bytes stay readable when newer snapshots replace it.
 * Opening verifies the whole file.  Errors: NOTFOUND, CORRUPT, FOREIGN, IO, NOMEM.
 */
struct snapshot_source;
enum rk_status snapshot_source_open(struct fs *fs, const char *data_dir, raft_index last_index,
                                    raft_term last_term, struct snapshot_source **ret_source,
                                    struct errmsg *why) MUST_USE;
/* Appends `size` bytes at `offset` to `out`.  PRE: within the file.  Errors: IO, NOMEM. */
enum rk_status snapshot_source_read(struct snapshot_source *s, uint64_t offset, size_t size,
                                    struct buffer *out, struct errmsg *why) MUST_USE;
struct snapshot_id snapshot_source_id(const struct snapshot_source *s);
uint64_t snapshot_source_bytes(const struct snapshot_source *s);
void snapshot_source_close(struct snapshot_source *s); /* accepts NULL */

/*
 * Stores raw bytes of a file being received.  Opening goes on behind what an earlier attempt
 * at the same id has stored, also of an earlier process, and drops every other unfinished
 * file.  What a power cut left wrong is found by the check at the end.
 */
struct snapshot_receiver;
enum rk_status snapshot_receiver_open(struct fs *fs, const char *data_dir, struct snapshot_id id,
                                      struct snapshot_receiver **ret_receiver,
                                      struct errmsg *why) MUST_USE;
/* Bytes stored before change nothing.  Errors: PROTOCOL (a gap; nothing changes), NOSPACE, IO. */
enum rk_status snapshot_receiver_put(struct snapshot_receiver *r, uint64_t offset,
                                     struct slice bytes, struct errmsg *why) MUST_USE;
uint64_t snapshot_receiver_bytes(const struct snapshot_receiver *r);
/* Verifies the whole file, syncs, renames into place.  Frees `r`.  Errors: CORRUPT, FOREIGN
 * (other cluster; zeros in `cluster_id` = any). */
enum rk_status snapshot_receiver_commit(struct snapshot_receiver *r,
                                        const uint8_t cluster_id[CLUSTER_ID_BYTES],
                                        struct snapshot_meta *ret_meta,
                                        struct errmsg *why) MUST_USE;
/* Forgets the bytes, too.  Frees `r`; accepts NULL. */
void snapshot_receiver_abort(struct snapshot_receiver *r);
/* Leaves the bytes for a later attempt.  Frees `r`; accepts NULL. */
void snapshot_receiver_close(struct snapshot_receiver *r);

#endif
