/* SPDX-License-Identifier: Apache-2.0 */
/* The life of the front ends: listeners, turns, deadlines, drain. */
#include "server/server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/heap.h"
#include "server/client.h"
#include "server/server_internal.h"

#define BACKLOG 1024
#define LISTEN_AGAIN_MS 100

enum { RESP, HTTP };

void server_log(struct server *s, int level, const char *format, ...)
{
    char text[512];
    va_list args;

    if (s->options.log == NULL) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    s->options.log(s->options.context, level, text);
}

void server_count_request(struct server *s, const struct request_type *type, enum rk_status status)
{
    if (type != NULL) {
        s->counters.requests_total[request_type_number(type)]++;
    }
    if (status != RK_OK) {
        s->counters.failures_total[status]++;
    }
}

/* ---- Questions of the connect family ---- */

bool server_has_authentication(const struct server *s)
{
    return s->options.authenticate != NULL;
}

bool server_authenticate(struct server *s, struct client *client, struct slice user,
                         struct slice password)
{
    unsigned scopes = s->options.authenticate(s->options.context, user, password);

    if (scopes == 0) {
        return false;
    }
    client->scopes = scopes;
    client->is_known = true;
    return true;
}

struct server_totals server_get_totals(const struct server *s)
{
    struct server_totals t = { .connections = s->counts[RESP],
                               .waiting = (unsigned)s->waits.count,
                               .connections_total = s->counters.accepted_total[RESP] };

    for (size_t i = 0; i < REQUEST_TYPES_MAX; i++) {
        t.requests_total += s->counters.requests_total[i];
    }
    return t;
}

/* ---- Accepting ---- */

static void on_listen_again(evutil_socket_t fd, short what, void *context)
{
    struct server *s = context;

    (void)fd;
    (void)what;
    for (int i = 0; i < 2 && !s->is_draining; i++) {
        if (s->listeners[i] != NULL) {
            evconnlistener_enable(s->listeners[i]);
        }
    }
}

/* No descriptor left: accepting at once again would spin. */
static void on_accept_error(struct evconnlistener *listener, void *context)
{
    struct server *s = context;
    struct timeval delay = { 0, LISTEN_AGAIN_MS * 1000 };

    server_log(s, NODE_LOG_WARN, "accept: %s", strerror(EVUTIL_SOCKET_ERROR()));
    evconnlistener_disable(listener);
    event_add(s->listen_again, &delay);
}

static bool is_over_cap(struct server *s, int which)
{
    unsigned max = which == RESP ? s->options.max_clients : s->options.max_http;

    if (s->counts[which] < max) {
        return false;
    }
    s->counters.refused_total[which]++;
    return true;
}

/* The socket is new and empty: a short answer always fits.  With TLS there is nobody to
 * understand it. */
