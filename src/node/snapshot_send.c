/* SPDX-License-Identifier: Apache-2.0 */
#include "node/snapshot_transfer.h"

#include <inttypes.h>

#include "base/heap.h"
#include "node/node_internal.h"
#include "sys/clock.h"

/* No chunk is added while more than this waits in the connection: entries and heartbeats that
 * come later must not stand behind it. */
#define SENDING_OUTPUT_BYTES_MAX (1 * MIB)

struct sending_job {
    struct node *node;
    uint64_t serial;
    const char *data_dir;
    raft_index last_index;
    raft_term last_term;
    struct snapshot_source *source;
    uint64_t offset;
    uint32_t size;
    struct buffer bytes;
    enum rk_status status;
    struct errmsg why;
};

static struct snapshot_sending *sending_find(struct node *n, node_id peer)
{
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        if (n->snapshots.transfer.sendings[i].peer == peer) {
            return &n->snapshots.transfer.sendings[i];
        }
    }
    return NULL;
}

/* The sending a job belongs to; NULL when it is over or the node stops. */
static struct snapshot_sending *sending_of_job(const struct sending_job *job)
{
    struct snapshot_transfer *t = &job->node->snapshots.transfer;

    for (size_t i = 0; i < MEMBERS_MAX && !job->node->is_stopped; i++) {
        if (t->sendings[i].peer != 0 && t->sendings[i].serial == job->serial) {
            return &t->sendings[i];
        }
    }
    return NULL;
}

static time_ms patience_ms(const struct node *n)
{
    return 2 * n->options.election_timeout_ms;
}

static struct sending_job *job_new(struct node *n, const struct snapshot_sending *sending)
{
    struct sending_job *job = heap_new(struct sending_job);

    job->node = n;
    job->serial = sending->serial;
    job->data_dir = n->options.data_dir;
    job->last_index = sending->last_index;
    job->last_term = sending->last_term;
    job->source = sending->source;
    job->status = RK_STOPPED;
    return job;
}

/* ---- Closing: behind every read of this file that is still queued ---- */

static void close_run(void *argument, const struct worker *w)
{
    (void)argument;
    (void)w;
}

static void close_done(void *argument)
{
    struct sending_job *job = argument;

    snapshot_source_close(job->source);
    heap_free(job);
}

static void sending_close(struct node *n, struct snapshot_sending *sending)
{
    if (sending->source != NULL) {
        worker_submit(n->mover, close_run, close_done, job_new(n, sending));
    }
    *sending = (struct snapshot_sending){ .peer = 0 };
}

static void sending_end(struct node *n, struct snapshot_sending *sending, bool is_ok, bool is_gone)
{
    struct raft_event event = driver_event(n, RAFT_SNAPSHOT_SENT);

    event.u.snapshot_sent.peer = sending->peer;
    event.u.snapshot_sent.is_ok = is_ok;
    event.u.snapshot_sent.is_gone = is_gone;
    event.u.snapshot_sent.last_index = sending->last_index;
    sending_close(n, sending);
    driver_step(n, &event);
}

/* ---- Opening ---- */

static void open_run(void *argument, const struct worker *w)
{
    struct sending_job *job = argument;

    (void)w;
    job->status = snapshot_source_open(fs_posix(), job->data_dir, job->last_index, job->last_term,
                                       &job->source, &job->why);
}

static void open_done(void *argument)
{
    struct sending_job *job = argument;
    struct node *n = job->node;
    struct snapshot_sending *sending = sending_of_job(job);

    if (sending == NULL) {
        snapshot_source_close(job->source);
    } else if (job->status == RK_OK) {
        sending->source = job->source;
        snapshot_stream_init(&sending->stream, snapshot_source_bytes(job->source),
                             clock_monotonic_ms());
    } else {
        node_log(n, NODE_LOG_ERROR, "snapshot %" PRIu64 "^%" PRIu64 " cannot be sent: %s",
                 job->last_index, job->last_term, job->why.text);
        sending_end(n, sending, false, true);
    }
    heap_free(job);
}

void snapshots_send(struct node *n, node_id peer)
{
    struct snapshot_transfer *t = &n->snapshots.transfer;
    struct snapshot_sending *sending = sending_find(n, peer);
    raft_index last_index;
    raft_term last_term;

    if (!raft_snapshot_for(n->raft, peer, &last_index, &last_term)) {
        return;
    }
    if (sending != NULL) {
        sending_close(n, sending);
    }
    sending = sending_find(n, 0);
    if (sending == NULL) {
        return; /* there are as many as members */
    }
    *sending = (struct snapshot_sending){
        .peer = peer,
        .serial = ++t->last_serial,
        .last_index = last_index,
        .last_term = last_term,
    };
    worker_submit(n->mover, open_run, open_done, job_new(n, sending));
    node_log(n, NODE_LOG_INFO, "sending snapshot %" PRIu64 "^%" PRIu64 " to member %" PRIu64,
             last_index, last_term, peer);
}

/* ---- Chunks ---- */

static void send_chunk(struct node *n, const struct snapshot_sending *sending, uint64_t offset,
                       struct slice bytes)
{
    struct message m = { .type = MESSAGE_INSTALL_SNAPSHOT,
                         .from = n->state.id,
                         .to = sending->peer,
                         .term = raft_current_term(n->raft) };

