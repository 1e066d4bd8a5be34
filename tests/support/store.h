/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A storage under test with entries that can be told apart: the command of an entry follows
 * from its term, index and size.
 */
#ifndef SUPPORT_STORE_H
#define SUPPORT_STORE_H

#include "storage/storage.h"

struct store {
    struct fs *fs;
    const char *data_dir;
    const char *node_name; /* "n1" unless set */
    unsigned voters;       /* of the configuration; 0 = alone */
    bool is_read_only;
    struct storage *s; /* NULL = closed */
    struct storage_recovered recovered;
    struct errmsg why;
    struct buffer bytes; /* of the newest batch */
};

#define STORE_INIT(fs_, data_dir_)                                                                 \
    {                                                                                              \
        .fs = (fs_), .data_dir = (data_dir_), .node_name = "n1"                                    \
    }

enum rk_status store_open(struct store *t);
void store_close(struct store *t);
void store_release(struct store *t); /* closes too */

/* Saves `term` as current_term, voted for `vote`, when it is higher. */
enum rk_status store_set_term(struct store *t, raft_term term, node_id vote);

/* Appends `count` entries of `term` with commands of `size` bytes; no sync. */
enum rk_status store_append(struct store *t, raft_term term, size_t count, size_t size);
enum rk_status store_append_sync(struct store *t, raft_term term, size_t count, size_t size);

/* The encoded entry that store_append makes. */
void store_encode(struct buffer *out, raft_term term, raft_index index, size_t size);

/* True when the entry was made by store_encode() with its own term, index and size. */
bool store_entry_is_genuine(const struct entry *entry);

/* Writes a snapshot whose state is `size` bytes that follow from its index. */
enum rk_status store_snapshot(struct store *t, raft_index index, raft_term term, size_t size);

/* Reads one back.  CORRUPT, too, when header or state are not what store_snapshot() wrote.
 * *ret_size is what it held. */
enum rk_status store_check_snapshot(struct store *t, raft_index index, raft_term term,
                                    size_t *ret_size);

#endif
