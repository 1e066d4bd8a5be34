/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One data directory, read offline and changed in nothing: files, snapshot, log, state.
 *
 * What each index came to is kept, so that several directories can be compared anywhere.
 */
#ifndef CLI_DATA_DIR_H
#define CLI_DATA_DIR_H

#include "base/errmsg.h"
#include "refdb/refdb.h"
#include "storage/storage.h"

/* The state after one entry. */
struct data_mark {
    raft_term term;
    uint32_t crc; /* of the command's bytes */
    uint8_t digest[16];
};

struct data_dir {
    const char *path; /* borrowed */
    struct storage *storage;
    struct storage_recovered recovered;
    struct refdb *db; /* snapshot and all entries applied; NULL when that failed */
    struct buffer
        findings; /* everything that is wrong with the files, for people; empty = nothing */
    enum rk_status status; /* OK, or why it could not be read to its end */
    struct errmsg why;
    raft_index first; /* of marks */
    struct data_mark *marks;
    size_t count, capacity;
};

/* Verifies every file, opens read-only, applies every entry to the newest snapshot.  Fills `status`
 * and `findings`. */
void data_dir_read(struct data_dir *d, const char *path);
void data_dir_release(struct data_dir *d);

/* NULL when the directory does not hold that index. */
const struct data_mark *data_dir_mark(const struct data_dir *d, raft_index index);

#endif