    m.u.install_snapshot.last_index = sending->last_index;
    m.u.install_snapshot.last_term = sending->last_term;
    m.u.install_snapshot.file_id = snapshot_source_id(sending->source).file_id;
    m.u.install_snapshot.offset = offset;
    m.u.install_snapshot.file_bytes = sending->stream.file_bytes;
    m.u.install_snapshot.is_last = offset + bytes.size == sending->stream.file_bytes;
    m.u.install_snapshot.bytes = bytes;
    send_message(n, &m);
}

static void read_run(void *argument, const struct worker *w)
{
    struct sending_job *job = argument;

    (void)w;
    job->status = snapshot_source_read(job->source, job->offset, job->size, &job->bytes, &job->why);
}

static void read_done(void *argument)
{
    struct sending_job *job = argument;
    struct node *n = job->node;
    struct snapshot_sending *sending = sending_of_job(job);

    if (sending != NULL && job->status == RK_OK) {
        send_chunk(n, sending, job->offset, buffer_slice(&job->bytes));
    } else if (sending != NULL) {
        node_log(n, NODE_LOG_ERROR, "read a snapshot to send it: %s", job->why.text);
        sending_end(n, sending, false, true);
    }
    buffer_release(&job->bytes);
    heap_free(job);
}

static void read_chunk(struct node *n, struct snapshot_sending *sending, uint64_t offset,
                       uint32_t size, uint64_t peak_bytes)
{
    struct snapshot_transfer *t = &n->snapshots.transfer;
    struct sending_job *job = job_new(n, sending);

    job->offset = offset;
    job->size = size;
    t->sent_bytes_total += size;
    if (offset < peak_bytes) {
        t->resent_bytes_total += peak_bytes - offset < size ? peak_bytes - offset : size;
    }
    worker_submit(n->mover, read_run, read_done, job);
}

static bool is_wanted(const struct node *n, const struct snapshot_sending *sending)
{
    raft_index last_index;
    raft_term last_term;

    return raft_snapshot_for(n->raft, sending->peer, &last_index, &last_term) &&
           last_index == sending->last_index;
}

/* False when there is nothing more to do for it this turn. */
static bool sending_step(struct node *n, struct snapshot_sending *sending)
{
    uint64_t peak_bytes = sending->stream.peak_bytes;
    uint64_t offset = 0;
    uint32_t size = 0;

    switch (snapshot_stream_next(&sending->stream, &n->snapshots.transfer.rate,
                                 clock_monotonic_ms(), patience_ms(n), &offset, &size)) {
    case SNAPSHOT_STREAM_OFFER:
        send_chunk(n, sending, 0, SLICE_NONE);
        return true;
    case SNAPSHOT_STREAM_CHUNK:
        read_chunk(n, sending, offset, size, peak_bytes);
        return true;
    case SNAPSHOT_STREAM_DONE:
        sending_end(n, sending, true, false);
        return false;
    case SNAPSHOT_STREAM_FAILED:
        sending_end(n, sending, false, false);
        return false;
    case SNAPSHOT_STREAM_WAIT:
        return false;
    }
    return false;
}

void snapshots_send_turn(struct node *n)
{
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        struct snapshot_sending *sending = &n->snapshots.transfer.sendings[i];

        if (sending->peer == 0) {
            continue;
        }
        if (!is_wanted(n, sending)) {
            sending_close(n, sending); /* it is there, or another leads */
        } else if (!transport_is_connected(n->transport, sending->peer)) {
            sending_end(n, sending, false, false);
        } else if (sending->source != NULL) {
            while (transport_output_bytes(n->transport, sending->peer) < SENDING_OUTPUT_BYTES_MAX &&
                   sending_step(n, sending)) {
            }
        }
    }
}

void snapshots_answered(struct node *n, const struct message *m)
{
    struct snapshot_sending *sending = sending_find(n, m->from);

    if (sending == NULL || sending->source == NULL || m->term != raft_current_term(n->raft) ||
        m->u.install_snapshot_reply.is_installed ||
        m->u.install_snapshot_reply.last_index != sending->last_index ||
        m->u.install_snapshot_reply.file_id != snapshot_source_id(sending->source).file_id) {
        return;
    }
    snapshot_stream_answered(&sending->stream, m->u.install_snapshot_reply.stored_bytes,
                             clock_monotonic_ms());
}

void snapshots_peer_lost(struct node *n, node_id peer)
{
    struct snapshot_sending *sending = sending_find(n, peer);

    if (sending != NULL) {
        sending_end(n, sending, false, false);
    }
}

time_ms snapshots_send_wake_ms(const struct node *n)
{
    const struct snapshot_transfer *t = &n->snapshots.transfer;
    time_ms wake_ms = INT64_MAX;

    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        if (t->sendings[i].peer != 0 && t->sendings[i].source != NULL) {
            time_ms own_ms = snapshot_stream_wake_ms(&t->sendings[i].stream, &t->rate,
                                                     patience_ms(n));

            wake_ms = own_ms < wake_ms ? own_ms : wake_ms;
        }
    }
    return wake_ms;
}

bool snapshots_is_sending(const struct node *n)
{
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        if (n->snapshots.transfer.sendings[i].peer != 0) {
            return true;
        }
    }
    return false;
}

void snapshots_send_release(struct node *n)
{
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        snapshot_source_close(n->snapshots.transfer.sendings[i].source);
        n->snapshots.transfer.sendings[i] = (struct snapshot_sending){ .peer = 0 };
    }
}
