/* SPDX-License-Identifier: Apache-2.0 */
/* Many requests in flight on a connection of their own. */
#include <refkeeper/client.h>

#include "base/assert.h"
#include "base/heap.h"
#include "client/client.h"
#include "client/failure.h"
#include "sys/clock.h"

struct rk_pipeline {
    struct rk_client *client; /* borrowed */
    struct connection *connection;
    struct buffer output; /* appended, not sent */
    size_t unsent;        /* requests in `output` */
    size_t pending;       /* requests without a reply, sent or not */
    bool is_broken;
};

enum rk_status rk_pipeline_open(struct rk_client *client, struct rk_pipeline **ret_pipeline,
                                struct rk_error *ret_error)
{
    int64_t deadline_ms = clock_monotonic_ms() + client->timeout_ms;
    struct connection *connection = NULL;
    struct rk_pipeline *p;
    enum rk_status status = client_connect(client, deadline_ms, ret_error);

    if (status == RK_OK) {
        status = connection_open(client->options, connection_endpoint(client->connection),
                                 client->tls, deadline_ms, &connection, ret_error);
    }
    if (status != RK_OK) {
        return status;
    }
    p = heap_new(struct rk_pipeline);
    p->client = client;
    p->connection = connection;
    *ret_pipeline = p;
    return RK_OK;
}

void rk_pipeline_append(struct rk_pipeline *pipeline, int argc, const char **argv,
                        const size_t *sizes)
{
    request_encode(&pipeline->output, argc, argv, sizes);
    pipeline->unsent++;
    pipeline->pending++;
}

/* After this nothing more comes: what is pending may or may not have been executed. */
static enum rk_status break_down(struct rk_pipeline *p, const struct errmsg *why,
                                 struct rk_error *ret_error)
{
    const char *endpoint = connection_endpoint(p->connection)->text;

    p->is_broken = true;
    return failure_set(ret_error, RK_UNKNOWN, endpoint,
                       "UNKNOWN: %zu requests to %s have no answer and may have been executed: %s",
                       p->pending, endpoint, why->text);
}

enum rk_status rk_pipeline_flush(struct rk_pipeline *pipeline, struct rk_error *ret_error)
{
    struct errmsg why = { "the connection was lost" };
    bool has_left = false;

    if (pipeline->is_broken) {
        return break_down(pipeline, &why, ret_error);
    }
    if (connection_send(pipeline->connection, buffer_slice(&pipeline->output),
                        clock_monotonic_ms() + pipeline->client->timeout_ms, &has_left,
                        &why) != RK_OK) {
        return break_down(pipeline, &why, ret_error);
    }
    buffer_clear(&pipeline->output);
    pipeline->unsent = 0;
    return RK_OK;
}

enum rk_status rk_pipeline_next(struct rk_pipeline *pipeline, struct rk_reply **ret_reply,
                                struct rk_error *ret_error)
{
    struct errmsg why = { "the connection was lost" };

    PRE(pipeline->pending > 0);
    if (!pipeline->is_broken && pipeline->pending == pipeline->unsent) {
        enum rk_status status = rk_pipeline_flush(pipeline, ret_error);

        if (status != RK_OK) {
            return status;
        }
    }
    if (pipeline->is_broken ||
        connection_receive(pipeline->connection,
                           clock_monotonic_ms() + pipeline->client->timeout_ms, ret_reply,
                           &why) != RK_OK) {
        return break_down(pipeline, &why, ret_error);
    }
    pipeline->pending--;
    return RK_OK;
}

size_t rk_pipeline_pending(const struct rk_pipeline *pipeline)
{
    return pipeline->pending;
}

void rk_pipeline_close(struct rk_pipeline *pipeline)
{
    if (pipeline != NULL) {
        connection_close(pipeline->connection);
        buffer_release(&pipeline->output);
        heap_free(pipeline);
    }
}
