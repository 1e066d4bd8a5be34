/* SPDX-License-Identifier: Apache-2.0 */
/* Raft messages to frames.  Entries are sent as they lie in memory, from where they lie. */
#include "base/assert.h"
#include "node/node_internal.h"

/* Below this a copy into the connection's buffer is cheaper than another piece to gather. */
#define SHARE_BYTES_MIN (16 * KIB)

/*
 * The encoded entries first .. last in one piece: as they lie when one batch has them all,
 * else gathered in n->scratch.  *ret_owner is the batch, or NULL.
 */
static enum rk_status gather(struct node *n, raft_index first, raft_index last,
                             struct slice *ret_bytes, struct batch **ret_owner, struct errmsg *why)
{
    struct slice piece;
    raft_index piece_last = 0;
    enum rk_status status = window_read(&n->window, first, last, APPEND_ENTRIES_BYTES_MAX, &piece,
                                        &piece_last, why);

    *ret_owner = NULL;
    if (status == RK_OK && piece_last == last) {
        *ret_bytes = piece;
        *ret_owner = window_find(&n->window, first);
        return RK_OK;
    }
    buffer_clear(&n->scratch);
    while (status == RK_OK) {
        buffer_put_slice(&n->scratch, piece);
        if (piece_last == last) {
            *ret_bytes = buffer_slice(&n->scratch);
            return RK_OK;
        }
        status = window_read(&n->window, piece_last + 1, last, APPEND_ENTRIES_BYTES_MAX, &piece,
                             &piece_last, why);
    }
    return status;
}

static void send_append_entries(struct node *n, struct buffer *out, const struct message *message)
{
    struct message m = *message;
    raft_index first = m.u.append_entries.prev_log_index + 1;
    struct batch *owner;
    struct errmsg why = ERRMSG_INIT;
    size_t start;
    enum rk_status status = gather(n, first, first + m.u.append_entries.count - 1,
                                   &m.u.append_entries.bytes, &owner, &why);

    if (status == RK_COMPACTED) {
        return; /* the front was cut since; the core will send a snapshot */
    }
    if (status != RK_OK) {
        node_halt_on_disk(n, status, "read the log to send it", &why);
        return;
    }
    start = frame_begin(out, FRAME_MESSAGE);
    message_encode(out, &m);
    frame_end_with_entries(out, start, m.u.append_entries.bytes.size);
    if (owner != NULL && m.u.append_entries.bytes.size >= SHARE_BYTES_MIN) {
        transport_send_shared(n->transport, m.to, m.u.append_entries.bytes, batch_unref,
                              batch_ref(owner));
        return;
    }
    buffer_put_slice(out, m.u.append_entries.bytes);
}

void send_message(struct node *n, const struct message *message)
{
    struct buffer *out = transport_output(n->transport, message->to);
    size_t start;

    if (out == NULL) {
        return;
    }
    if (message->type == MESSAGE_APPEND_ENTRIES && message->u.append_entries.count > 0) {
        send_append_entries(n, out, message);
        return;
    }
    start = frame_begin(out, FRAME_MESSAGE);
    message_encode(out, message);
    if (message->type == MESSAGE_INSTALL_SNAPSHOT) {
        buffer_put_slice(out, message->u.install_snapshot.bytes);
    }
    frame_end(out, start);
}
