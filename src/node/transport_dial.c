/* SPDX-License-Identifier: Apache-2.0 */
/* Dialling: look up, connect, and again after a pause that doubles and is jittered. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/transport_internal.h"

/* Probes of an idle connection; with output unacknowledged the user timeout decides. */
#define KEEPALIVE_IDLE_S 5
#define KEEPALIVE_INTERVAL_S 2
#define KEEPALIVE_COUNT 3

void dial_watch_silence(int fd)
{
    const struct {
        int level, name, value;
    } options[] = {
        { SOL_SOCKET, SO_KEEPALIVE, 1 },
        { IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
        { IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S },
        { IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT },
        { IPPROTO_TCP, TCP_USER_TIMEOUT, PEER_USER_TIMEOUT_MS },
    };

    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                         sizeof options[i].value);
    }
}

static void dial_connect(struct peer *peer, const struct address_socket *to)
{
    const struct sockaddr *address = (const struct sockaddr *)&to->storage;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        dial_failed(peer, strerror(errno));
        return;
    }
    dial_watch_silence(fd);
    if (connect(fd, address, to->size) != 0 && errno != EINPROGRESS) {
        int error = errno;

        close(fd);
        dial_failed(peer, strerror(error));
        return;
    }
    peer->dialling = peer_link_new(peer->transport, fd, peer, peer->name);
}

static void on_looked_up(void *context, const char *error, const struct address_socket *found,
                         unsigned count)
{
    struct peer *peer = context;

    peer->lookup = NULL;
    if (error != NULL) {
        dial_failed(peer, error);
    } else {
        dial_connect(peer, &found[peer->attempts % count]);
    }
}

static void on_dial(evutil_socket_t fd, short what, void *argument)
{
    struct peer *peer = argument;
    struct address address;
    struct address_socket to;
    struct errmsg why = ERRMSG_INIT;

    (void)fd;
    (void)what;
    if (address_parse(peer->address, &address, &why) != RK_OK) {
        dial_failed(peer, why.text);
    } else if (address_numeric(&address, &to)) {
        dial_connect(peer, &to);
    } else {
        peer->lookup = lookup_start(peer->transport->base, &address, on_looked_up, peer);
        if (peer->lookup == NULL) {
            dial_failed(peer, "no thread or descriptor for the lookup");
        }
    }
}

void dial_init(struct peer *peer)
{
    event_assign(&peer->dial, peer->transport->base, -1, 0, on_dial, peer);
}

void dial_later(struct peer *peer)
{
    int64_t pause_ms = dial_is_ours(peer) ? 0 : PEER_DIAL_BACK_MS;
    struct timeval pause;

    if (peer->address[0] == '\0' || peer->link != NULL || peer->dialling != NULL ||
        peer->lookup != NULL) {
        return;
    }
    if (peer->attempts > 0) {
        unsigned doublings = peer->attempts < 16 ? peer->attempts - 1 : 15;
        int64_t most_ms = (int64_t)PEER_RECONNECT_MS_MIN << doublings;

        most_ms = most_ms > PEER_RECONNECT_MS_MAX ? PEER_RECONNECT_MS_MAX : most_ms;
        pause_ms += most_ms / 2 +
                    (int64_t)rng_below(&peer->transport->rng, (uint64_t)(most_ms / 2) + 1);
    }
    pause = (struct timeval){ pause_ms / 1000, pause_ms % 1000 * 1000 };
    event_add(&peer->dial, &pause);
}

void dial_stop(struct peer *peer)
{
    event_del(&peer->dial);
    lookup_cancel(peer->lookup);
    peer->lookup = NULL;
    if (peer->dialling != NULL) {
        peer_link_close(peer->dialling, false);
        peer->dialling = NULL;
    }
}

void dial_failed(struct peer *peer, const char *cause)
{
    peer->attempts++;
    if (strncmp(peer->last_failure, cause, sizeof peer->last_failure - 1) != 0) {
        snprintf(peer->last_failure, sizeof peer->last_failure, "%s", cause);
        transport_log(peer->transport, peer, NODE_LOG_WARN, "peer %s at %s: %s; trying again",
                      peer->name, peer->address, cause);
    }
    dial_later(peer);
}
