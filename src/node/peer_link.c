/* SPDX-License-Identifier: Apache-2.0 */
#include "node/peer_link.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/heap.h"
#include "node/transport_internal.h"

/* ---- Ends ---- */

void peer_link_close(struct peer_link *link, bool drains)
{
    if (link->is_dead) {
        return;
    }
    link->is_dead = true;
    event_del(&link->deadline);
    LIST_REMOVE(link, all);
    if (link->peer == NULL) {
        TAILQ_REMOVE(&link->transport->pending, link, pending);
        link->transport->strangers.pending_count--;
    }
    if (link->stream != NULL) {
        stream_close(link->stream, drains);
        link->stream = NULL;
    }
    if (link->depth == 0) {
        heap_free(link);
    }
}

/* Ends a link from its own side and tells the transport. */
static void link_end(struct peer_link *link, const char *cause, bool by_host)
{
    if (!link->is_dead) {
        link->depth++;
        transport_link_closed(link, cause, by_host);
        peer_link_close(link, true);
        if (--link->depth == 0) {
            heap_free(link);
        }
    }
}

static void count_bad_frame(struct peer_link *link)
{
    if (link->peer == NULL) {
        link->transport->strangers.bad_frames_total++;
    } else {
        link->peer->bad_frames_total++;
    }
}

static void link_end_bad(struct peer_link *link, const char *cause)
{
    count_bad_frame(link);
    link_end(link, cause, false);
}

/* ---- HELLO out ---- */

static void send_hello(struct peer_link *link, const struct member *target)
{
    struct transport *t = link->transport;
    const struct member *self = membership_find(&t->members, t->self);
    struct buffer *out = stream_output(link->stream);
    struct hello hello = { .version_min = PROTOCOL_VERSION,
                           .version_max = PROTOCOL_VERSION,
                           .sender = t->self,
                           .target = target->id };
    size_t start;

    memcpy(hello.target_name, target->name, sizeof hello.target_name);
    if (self != NULL) {
        memcpy(hello.sender_name, self->name, sizeof hello.sender_name);
    }
    t->callbacks.fill_hello(t->context, &hello);
    start = frame_begin(out, FRAME_HELLO);
    hello_encode(out, &hello);
    frame_end(out, start);
    stream_flush(link->stream);
}

void peer_link_say_removed(struct peer_link *link, const char *name)
{
    struct buffer *out = stream_output(link->stream);
    size_t start = frame_begin(out, FRAME_HELLO_REFUSED);
    char text[HELLO_REFUSAL_TEXT_BYTES_MAX + 1];

    snprintf(text, sizeof text, "%s is no longer a member of this cluster", name);
    hello_refusal_encode(out, RK_REMOVED, text);
    frame_end(out, start);
}

static void refuse(struct peer_link *link, enum rk_status status, const struct errmsg *why)
{
    struct buffer *out = stream_output(link->stream);
    size_t start = frame_begin(out, FRAME_HELLO_REFUSED);
    char cause[320];

    hello_refusal_encode(out, status, why->text);
    frame_end(out, start);
    link->transport->strangers.refused_total++;
    snprintf(cause, sizeof cause, "refused: %.300s", why->text);
    link_end(link, cause, false);
}

/* ---- HELLO in ---- */

/* Whether the sender is who it says and meant us. */
static enum rk_status judge_sender(struct peer_link *link, const struct hello *hello,
                                   struct errmsg *why)
{
    struct transport *t = link->transport;
    const struct member *member = membership_find(&t->members, hello->sender);

    if (hello->target != t->self) {
        errmsg_set(why, "this is node %" PRIu64 ", not node %" PRIu64, t->self, hello->target);
        return RK_FOREIGN;
    }
    if (member == NULL || hello->sender == t->self ||
        strcmp(member->name, hello->sender_name) != 0) {
        errmsg_set(why, "node %" PRIu64 " \"%s\" is no other member here", hello->sender,
                   hello->sender_name);
        return RK_FOREIGN;
    }
    if (link->peer != NULL && link->peer->id != hello->sender) {
        errmsg_set(why, "node %" PRIu64 " is not expected on this connection", hello->sender);
        return RK_FOREIGN;
    }
    return RK_OK;
}

static enum rk_status judge_hello(struct peer_link *link, const struct hello *hello,
                                  struct errmsg *why)
{
    struct transport *t = link->transport;
    struct hello ours = { .version_min = PROTOCOL_VERSION, .version_max = PROTOCOL_VERSION };
    SSL *tls = stream_tls(link->stream);
    enum rk_status status;

    if (hello_version(&ours, hello) == 0) {
        errmsg_set(why, "protocol versions %u to %u are not spoken here, only %u",
                   hello->version_min, hello->version_max, PROTOCOL_VERSION);
        return RK_UNSUPPORTED;
    }
    if (tls != NULL && !tls_peer_is_named(tls, hello->sender_name)) {
        errmsg_set(why, "the certificate does not name \"%s\"", hello->sender_name);
        return RK_NOPERM;
    }
    status = t->callbacks.check_hello(t->context, hello, why);
    return status == RK_OK ? judge_sender(link, hello, why) : status;
}

