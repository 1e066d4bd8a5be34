/* SPDX-License-Identifier: Apache-2.0 */
#include "node/transport.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/heap.h"
#include "node/transport_internal.h"
#include "sys/clock.h"

struct peer *transport_find(const struct transport *t, node_id id)
{
    for (unsigned i = 0; i < t->peer_count; i++) {
        if (t->peers[i]->id == id) {
            return t->peers[i];
        }
    }
    return NULL;
}

void transport_log(struct transport *t, struct peer *peer, int level, const char *format, ...)
{
    struct log_limit *limit = peer == NULL ? &t->log_limit : &peer->log_limit;
    char text[512];
    unsigned held = 0;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!log_limit_pass(limit, text, clock_monotonic_ms(), &held)) {
        return;
    }
    if (held > 0) {
        size_t used = strlen(text);

        snprintf(text + used, sizeof text - used, " (and %u lines like the last ones)", held);
    }
    t->callbacks.log(t->context, level, text);
}

/* ---- Outcomes of links ---- */

/* Forgets the link of a peer, keeping its figures. */
static void detach(struct peer *peer)
{
    uint64_t sent = 0, received = 0;

    if (peer->link->stream != NULL) {
        stream_transferred(peer->link->stream, &sent, &received);
    }
    peer->sent_bytes += sent;
    peer->received_bytes += received;
    peer->link = NULL;
}

void transport_link_opened(struct peer_link *link, struct peer *peer, const struct hello *hello)
{
    struct transport *t = link->transport;
    struct peer_link *older = peer->link;

    t->depth++;
    if (older != NULL) {
        detach(peer);
        peer_link_close(older, true);
    }
    if (peer->dialling == link) {
        peer->dialling = NULL;
    }
    dial_stop(peer); /* it was faster */
    peer->link = link;
    peer->opened_ms = clock_monotonic_ms();
    peer->opened_total++;
    peer->last_failure[0] = '\0';
    transport_log(t, peer, NODE_LOG_INFO, "peer %s: connected%s", peer->name,
                  older == NULL ? "" : "; the older connection is closed");
    if (older != NULL) {
        t->callbacks.closed(t->context, peer->id, false);
    }
    if (!link->is_dead) { /* by a change of members in closed() */
        t->callbacks.opened(t->context, hello->sender, hello);
    }
    t->depth--;
}

/* A connection that was up for a while is dialled at once; one that was not, after a pause. */
static void peer_lost(struct peer *peer, const char *cause, bool by_host)
{
    struct transport *t = peer->transport;

    if (clock_monotonic_ms() - peer->opened_ms >= PEER_RECONNECT_MS_MAX) {
        peer->attempts = 0;
    } else {
        peer->attempts++;
    }
    detach(peer);
    transport_log(t, peer, NODE_LOG_WARN, "peer %s: connection lost: %s", peer->name, cause);
    dial_later(peer);
    t->depth++;
    t->callbacks.closed(t->context, peer->id, by_host);
    t->depth--;
}

void transport_link_closed(struct peer_link *link, const char *cause, bool by_host)
{
    struct peer *peer = link->peer;

    if (peer == NULL) {
        transport_log(link->transport, NULL, NODE_LOG_WARN, "connection from %s: %s", link->remote,
                      cause);
    } else if (peer->link == link) {
        peer_lost(peer, cause, by_host);
    } else if (peer->dialling == link) {
        peer->dialling = NULL;
        dial_failed(peer, cause);
    }
}

void transport_drop(struct transport *t, node_id id, const char *cause)
{
    struct peer *peer = transport_find(t, id);
    struct peer_link *link = peer == NULL ? NULL : peer->link;

    if (link == NULL) {
        return;
    }
    peer->bad_frames_total++;
    peer_lost(peer, cause, false);
    peer_link_close(link, false);
}

/* ---- Members ---- */

static void peer_add(struct transport *t, const struct member *member)
{
    struct peer *peer = heap_new(struct peer);

    peer->transport = t;
    peer->id = member->id;
    dial_init(peer);
    t->peers[t->peer_count++] = peer;
}

/* Who is left out by a membership that has us in it is told so; `is_over` = we are closing. */
static void peer_remove(struct transport *t, unsigned slot, bool is_over)
{
    struct peer *peer = t->peers[slot];

    dial_stop(peer);
    if (peer->link != NULL) {
        if (!is_over && membership_find(&t->members, t->self) != NULL) {
            peer_link_say_removed(peer->link, peer->name);
        }
        peer_link_close(peer->link, true);
    }
    heap_free(peer);
    t->peers[slot] = t->peers[--t->peer_count];
}

