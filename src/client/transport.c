/* SPDX-License-Identifier: Apache-2.0 */
#include "client/transport.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/heap.h"
#include "sys/clock.h"

#define TLS_OUTPUT_BYTES_MAX (256 * 1024) /* ciphertext waiting for the socket; full = sent first */

struct transport {
    int fd;
    struct tls_session *tls; /* NULL = plain */
    struct buffer output;    /* ciphertext not yet taken by the kernel */
};

/* poll() with a monotonic deadline; false when it passed. */
static bool wait_for(int fd, short events, int64_t deadline_ms)
{
    for (;;) {
        struct pollfd p = { .fd = fd, .events = events };
        int64_t left = deadline_ms - clock_monotonic_ms();
        int rc;

        if (left < 0) {
            return false;
        }
        rc = poll(&p, 1, left > 3600000 ? 3600000 : (int)left);
        if (rc > 0) {
            return true;
        }
        if (rc < 0 && errno != EINTR) {
            return true; /* the next call on the socket says what is wrong */
        }
    }
}

static void tune(int fd)
{
    int on = 1;

    /* Best effort: without them it is slower, or a dead peer is noticed later. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

static enum rk_status connect_one(const struct addrinfo *address, int64_t deadline_ms, int *ret_fd,
                                  struct errmsg *why)
{
    int fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    address->ai_protocol);
    socklen_t size = sizeof(int);
    int error = 0;

    if (fd < 0) {
        errmsg_set(why, "%s", strerror(errno));
        return RK_UNREACHABLE;
    }
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0 && errno != EINPROGRESS) {
        errmsg_set(why, "%s", strerror(errno));
        (void)close(fd);
        return RK_UNREACHABLE;
    }
    if (!wait_for(fd, POLLOUT, deadline_ms)) {
        errmsg_set(why, "no answer within the dial timeout");
        (void)close(fd);
        return RK_TIMED_OUT;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
        errmsg_set(why, "%s", strerror(error != 0 ? error : errno));
        (void)close(fd);
        return RK_UNREACHABLE;
    }
    tune(fd);
    *ret_fd = fd;
    return RK_OK;
}

static enum rk_status connect_any(const struct endpoint *endpoint, int64_t deadline_ms, int *ret_fd,
                                  struct errmsg *why)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *list = NULL;
    enum rk_status status = RK_UNREACHABLE;
    int rc = getaddrinfo(endpoint->host, endpoint->port, &hints, &list);

    if (rc != 0) {
        errmsg_set(why, "resolve %s: %s", endpoint->host, gai_strerror(rc));
        return RK_UNREACHABLE;
    }
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
        status = connect_one(a, deadline_ms, ret_fd, why);
        if (status != RK_UNREACHABLE) {
            break;
        }
    }
    freeaddrinfo(list);
    return status;
}

/* Gives the kernel what waits; stops when it takes no more. */
static enum rk_status send_output(struct transport *t, struct errmsg *why)
{
    while (t->output.size > 0) {
        ssize_t size = send(t->fd, t->output.data, t->output.size, MSG_NOSIGNAL);

        if (size >= 0) {
            buffer_consume(&t->output, (size_t)size);
        } else if (errno == EAGAIN) {
            return RK_OK;
        } else if (errno != EINTR) {
            errmsg_set(why, "send: %s", strerror(errno));
            return RK_CLOSED;
        }
    }
    return RK_OK;
}

static enum rk_status receive_raw(struct transport *t, void *data, size_t size, size_t *ret_size,
                                  struct errmsg *why)
{
    ssize_t got;

    do {
        got = recv(t->fd, data, size, 0);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        *ret_size = (size_t)got;
        return RK_OK;
    }
    if (got < 0 && errno == EAGAIN) {
        *ret_size = 0;
        return RK_OK;
    }
    errmsg_set(why, "%s", got == 0 ? "the server closed the connection" : strerror(errno));
    return RK_CLOSED;
}

/* Moves ciphertext from the socket into the session; *ret_size is how much came. */
static enum rk_status feed(struct transport *t, size_t *ret_size, struct errmsg *why)
{
    char part[16384];
    enum rk_status status = receive_raw(t, part, sizeof part, ret_size, why);

    if (status == RK_OK && *ret_size > 0) {
        tls_session_feed(t->tls, part, *ret_size);
    }
    return status;
}

static enum rk_status shake_hands(struct transport *t, int64_t deadline_ms, struct errmsg *why)
{
    for (;;) {
        bool is_done = false;
        size_t size = 0;
        enum rk_status status = tls_session_handshake(t->tls, &is_done, why);
        enum rk_status sent;

        /* Also after a failure: the alert tells the server why. */
        tls_session_drain(t->tls, &t->output);
        sent = send_output(t, status == RK_OK ? why : NULL);
        if (status != RK_OK) {
            return status;
        }
        if (sent != RK_OK) {
            return sent;
        }
        if (is_done && t->output.size == 0) {
            return RK_OK;
        }
        if (!wait_for(t->fd, t->output.size > 0 ? POLLIN | POLLOUT : POLLIN, deadline_ms)) {
            errmsg_set(why, "TLS handshake: no answer within the dial timeout");
            return RK_TIMED_OUT;
        }
        status = is_done ? RK_OK : feed(t, &size, why);
        if (status != RK_OK) {
            errmsg_wrap(why, "TLS handshake");
            return status;
        }
    }
}

enum rk_status transport_dial(const struct endpoint *endpoint, struct tls_context *tls,
                              int64_t deadline_ms, struct transport **ret_transport,
                              struct errmsg *why)
{
    struct transport *t;
    enum rk_status status;
    int fd = -1;

    status = connect_any(endpoint, deadline_ms, &fd, why);
    if (status != RK_OK) {
        return status;
    }
    t = heap_new(struct transport);
    t->fd = fd;
    if (tls != NULL) {
        status = tls_session_new(tls, endpoint->host, &t->tls, why);
        if (status == RK_OK) {
            status = shake_hands(t, deadline_ms, why);
        }
        if (status != RK_OK) {
            transport_close(t);
            return status;
        }
    }
    *ret_transport = t;
    return RK_OK;
}

void transport_close(struct transport *t)
{
    if (t == NULL) {
        return;
    }
    tls_session_free(t->tls);
    buffer_release(&t->output);
    (void)close(t->fd);
    heap_free(t);
}

static enum rk_status send_plain(struct transport *t, const void *data, size_t size,
                                 size_t *ret_size, struct errmsg *why)
{
    ssize_t sent;

    do {
        sent = send(t->fd, data, size, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno != EAGAIN) {
        errmsg_set(why, "send: %s", strerror(errno));
        return RK_CLOSED;
    }
    *ret_size = sent < 0 ? 0 : (size_t)sent;
    return RK_OK;
}

enum rk_status transport_send(struct transport *t, const void *data, size_t size, size_t *ret_size,
                              struct errmsg *why)
{
    enum rk_status status;

    *ret_size = 0;
    if (t->tls == NULL) {
        return size == 0 ? RK_OK : send_plain(t, data, size, ret_size, why);
    }
    status = send_output(t, why);
    while (status == RK_OK && *ret_size < size && t->output.size < TLS_OUTPUT_BYTES_MAX) {
        size_t taken = 0;

        status = tls_session_write(t->tls, (const char *)data + *ret_size, size - *ret_size, &taken,
                                   why);
        if (taken == 0) {
            break;
        }
        *ret_size += taken;
        tls_session_drain(t->tls, &t->output);
    }
    return status == RK_OK ? send_output(t, why) : status;
}

enum rk_status transport_receive(struct transport *t, void *data, size_t size, size_t *ret_size,
                                 struct errmsg *why)
{
    enum rk_status status;
    size_t fed = 0;

    if (t->tls == NULL) {
        return receive_raw(t, data, size, ret_size, why);
    }
    do {
        status = tls_session_read(t->tls, data, size, ret_size, why);
        if (status != RK_OK || *ret_size > 0) {
            return status;
        }
        status = feed(t, &fed, why);
    } while (status == RK_OK && fed > 0);
    return status;
}

bool transport_has_output(const struct transport *t)
{
    return t->output.size > 0;
}

int transport_fd(const struct transport *t)
{
    return t->fd;
}

enum rk_status transport_wait(struct transport *t, bool wants_send, int64_t deadline_ms)
{
    bool sends = wants_send || t->output.size > 0;

    return wait_for(t->fd, sends ? POLLIN | POLLOUT : POLLIN, deadline_ms) ? RK_OK : RK_TIMED_OUT;
}
