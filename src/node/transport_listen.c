/* SPDX-License-Identifier: Apache-2.0 */
/* Accepting: with a bound on strangers, and without spinning when descriptors run out. */
#include <errno.h>
#include <unistd.h>

#include "node/transport_internal.h"

#define BACKLOG 128

static void on_accepted(struct evconnlistener *listener, evutil_socket_t fd,
                        struct sockaddr *address, int size, void *argument)
{
    struct transport *t = argument;
    char remote[64];

    (void)listener;
    (void)size;
    t->strangers.accepted_total++;
    address_format_host(address, remote, sizeof remote);
    if (t->strangers.pending_count >= PEER_PENDING_MAX) {
        struct peer_link *oldest = TAILQ_FIRST(&t->pending);

        t->strangers.dropped_total++;
        transport_log(t, NULL, NODE_LOG_WARN,
                      "more than %d connections wait to be authenticated; dropped one from %s",
                      PEER_PENDING_MAX, oldest->remote);
        peer_link_close(oldest, false);
    }
    dial_watch_silence(fd);
    (void)peer_link_new(t, fd, NULL, remote);
}

static void on_listen_again(evutil_socket_t fd, short what, void *argument)
{
    struct transport *t = argument;

    (void)fd;
    (void)what;
    evconnlistener_enable(t->listener);
}

/* A listener left enabled would report the same error without end. */
static void on_accept_failed(struct evconnlistener *listener, void *argument)
{
    struct timeval pause = { LISTENER_RETRY_MS / 1000, LISTENER_RETRY_MS % 1000 * 1000 };
    struct transport *t = argument;
    int error = errno;

    evconnlistener_disable(listener);
    event_add(&t->listen_again, &pause);
    transport_log(t, NULL, NODE_LOG_WARN, "accept a peer: %s; trying again", strerror(error));
}

enum rk_status transport_listen(struct transport *t, const char *address, struct errmsg *why)
{
    const unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE;
    struct address_socket at;
    enum rk_status status = address_listen(address, &at, why);

    if (status != RK_OK) {
        return status;
    }
    t->listener = evconnlistener_new_bind(t->base, on_accepted, t, flags, BACKLOG,
                                          (struct sockaddr *)&at.storage, (int)at.size);
    if (t->listener == NULL) {
        errmsg_set(why, "listen on %s: %s", address, strerror(errno));
        return RK_IO;
    }
    evconnlistener_set_error_cb(t->listener, on_accept_failed);
    event_assign(&t->listen_again, t->base, -1, 0, on_listen_again, t);
    return RK_OK;
}

void transport_unlisten(struct transport *t)
{
    if (t->listener != NULL) {
        event_del(&t->listen_again);
        evconnlistener_free(t->listener);
        t->listener = NULL;
    }
}

unsigned transport_port(const struct transport *t)
{
    struct address_socket at = { .size = sizeof at.storage };
    struct sockaddr *socket = (struct sockaddr *)&at.storage;
    char text[64];
    struct address address;

    if (getsockname(evconnlistener_get_fd(t->listener), socket, &at.size) != 0) {
        return 0;
    }
    address_format(socket, text, sizeof text);
    return address_parse(text, &address, NULL) == RK_OK ? address_port(&address) : 0;
}