/* Takes over what may have changed of a member. */
static void peer_update(struct peer *peer, const struct member *member, bool is_new)
{
    bool is_moved = is_new || strcmp(peer->address, member->peer_address) != 0;

    memcpy(peer->name, member->name, sizeof peer->name);
    memcpy(peer->address, member->peer_address, sizeof peer->address);
    if (is_moved && peer->link == NULL) {
        dial_stop(peer);
        peer->attempts = 0;
        dial_later(peer);
    }
}

void transport_set_members(struct transport *t, const struct membership *members)
{
    t->members = *members;
    for (unsigned i = t->peer_count; i-- > 0;) {
        if (membership_find(members, t->peers[i]->id) == NULL) {
            peer_remove(t, i, false);
        }
    }
    for (unsigned i = 0; i < members->count; i++) {
        const struct member *member = &members->members[i];

        if (member->id != t->self) {
            bool is_new = transport_find(t, member->id) == NULL;

            if (is_new) {
                peer_add(t, member);
            }
            peer_update(transport_find(t, member->id), member, is_new);
        }
    }
}

/* ---- Life ---- */

enum rk_status transport_open(struct event_base *base, const struct transport_options *options,
                              const struct transport_callbacks *callbacks, void *context,
                              struct transport **ret_transport, struct errmsg *why)
{
    struct transport *t = heap_new(struct transport);
    enum rk_status status;

    t->base = base;
    t->callbacks = *callbacks;
    t->context = context;
    t->tls = options->tls;
    t->self = options->self;
    rng_init(&t->rng, options->seed);
    LIST_INIT(&t->links);
    TAILQ_INIT(&t->pending);
    status = transport_listen(t, options->listen, why);
    if (status != RK_OK) {
        heap_free(t);
        return status;
    }
    *ret_transport = t;
    return RK_OK;
}

void transport_close(struct transport *t)
{
    if (t == NULL) {
        return;
    }
    PRE(t->depth == 0);
    transport_unlisten(t);
    while (t->peer_count > 0) {
        peer_remove(t, t->peer_count - 1, true);
    }
    while (!LIST_EMPTY(&t->links)) {
        peer_link_close(LIST_FIRST(&t->links), true);
    }
    heap_free(t);
}

void transport_set_self(struct transport *t, node_id self)
{
    t->self = self;
}

void transport_set_tls(struct transport *t, SSL_CTX *tls)
{
    t->tls = tls;
}

/* ---- Output ---- */

bool transport_is_connected(const struct transport *t, node_id peer)
{
    const struct peer *found = transport_find(t, peer);

    return found != NULL && found->link != NULL;
}

struct buffer *transport_output(struct transport *t, node_id peer)
{
    struct peer *found = transport_find(t, peer);

    return found == NULL || found->link == NULL ? NULL : stream_output(found->link->stream);
}

void transport_send_shared(struct transport *t, node_id peer, struct slice tail,
                           void (*release)(void *owner), void *owner)
{
    struct peer *found = transport_find(t, peer);

    if (found == NULL || found->link == NULL) {
        release(owner);
    } else {
        stream_send_shared(found->link->stream, tail, release, owner);
    }
}

size_t transport_output_bytes(const struct transport *t, node_id peer)
{
    const struct peer *found = transport_find(t, peer);

    return found == NULL || found->link == NULL ? 0 : stream_output_bytes(found->link->stream);
}

void transport_flush(struct transport *t)
{
    for (unsigned i = 0; i < t->peer_count; i++) {
        struct peer_link *link = t->peers[i]->link;

        if (link != NULL && stream_output_bytes(link->stream) > 0) {
            stream_flush(link->stream);
        }
    }
}

/* ---- Status ---- */

void transport_peer_status(const struct transport *t, node_id peer,
                           struct transport_peer_status *ret_status)
{
    const struct peer *found = transport_find(t, peer);
    uint64_t sent = 0, received = 0;

    *ret_status = (struct transport_peer_status){ .is_connected = false };
    if (found == NULL) {
        return;
    }
    if (found->link != NULL) {
        stream_transferred(found->link->stream, &sent, &received);
    }
    ret_status->is_connected = found->link != NULL;
    ret_status->sent_bytes = found->sent_bytes + sent;
    ret_status->received_bytes = found->received_bytes + received;
    ret_status->bad_frames_total = found->bad_frames_total;
    ret_status->reconnects_total = found->opened_total > 0 ? found->opened_total - 1 : 0;
}

void transport_stranger_status(const struct transport *t,
                               struct transport_stranger_status *ret_status)
{
    *ret_status = t->strangers;
}
