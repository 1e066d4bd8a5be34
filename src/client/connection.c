/* SPDX-License-Identifier: Apache-2.0 */
#include "client/connection.h"

#include <string.h>

#include <hiredis/hiredis.h>

#include "base/heap.h"
#include "client/failure.h"
#include "client/reply.h"
#include "client/transport.h"

#define RECEIVE_BYTES (64 * 1024)

struct connection {
    struct endpoint endpoint;
    struct transport *transport;
    redisReader *reader;
    char *input; /* RECEIVE_BYTES */
};

void request_encode(struct buffer *out, int argc, const char **argv, const size_t *sizes)
{
    char *bytes = NULL;
    int size = redisFormatCommandArgv(&bytes, argc, argv, sizes);

    if (size < 0) {
        heap_exhausted(0);
    }
    buffer_put(out, bytes, (size_t)size);
    redisFreeCommand(bytes);
}

/* Feeds the reader with what has come.  Errors: CLOSED, PROTOCOL. */
static enum rk_status absorb(struct connection *c, size_t *ret_size, struct errmsg *why)
{
    enum rk_status status = transport_receive(c->transport, c->input, RECEIVE_BYTES, ret_size, why);

    if (status != RK_OK || *ret_size == 0) {
        return status;
    }
    if (redisReaderFeed(c->reader, c->input, *ret_size) != REDIS_OK) {
        errmsg_set(why, "read a reply: %s", c->reader->errstr);
        return RK_PROTOCOL;
    }
    return RK_OK;
}

enum rk_status connection_send(struct connection *c, struct slice bytes, int64_t deadline_ms,
                               bool *ret_has_left, struct errmsg *why)
{
    size_t done = 0;

    for (;;) {
        size_t size = 0;
        enum rk_status status = transport_send(c->transport, bytes.data + done, bytes.size - done,
                                               &size, why);

        done += size;
        *ret_has_left = *ret_has_left || done > 0;
        if (status != RK_OK) {
            return status;
        }
        if (done == bytes.size && !transport_has_output(c->transport)) {
            return RK_OK;
        }
        status = transport_wait(c->transport, true, deadline_ms);
        if (status != RK_OK) {
            errmsg_set(why, "send: timed out after %zu of %zu bytes", done, bytes.size);
            return status;
        }
        status = absorb(c, &size, why);
        if (status != RK_OK) {
            return status;
        }
    }
}

enum rk_status connection_receive(struct connection *c, int64_t deadline_ms,
                                  struct rk_reply **ret_reply, struct errmsg *why)
{
    for (;;) {
        void *reply = NULL;
        enum rk_status status;
        size_t size = 0;

        if (redisReaderGetReply(c->reader, &reply) != REDIS_OK) {
            errmsg_set(why, "read a reply: %s", c->reader->errstr);
            return RK_PROTOCOL;
        }
        if (reply != NULL) {
            *ret_reply = reply;
            return RK_OK;
        }
        status = absorb(c, &size, why);
        if (status == RK_OK && size == 0) {
            status = transport_wait(c->transport, false, deadline_ms);
            if (status != RK_OK) {
                errmsg_set(why, "no reply in time");
            }
        }
        if (status != RK_OK) {
            return status;
        }
    }
}

static enum rk_status authenticate(struct connection *c, const struct rk_options *o,
                                   int64_t deadline_ms, struct rk_error *error)
{
    const char *argv[3] = { "AUTH", o->user == NULL ? o->password : o->user, o->password };
    struct errmsg why = ERRMSG_INIT;
    struct buffer out = BUFFER_INIT;
    struct rk_reply *reply = NULL;
    enum rk_status status;
    bool has_left = false;

    request_encode(&out, o->user == NULL ? 2 : 3, argv, NULL);
    status = connection_send(c, buffer_slice(&out), deadline_ms, &has_left, &why);
    buffer_release(&out);
    if (status == RK_OK) {
        status = connection_receive(c, deadline_ms, &reply, &why);
    }
    if (status != RK_OK) {
        return failure_set(error, status, c->endpoint.text, "authenticate at %s: %s",
                           c->endpoint.text, why.text);
    }
    if (reply->type == RK_REPLY_ERROR) {
        status = failure_set(error, RK_NOAUTH, c->endpoint.text, "authenticate at %s: %.400s",
                             c->endpoint.text, reply->text);
    }
    rk_reply_free(reply);
    return status;
}

enum rk_status connection_open(const struct rk_options *options, const struct endpoint *endpoint,
                               struct tls_context *tls, int64_t deadline_ms,
                               struct connection **ret_connection, struct rk_error *error)
{
    struct errmsg why = ERRMSG_INIT;
    struct transport *transport = NULL;
    struct connection *c;
    enum rk_status status = transport_dial(endpoint, tls, deadline_ms, &transport, &why);

    if (status != RK_OK) {
        return failure_set(error, status, endpoint->text, "connect to %s: %s", endpoint->text,
                           why.text);
    }
    c = heap_new(struct connection);
    c->endpoint = *endpoint;
    c->transport = transport;
    c->reader = reply_reader_new();
    c->input = heap_alloc(RECEIVE_BYTES);
    if (options->password != NULL) {
        status = authenticate(c, options, deadline_ms, error);
        if (status != RK_OK) {
            connection_close(c);
            return status;
        }
    }
    *ret_connection = c;
    return RK_OK;
}

void connection_close(struct connection *c)
{
    if (c == NULL) {
        return;
    }
    transport_close(c->transport);
    redisReaderFree(c->reader);
    heap_free(c->input);
    heap_free(c);
}

const struct endpoint *connection_endpoint(const struct connection *c)
{
    return &c->endpoint;
}

struct transport *connection_transport(struct connection *c)
{
    return c->transport;
}