static void refuse(struct server *s, int fd, const char *answer)
{
    if (s->tls == NULL) {
        (void)send(fd, answer, strlen(answer), MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    close(fd);
}

static void on_client(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int size, void *context)
{
    struct server *s = context;

    (void)listener;
    (void)address;
    (void)size;
    if (is_over_cap(s, RESP)) {
        refuse(s, fd, "-OVERLOADED this node has as many connections as it may have\r\n");
    } else {
        resp_accept(s, fd);
    }
}

static void on_http(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                    int size, void *context)
{
    struct server *s = context;

    (void)listener;
    (void)address;
    (void)size;
    if (is_over_cap(s, HTTP)) {
        refuse(s, fd,
               "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
               "Content-Length: 0\r\n\r\n");
    } else {
        http_accept(s, fd);
    }
}

/* ---- Listening ---- */

/* "host:port", "[v6]:port", ":port": splits into two texts that fit. */
static bool split_address(const char *address, char *ret_host, char *ret_port, size_t room)
{
    const char *colon = strrchr(address, ':');
    const char *begin = address;
    size_t size;

    if (colon == NULL || colon[1] == '\0') {
        return false;
    }
    size = (size_t)(colon - address);
    if (size >= 2 && begin[0] == '[' && begin[size - 1] == ']') {
        begin++;
        size -= 2;
    }
    if (size >= room || strlen(colon + 1) >= room) {
        return false;
    }
    memcpy(ret_host, begin, size);
    ret_host[size] = '\0';
    memcpy(ret_port, colon + 1, strlen(colon + 1) + 1);
    return true;
}

static enum rk_status listen_on(struct server *s, const char *address, int which,
                                struct errmsg *why)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
    struct addrinfo *found = NULL;
    char host[ADDRESS_BYTES_MAX + 1];
    char port[ADDRESS_BYTES_MAX + 1];
    int error;

    if (!split_address(address, host, port, sizeof host)) {
        errmsg_set(why, "listen on %s: not host:port", address);
        return RK_CONFIG;
    }
    error = getaddrinfo(host[0] == '\0' ? NULL : host, port, &hints, &found);
    if (error != 0) {
        errmsg_set(why, "listen on %s: %s", address, gai_strerror(error));
        return RK_CONFIG;
    }
    s->listeners[which] = evconnlistener_new_bind(s->base, which == RESP ? on_client : on_http, s,
                                                  LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC |
                                                      LEV_OPT_REUSEABLE,
                                                  BACKLOG, found->ai_addr, (int)found->ai_addrlen);
    error = EVUTIL_SOCKET_ERROR();
    freeaddrinfo(found);
    if (s->listeners[which] == NULL) {
        errmsg_set(why, "listen on %s: %s", address, strerror(error));
        return RK_CONFIG;
    }
    evconnlistener_set_error_cb(s->listeners[which], on_accept_error);
    return RK_OK;
}

static unsigned port_of(struct evconnlistener *listener)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    socklen_t size = sizeof address;

    if (listener == NULL ||
        getsockname(evconnlistener_get_fd(listener), &address.any, &size) != 0) {
        return 0;
    }
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

unsigned server_client_port(const struct server *s)
{
    return port_of(s->listeners[RESP]);
}

unsigned server_http_port(const struct server *s)
{
    return port_of(s->listeners[HTTP]);
}

/* ---- Turns ---- */

static void flush_one(struct connection *c)
{
    if (c->is_closed) {
        c->ops->free(c);
        return;
    }
    stream_flush(c->stream);
    if (stream_output_bytes(c->stream) == 0) {
        if (c->wants_to_close) {
            connection_close(c);
            return;
        }
        if (c->deadline == DEADLINE_OUTPUT) {
            connection_expect(c, DEADLINE_NONE);
        }
    } else if (c->deadline == DEADLINE_NONE) {
        connection_expect(c, DEADLINE_OUTPUT);
    }
    c->ops->flushed(c);
    if (stream_output_bytes(c->stream) > 0) {
        connection_touch(c); /* looked at again when the socket has taken some */
    }
}

/* The end of a turn. */
static void on_flush(void *context)
{
    struct server *s = context;
    struct connection *dirty;

    event_waits_turn(s);
    dirty = s->dirty;
    s->dirty = NULL;
    s->turn++;
    while (dirty != NULL) {
        struct connection *c = dirty;

        dirty = c->next_dirty;
        c->is_dirty = false;
        c->next_dirty = NULL;
        flush_one(c);
    }
}

static time_ms span_of(enum deadline deadline)
{
    static const time_ms spans[DEADLINE_COUNT] = {
        [DEADLINE_OPENING] = CLIENT_OPENING_MS,     [DEADLINE_REQUEST] = IDLE_BEFORE_REQUEST_MS,
        [DEADLINE_HEAD] = HTTP_REQUEST_DEADLINE_MS, [DEADLINE_IDLE] = HTTP_IDLE_MS,
        [DEADLINE_OUTPUT] = CLIENT_OUTPUT_MS,
    };

    return spans[deadline];
}

static void on_sweep(evutil_socket_t fd, short what, void *context)
{
    struct server *s = context;
    struct timeval second = { 1, 0 };
    time_ms now_ms = node_now_ms(s->node);
    bool has_more = false;

    (void)fd;
    (void)what;
    for (int i = DEADLINE_NONE + 1; i < DEADLINE_COUNT; i++) {
        struct connection_link *list = &s->timed[i];

        while (list->next != NULL && now_ms - list->next->since_ms >= span_of((enum deadline)i)) {
            struct connection *c = list->next;

            c->ops->expired(c, (enum deadline)i);
            connection_close(c);
        }
        has_more = has_more || list->next != NULL;
    }
    if (has_more) {
        event_add(s->sweep, &second);
    }
}

/* ---- Life ---- */

void server_hold(struct server *s)
{
    s->holders++;
}

void server_release(struct server *s)
{
    INVARIANT(s->holders > 0);
    if (--s->holders > 0) {
        return;
    }
    resp_release_pools(s);
    request_scratch_release(&s->scratch);
    buffer_release(&s->command);
    heap_free(s->words);
    heap_free(s);
}

static enum rk_status open_parts(struct server *s, const struct server_options *options,
                                 struct errmsg *why)
{
    enum rk_status status = RK_OK;

    if (options->client_tls != NULL) {
        status = tls_server_context(options->client_tls, &s->tls, why);
    }
    if (status == RK_OK && options->listen_client != NULL) {
        status = listen_on(s, options->listen_client, RESP, why);
    }
    if (status == RK_OK && options->listen_http != NULL) {
        status = listen_on(s, options->listen_http, HTTP, why);
    }
    return status;
}

enum rk_status server_open(struct event_base *base, struct node *n,
                           const struct server_options *options, struct server **ret_server,
                           struct errmsg *why)
{
    struct server *s = heap_new(struct server);
    enum rk_status status;

    s->base = base;
    s->node = n;
    s->options = *options;
    s->options.listen_client = s->options.listen_http = NULL;
    s->options.client_tls = NULL;
    if (s->options.max_clients == 0) {
        s->options.max_clients = CLIENT_CONNECTIONS_MAX_DEFAULT;
    }
    if (s->options.max_http == 0) {
        s->options.max_http = HTTP_CONNECTIONS_MAX_DEFAULT;
    }
    s->holders = 1;
    s->sweep = evtimer_new(base, on_sweep, s);
    s->listen_again = evtimer_new(base, on_listen_again, s);
    status = open_parts(s, options, why);
    if (status != RK_OK) {
        server_close(s);
        return status;
    }
    node_on_flush(n, on_flush, s);
    *ret_server = s;
    return RK_OK;
}

void server_drain(struct server *s)
{
    struct connection *next;

    s->is_draining = true;
    for (int i = 0; i < 2; i++) {
        if (s->listeners[i] != NULL) {
            evconnlistener_disable(s->listeners[i]);
        }
    }
    for (struct connection *c = s->all; c != NULL; c = next) {
        next = c->all.next;
        if (!c->wants_to_close) {
            c->ops->drain(c);
        }
    }
}

bool server_is_drained(const struct server *s)
{
    return s->all == NULL;
}

void server_close(struct server *s)
{
    if (s == NULL || s->is_closed) {
        return;
    }
    s->is_closed = true;
    s->is_draining = true;
    while (s->all != NULL) {
        connection_close(s->all);
    }
    on_flush(s); /* frees what was closed */
    for (int i = 0; i < 2; i++) {
        if (s->listeners[i] != NULL) {
            evconnlistener_free(s->listeners[i]);
        }
    }
    event_free(s->sweep);
    event_free(s->listen_again);
    SSL_CTX_free(s->tls);
    server_release(s);
}

enum rk_status server_reload_tls(struct server *s, const struct tls_options *client_tls,
                                 struct errmsg *why)
{
    SSL_CTX *fresh = NULL;
    enum rk_status status = RK_CONFIG;

    if (s->tls == NULL || client_tls == NULL) {
        errmsg_set(why, "TLS is switched on or off by a restart only");
        return status;
    }
    status = tls_server_context(client_tls, &fresh, why);
    if (status == RK_OK) {
        SSL_CTX_free(s->tls);
        s->tls = fresh;
    }
    return status;
}
