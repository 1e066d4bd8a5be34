/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshot files on their way between members, both ends.
 *
 *   send     the worker `mover` opens and reads the file, the loop sends what
 *            raft/snapshot_stream decides, the follower's answers move it on
 *   receive  the mover stores each chunk, then it is answered; when all is stored, the file
 *            is verified and loaded (snapshots.c)
 *
 * The loop touches no file here.  Thread: the loop, but for the jobs.
 */
#ifndef NODE_SNAPSHOT_TRANSFER_H
#define NODE_SNAPSHOT_TRANSFER_H

#include "base/limits.h"
#include "model/message.h"
#include "raft/snapshot_stream.h"
#include "storage/snapshot.h"

struct node;

struct snapshot_sending {
    node_id peer;    /* 0 = free */
    uint64_t serial; /* finds its jobs; never repeats */
    raft_index last_index;
    raft_term last_term;
    struct snapshot_source *source; /* NULL until it was opened and verified */
    struct snapshot_stream stream;
};

struct snapshot_receiving {
    struct snapshot_intake *intake; /* shared with the mover; NULL = nothing comes in */
    struct snapshot_id id;          /* last_index 0 = none */
    uint64_t file_bytes;
    uint64_t stored_bytes;
    unsigned storing_count; /* chunks at the mover */
};

struct snapshot_transfer {
    struct snapshot_sending sendings[MEMBERS_MAX];
    uint64_t last_serial;
    struct snapshot_rate rate;
    struct snapshot_receiving receiving;

    uint64_t sent_bytes_total;
    uint64_t resent_bytes_total; /* of them, sent before to this member in this transfer */
    uint64_t received_bytes_total;
    uint64_t duplicate_bytes_total; /* of them, stored already */
    uint64_t resumed_bytes_total;   /* not received again, as an earlier attempt had stored them */
};

/* ---- snapshot_send.c ---- */

/* The core wants raft_snapshot_for(peer) to go there. */
void snapshots_send(struct node *n, node_id peer);
/* End of a turn: sends what window and rate allow. */
void snapshots_send_turn(struct node *n);
void snapshots_peer_lost(struct node *n, node_id peer);
/* A reply the core has seen. */
void snapshots_answered(struct node *n, const struct message *message);
/* When snapshots_send_turn() has something to do again; INT64_MAX = when something happens. */
time_ms snapshots_send_wake_ms(const struct node *n);
bool snapshots_is_sending(const struct node *n);
void snapshots_send_release(struct node *n);

/* ---- snapshot_receive.c ---- */

/* A chunk the core has accepted. */
void snapshots_store_chunk(struct node *n, const struct message *message);
/* What came in was loaded, or cannot be: the next offer starts anew. */
void snapshots_receive_end(struct node *n);
void snapshots_receive_release(struct node *n);

/* snapshots.c: all bytes are stored.  `receiver` is taken. */
void snapshots_load_received(struct node *n, struct snapshot_receiver *receiver);

#endif