static void take_hello(struct peer_link *link, const struct frame *frame)
{
    struct transport *t = link->transport;
    struct errmsg why = ERRMSG_INIT;
    struct hello hello;
    enum rk_status status;

    if (hello_decode(frame->payload, &hello) != RK_OK) {
        link_end_bad(link, "a malformed HELLO");
        return;
    }
    status = judge_hello(link, &hello, &why);
    if (link->is_dead) {
        return; /* by a change of members in check_hello() */
    }
    if (status != RK_OK) {
        refuse(link, status, &why);
        return;
    }
    if (link->peer == NULL) {
        send_hello(link, membership_find(&t->members, hello.sender));
        TAILQ_REMOVE(&t->pending, link, pending);
        t->strangers.pending_count--;
        link->peer = transport_find(t, hello.sender);
    }
    INVARIANT(link->peer != NULL);
    link->is_open = true;
    event_del(&link->deadline);
    transport_link_opened(link, link->peer, &hello);
}

static void take_refusal(struct peer_link *link, const struct frame *frame)
{
    struct transport *t = link->transport;
    struct hello_refusal refusal;
    char cause[320];

    if (hello_refusal_decode(frame->payload, &refusal) != RK_OK) {
        link_end_bad(link, "a malformed HELLO_REFUSED");
        return;
    }
    link->is_goodbye = true;
    snprintf(cause, sizeof cause, "refused by the other side: %s", refusal.text);
    if (link->peer != NULL) {
        t->depth++;
        t->callbacks.refused(t->context, link->peer->id, refusal.status, refusal.text);
        t->depth--;
    }
    link_end(link, cause, false);
}

/* ---- Frames ---- */

static void take_frame(struct peer_link *link, const struct frame *frame)
{
    struct transport *t = link->transport;

    if (frame->type == FRAME_HELLO_REFUSED) {
        take_refusal(link, frame);
    } else if ((frame->type == FRAME_HELLO) == link->is_open) {
        link_end_bad(link, link->is_open ? "a second HELLO" : "a frame before HELLO");
    } else if (frame->type == FRAME_HELLO) {
        take_hello(link, frame);
    } else {
        t->depth++;
        t->callbacks.received(t->context, link->peer->id, frame);
        t->depth--;
    }
}

static const char *name_garbage(struct slice input)
{
    /* A TLS record: alert or handshake, major version 3. */
    if (input.size >= 2 && (input.data[0] == 0x15 || input.data[0] == 0x16) && input.data[1] == 3) {
        return "it speaks TLS, and this side is configured without";
    }
    return "a bad frame";
}

static size_t on_input(void *context, struct slice input)
{
    struct peer_link *link = context;
    size_t at = 0;

    link->depth++;
    while (!link->is_dead && at < input.size) {
        struct slice rest = slice_of(input.data + at, input.size - at);
        struct frame frame;
        size_t used = 0, need = 0;
        enum frame_verdict verdict = frame_decode(rest, &frame, &used, &need);

        if (verdict == FRAME_BAD || (verdict == FRAME_SHORT && !link->is_open &&
                                     need > HELLO_BYTES_MAX + FRAME_HEADER_BYTES)) {
            link_end_bad(link, name_garbage(rest));
        } else if (verdict == FRAME_SHORT) {
            break;
        } else {
            take_frame(link, &frame);
            at += used;
        }
    }
    if (--link->depth == 0 && link->is_dead) {
        heap_free(link);
    }
    return at;
}

static void on_opened(void *context)
{
    struct peer_link *link = context;

    if (link->peer != NULL) {
        send_hello(link, membership_find(&link->transport->members, link->peer->id));
    }
}

static void on_closed(void *context, const char *cause, bool by_host)
{
    struct peer_link *link = context;

    link_end(link, cause, by_host && !link->is_goodbye);
}

static void on_deadline(evutil_socket_t fd, short what, void *argument)
{
    struct peer_link *link = argument;

    (void)fd;
    (void)what;
    if (link->peer == NULL) {
        link->transport->strangers.dropped_total++;
    }
    link_end(link, "no HELLO in time", false);
}

struct peer_link *peer_link_new(struct transport *t, int fd, struct peer *peer, const char *remote)
{
    static const struct stream_callbacks callbacks = { on_input, on_opened, on_closed };
    static const struct stream_options options = {
        .input_bytes_max = FRAME_HEADER_BYTES + FRAME_BYTES_MAX,
        .output_bytes_max = PEER_OUTPUT_BYTES_MAX,
        .bytes_kept = 2 * MIB,
    };
    struct timeval timeout = { HANDSHAKE_TIMEOUT_MS / 1000, HANDSHAKE_TIMEOUT_MS % 1000 * 1000 };
    struct peer_link *link = heap_new(struct peer_link);

    link->transport = t;
    link->peer = peer;
    snprintf(link->remote, sizeof link->remote, "%s", remote);
    event_assign(&link->deadline, t->base, -1, 0, on_deadline, link);
    event_add(&link->deadline, &timeout);
    LIST_INSERT_HEAD(&t->links, link, all);
    if (peer == NULL) {
        TAILQ_INSERT_TAIL(&t->pending, link, pending);
        t->strangers.pending_count++;
    }
    link->stream = stream_new(t->base, fd, t->tls, peer == NULL, &options, &callbacks, link);
    return link;
}
