/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When which bytes of a snapshot file leave for one follower.  [DESIGN 5]
 *
 *   OFFER --answered: n bytes are stored there--> CHUNKS --all stored--> DONE
 *                                                   |  ^
 *                                                   +--+ nothing answered: back to what is
 *   OFFER, CHUNKS --nothing moves for too long--> FAILED            stored, sent again
 *
 * Pure: time comes in, decisions go out; the node moves the bytes.  An offer carries no bytes
 * and asks how much of this very file the follower has, so a transfer that was cut goes on at
 * the byte, whoever was restarted.
 *
 *   stored_bytes <= sent_bytes <= file_bytes
 *   sent_bytes - stored_bytes <= SNAPSHOT_CHUNKS_UNANSWERED_MAX chunks
 */
#ifndef RAFT_SNAPSHOT_STREAM_H
#define RAFT_SNAPSHOT_STREAM_H

#include <stdbool.h>

#include "base/limits.h"
#include "model/types.h"

/* What all transfers of this node may send together. */
struct snapshot_rate {
    uint64_t bytes_per_s;   /* 0 = no limit */
    uint64_t allowed_bytes; /* now; at most a quarter second's, or one chunk */
    time_ms filled_ms;
};

struct snapshot_stream {
    uint64_t file_bytes;
    uint64_t stored_bytes; /* there, as last answered */
    uint64_t sent_bytes;   /* next offset */
    uint64_t peak_bytes;   /* highest offset ever sent: what is sent below it is sent again */
    bool is_offered, is_answered;
    unsigned stalls;        /* in a row, without progress */
    time_ms moved_ms;       /* when anything was last offered or answered */
    uint64_t resumed_bytes; /* stored there before this transfer began */
};

enum snapshot_stream_step {
    SNAPSHOT_STREAM_WAIT,
    SNAPSHOT_STREAM_OFFER, /* send an empty chunk */
    SNAPSHOT_STREAM_CHUNK, /* send *ret_size bytes at *ret_offset */
    SNAPSHOT_STREAM_DONE,  /* all is stored there */
    SNAPSHOT_STREAM_FAILED,
};

void snapshot_stream_init(struct snapshot_stream *s, uint64_t file_bytes, time_ms now_ms);

/*
 * What to do now.  A chunk counts as sent.  Without an answer for `patience_ms` it goes back
 * to what is stored; a second time in a row it has failed.
 */
enum snapshot_stream_step snapshot_stream_next(struct snapshot_stream *s,
                                               struct snapshot_rate *rate, time_ms now_ms,
                                               time_ms patience_ms, uint64_t *ret_offset,
                                               uint32_t *ret_size);

/* The follower says how much it has; nonsense counts as nothing stored. */
void snapshot_stream_answered(struct snapshot_stream *s, uint64_t stored_bytes, time_ms now_ms);

/* When snapshot_stream_next() may say something else than WAIT, without an answer. */
time_ms snapshot_stream_wake_ms(const struct snapshot_stream *s, const struct snapshot_rate *rate,
                                time_ms patience_ms);

#endif
