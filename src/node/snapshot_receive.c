/* SPDX-License-Identifier: Apache-2.0 */
#include "node/snapshot_transfer.h"

#include <inttypes.h>
#include <string.h>

#include "base/heap.h"
#include "node/node_internal.h"

/* What the jobs of one incoming file share; only the mover touches the receiver. */
struct snapshot_intake {
    struct snapshot_receiver *receiver; /* NULL before it was opened, and when that failed */
};

struct storing_job {
    struct node *node;
    struct snapshot_intake *intake;
    const char *data_dir;
    struct snapshot_id id;
    node_id from; /* whom to answer */
    bool is_first, is_abort;
    uint64_t offset;
    struct buffer bytes;
    uint64_t stored_before, stored_bytes;
    enum rk_status status;
    struct errmsg why;
};

static struct storing_job *job_new(struct node *n, struct snapshot_intake *intake)
{
    struct storing_job *job = heap_new(struct storing_job);

    job->node = n;
    job->intake = intake;
    job->data_dir = n->options.data_dir;
    job->status = RK_STOPPED;
    return job;
}

/* ---- The end of an intake, behind its last chunk ---- */

static void leave_run(void *argument, const struct worker *w)
{
    struct storing_job *job = argument;

    (void)w;
    if (job->is_abort) {
        snapshot_receiver_abort(job->intake->receiver);
        job->intake->receiver = NULL;
    }
}

static void leave_done(void *argument)
{
    struct storing_job *job = argument;

    snapshot_receiver_close(job->intake->receiver);
    heap_free(job->intake);
    heap_free(job);
}

static void receiving_leave(struct node *n, bool is_abort)
{
    struct snapshot_receiving *r = &n->snapshots.transfer.receiving;

    if (r->intake != NULL) {
        struct storing_job *job = job_new(n, r->intake);

        job->is_abort = is_abort;
        worker_submit(n->mover, leave_run, leave_done, job);
    }
    *r = (struct snapshot_receiving){ .intake = NULL };
}

void snapshots_receive_end(struct node *n)
{
    receiving_leave(n, false);
}

void snapshots_receive_release(struct node *n)
{
    struct snapshot_receiving *r = &n->snapshots.transfer.receiving;

    if (r->intake != NULL) {
        snapshot_receiver_close(r->intake->receiver); /* a restart goes on from there */
        heap_free(r->intake);
    }
    *r = (struct snapshot_receiving){ .intake = NULL };
}

/* ---- Storing ---- */

static void answer(struct node *n, node_id to, struct snapshot_id id, uint64_t stored_bytes)
{
    struct message m = { .type = MESSAGE_INSTALL_SNAPSHOT_REPLY,
                         .from = n->state.id,
                         .to = to,
                         .term = raft_current_term(n->raft) };

    m.u.install_snapshot_reply.last_index = id.last_index;
    m.u.install_snapshot_reply.file_id = id.file_id;
    m.u.install_snapshot_reply.stored_bytes = stored_bytes;
    send_message(n, &m);
}

static void store_run(void *argument, const struct worker *w)
{
    struct storing_job *job = argument;
    struct snapshot_intake *intake = job->intake;

    (void)w;
    job->status = RK_OK;
    if (intake->receiver == NULL) {
        if (!job->is_first) {
            job->status = RK_STOPPED; /* the first could not open it, and has said so */
            return;
        }
        job->status = snapshot_receiver_open(fs_posix(), job->data_dir, job->id, &intake->receiver,
                                             &job->why);
    }
    if (job->status == RK_OK) {
        job->stored_before = snapshot_receiver_bytes(intake->receiver);
        job->status = snapshot_receiver_put(intake->receiver, job->offset,
                                            buffer_slice(&job->bytes), &job->why);
        job->stored_bytes = snapshot_receiver_bytes(intake->receiver);
    }
}

