/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of Raft between members [thesis fig 3.1, 6.4, 9.6; paper fig 2].
 *
 * Values only; wire/raft_codec turns them into frames.  Every message carries the
 * sender's current term.  Entries travel as the bytes of the log: a message names the
 * range, the node attaches the bytes.
 */
#ifndef MODEL_MESSAGE_H
#define MODEL_MESSAGE_H

#include "model/entry.h"
#include "model/types.h"

/*   X(NAME, name) */
#define MESSAGE_LIST(X)                                                                            \
    X(REQUEST_VOTE, request_vote)                                                                  \
    X(REQUEST_VOTE_REPLY, request_vote_reply)                                                      \
    X(APPEND_ENTRIES, append_entries)                                                              \
    X(APPEND_ENTRIES_REPLY, append_entries_reply)                                                  \
    X(INSTALL_SNAPSHOT, install_snapshot)                                                          \
    X(INSTALL_SNAPSHOT_REPLY, install_snapshot_reply)                                              \
    X(READ_INDEX, read_index)                                                                      \
    X(READ_INDEX_REPLY, read_index_reply)                                                          \
    X(TIMEOUT_NOW, timeout_now)

enum message_type {
#define MESSAGE_ENUM(NAME, name) MESSAGE_##NAME,
    MESSAGE_LIST(MESSAGE_ENUM)
#undef MESSAGE_ENUM
        MESSAGE_TYPE_COUNT
};

const char *message_type_name(enum message_type type);

struct message {
    enum message_type type;
    node_id from;
    node_id to;
    raft_term term; /* sender's current term; of a pre-vote request the term it would start */
    union {
        struct {
            bool is_pre_vote;
            bool is_transfer; /* the leader asked for it: leader stickiness does not apply */
            raft_index last_log_index;
            raft_term last_log_term;
        } request_vote;
        struct {
            bool is_pre_vote;
            bool is_granted;
        } request_vote_reply;
        struct {
            raft_index prev_log_index;
            raft_term prev_log_term;
            raft_index leader_commit;
            uint64_t read_sequence; /* ReadIndex round of this leader's term, echoed [thesis 6.4] */
            uint32_t count;         /* entries prev_log_index + 1 ..; 0 = heartbeat */
            const struct entry *entries; /* borrowed; NULL in messages the core emits */
            struct slice bytes; /* the entries as in the log; empty in messages the core emits */
        } append_entries;
        struct {
            bool is_success;
            bool is_repairing;         /* it lost entries to damage; what it acknowledged is void */
            bool is_full;              /* its disk has no space for new entries */
            raft_index match_index;    /* success: durable and known to match here */
            raft_index reject_index;   /* failure: prev_log_index of the refused message */
            raft_index conflict_index; /* failure: send from at most here + 1 (fast backtracking) */
            raft_term conflict_term;   /* failure: term of the entry at conflict_index, 0 = none */
            raft_index last_log_index;
            uint64_t read_sequence;
            uint32_t promised_ms; /* it gives no vote for so long since it heard that round */
        } append_entries_reply;
        struct {
            raft_index last_index; /* of the snapshot */
            raft_term last_term;
            uint64_t file_id; /* which file of that name; of its checksum */
            uint64_t offset;  /* of this chunk in the file */
            uint64_t file_bytes;
            bool is_last;
            struct slice bytes; /* the chunk; empty = an offer: how much is stored there? */
        } install_snapshot;
        struct {
            raft_index last_index;
            uint64_t file_id;
            uint64_t stored_bytes; /* bytes held of that snapshot's file */
            bool is_installed;     /* durable, and the log starts after it */
        } install_snapshot_reply;
        struct {
            uint64_t token; /* of the asking node */
        } read_index;
        struct {
            uint64_t token;
            bool is_ok; /* false: this node cannot confirm leadership; ask again */
            raft_index read_index;
        } read_index_reply;
    } u;
};

#endif
