/* SPDX-License-Identifier: Apache-2.0 */
/* Frames from the other members to events of the core. */
#include "node/node_internal.h"
#include "sys/clock.h"

/*
 * A command this version does not know is only not appended: the sender may be newer.
 * Anything else that cannot be read is a fault of the sender, and ends the connection.
 */
static void refuse_message(struct node *n, node_id peer, enum rk_status status)
{
    if (status != RK_PROTOCOL) {
        node_log(n, NODE_LOG_WARN, "a message of member %llu was dropped: %s",
                 (unsigned long long)peer, rk_status_text(status));
        return;
    }
    transport_drop(n->transport, peer, "a malformed message");
}

static void receive_message(struct node *n, node_id peer, struct slice payload)
{
    struct message m;
    struct raft_event event = driver_event(n, RAFT_RECEIVE);
    enum rk_status status = message_decode(&n->decoder, payload, &m);

    if (status != RK_OK) {
        refuse_message(n, peer, status);
        return;
    }
    if (m.from != peer || m.to != n->state.id) {
        transport_drop(n->transport, peer, "a message that names another sender or target");
        return;
    }
    if (peer == raft_leader(n->raft)) {
        n->leader_heard_ms = event.now_ms;
    }
    event.u.receive = &m;
    driver_step(n, &event);
    if (m.type == MESSAGE_INSTALL_SNAPSHOT_REPLY) {
        snapshots_answered(n, &m);
    }
}

static void receive_forward(struct node *n, node_id peer, struct slice payload)
{
    uint64_t first_token;
    uint32_t count;
    struct slice commands;

    if (forward_decode(payload, &first_token, &count, &commands) != RK_OK ||
        proposals_add_forwarded(n, peer, first_token, count, commands) != RK_OK) {
        transport_drop(n->transport, peer, "malformed forwarded commands");
    }
}

static void receive_change(struct node *n, node_id peer, struct slice payload)
{
    struct change_reply refusal = { .status = RK_OVERLOADED };
    struct member_change change;
    struct buffer *out;

    if (change_decode(payload, &refusal.token, &change) != RK_OK) {
        transport_drop(n->transport, peer, "a malformed change of the members");
        return;
    }
    if (changes_add_forwarded(n, peer, refusal.token, &change) == RK_OK) {
        return;
    }
    out = transport_output(n->transport, peer);
    if (out != NULL) {
        size_t start = frame_begin(out, FRAME_CHANGE_REPLY);

        change_reply_encode(out, &refusal);
        frame_end(out, start);
    }
}

static void receive_change_reply(struct node *n, node_id peer, struct slice payload)
{
    struct change_reply reply;

    if (change_reply_decode(payload, &reply) == RK_OK) {
        changes_replied(n, peer, &reply);
    } else {
        transport_drop(n->transport, peer, "a malformed answer to a change of the members");
    }
}

static void on_received(void *context, node_id peer, const struct frame *frame)
{
    struct node *n = context;
    struct forward_reply reply;
    struct state_digest digest;

    if (n->is_stopped) {
        return;
    }
    switch (frame->type) {
    case FRAME_MESSAGE:
        receive_message(n, peer, frame->payload);
        return;
    case FRAME_FORWARD:
        receive_forward(n, peer, frame->payload);
        return;
    case FRAME_FORWARD_REPLY:
        if (forward_reply_decode(frame->payload, &reply) == RK_OK) {
            proposals_forward_replied(n, peer, &reply);
        } else {
            transport_drop(n->transport, peer, "a malformed answer to forwarded commands");
        }
        return;
    case FRAME_CHANGE:
        receive_change(n, peer, frame->payload);
        return;
    case FRAME_CHANGE_REPLY:
        receive_change_reply(n, peer, frame->payload);
        return;
    case FRAME_DIGEST:
        if (state_digest_decode(frame->payload, &digest) == RK_OK) {
            digests_heard(n, peer, &digest);
        } else {
            transport_drop(n->transport, peer, "a malformed digest");
        }
        return;
    case FRAME_HELLO:
    case FRAME_HELLO_REFUSED:
        return; /* the transport's own */
    }
}

static void on_opened(void *context, node_id peer, const struct hello *hello)
{
    struct node *n = context;
    struct raft_event event = driver_event(n, RAFT_PEER_OPENED);

    identity_opened(n, peer, hello);
    event.u.peer_opened.peer = peer;
    driver_step(n, &event);
}

void peer_gone(struct node *n, node_id peer)
{
    proposals_peer_lost(n, peer);
    changes_peer_lost(n, peer);
    snapshots_peer_lost(n, peer);
}

static void on_closed(void *context, node_id peer, bool by_host)
{
    struct node *n = context;
    struct raft_event event = driver_event(n, RAFT_PEER_CLOSED);

    peer_gone(n, peer);
    if (by_host) {
        event.u.peer_closed.peer = peer;
        driver_step(n, &event);
    }
}

static void on_log(void *context, int level, const char *text)
{
    node_log(context, (enum node_log_level)level, "%s", text);
}

const struct transport_callbacks node_transport_callbacks = {
    .fill_hello = identity_fill_hello,
    .check_hello = identity_check_hello,
    .opened = on_opened,
    .closed = on_closed,
    .received = on_received,
    .refused = members_refused,
    .log = on_log,
};