static void count(struct snapshot_transfer *t, const struct storing_job *job)
{
    uint64_t added = job->stored_bytes - job->stored_before;

    t->received_bytes_total += job->bytes.size;
    if (job->status == RK_OK) {
        t->duplicate_bytes_total += job->bytes.size - added;
    }
    if (job->is_first) {
        t->resumed_bytes_total += job->stored_before;
    }
}

/* All is stored, and no job touches the file any more. */
static void receiving_complete(struct node *n)
{
    struct snapshot_receiving *r = &n->snapshots.transfer.receiving;
    struct snapshot_receiver *receiver = r->intake->receiver;

    heap_free(r->intake);
    r->intake = NULL;
    snapshots_load_received(n, receiver);
}

static void stored(struct node *n, const struct storing_job *job)
{
    struct snapshot_receiving *r = &n->snapshots.transfer.receiving;

    if (job->status != RK_OK && job->status != RK_PROTOCOL) { /* PROTOCOL: a gap, sent again */
        if (job->status != RK_STOPPED) {
            node_log(n, NODE_LOG_ERROR, "store a snapshot chunk: %s", job->why.text);
        }
        receiving_leave(n, true); /* unanswered: the sender's patience decides */
        return;
    }
    count(&n->snapshots.transfer, job);
    r->stored_bytes = job->stored_bytes;
    answer(n, job->from, r->id, r->stored_bytes);
    if (r->stored_bytes >= r->file_bytes && r->storing_count == 0) {
        receiving_complete(n);
    }
}

static void store_done(void *argument)
{
    struct storing_job *job = argument;
    struct node *n = job->node;
    struct snapshot_receiving *r = &n->snapshots.transfer.receiving;

    if (!n->is_stopped && r->intake == job->intake) {
        r->storing_count--;
        stored(n, job);
    }
    buffer_release(&job->bytes);
    heap_free(job);
}

static bool is_same(const struct snapshot_receiving *r, const struct message *m)
{
    return r->id.last_index == m->u.install_snapshot.last_index &&
           r->id.last_term == m->u.install_snapshot.last_term &&
           r->id.file_id == m->u.install_snapshot.file_id &&
           r->file_bytes == m->u.install_snapshot.file_bytes;
}

static void receiving_begin(struct node *n, const struct message *m)
{
    struct snapshot_receiving *r = &n->snapshots.transfer.receiving;

    receiving_leave(n, false);
    r->intake = heap_new(struct snapshot_intake);
    r->id = (struct snapshot_id){ m->u.install_snapshot.last_index, m->u.install_snapshot.last_term,
                                  m->u.install_snapshot.file_id };
    r->file_bytes = m->u.install_snapshot.file_bytes;
    node_log(n, NODE_LOG_INFO,
             "receiving snapshot %" PRIu64 "^%" PRIu64 " from member %" PRIu64 ", %" PRIu64
             " bytes",
             r->id.last_index, r->id.last_term, m->from, r->file_bytes);
}

void snapshots_store_chunk(struct node *n, const struct message *m)
{
    struct snapshots *s = &n->snapshots;
    struct snapshot_receiving *r = &s->transfer.receiving;
    bool is_first = !is_same(r, m);
    struct storing_job *job;

    if (s->is_loading || s->is_installing || s->loaded != NULL) {
        if (!is_first) {
            answer(n, m->from, r->id, r->file_bytes);
        }
        return;
    }
    if (is_first) {
        if (m->u.install_snapshot.bytes.size > 0) {
            return; /* of a transfer that this node has forgotten: it will be offered again */
        }
        receiving_begin(n, m);
    }
    if (r->storing_count == SNAPSHOT_CHUNKS_STORING_MAX) {
        return;
    }
    job = job_new(n, r->intake);
    job->id = r->id;
    job->from = m->from;
    job->is_first = is_first;
    job->offset = m->u.install_snapshot.offset;
    buffer_put_slice(&job->bytes, m->u.install_snapshot.bytes);
    r->storing_count++;
    worker_submit(n->mover, store_run, store_done, job);
}
