/* SPDX-License-Identifier: Apache-2.0 */
/* Life of a client: options in, connections made and dropped, the leader preferred. */
#include "client/client.h"

#include <string.h>

#include "base/heap.h"
#include "client/failure.h"
#include "sys/clock.h"
#include "sys/entropy.h"

enum rk_status rk_client_open(const struct rk_options *options, struct rk_client **ret_client,
                              struct rk_error *ret_error)
{
    struct errmsg why = ERRMSG_INIT;
    struct tls_context *tls = NULL;
    struct rk_client *client;

    if (options->uses_tls) {
        enum rk_status status = tls_context_new(options, &tls, &why);

        if (status != RK_OK) {
            return failure_set(ret_error, status, NULL, "%s", why.text);
        }
    }
    client = heap_new(struct rk_client);
    client->options = options_copy(options);
    client->tls = tls;
    client->timeout_ms = options->timeout_ms;
    client->has_no_session = !options->uses_session;
    rng_init(&client->rng, entropy_u64());
    *ret_client = client;
    return RK_OK;
}

void rk_client_close(struct rk_client *client)
{
    if (client == NULL) {
        return;
    }
    connection_close(client->connection);
    tls_context_free(client->tls);
    rk_options_free(client->options);
    heap_free(client);
}

const char *rk_client_endpoint(const struct rk_client *client)
{
    return client->connection == NULL ? "" : connection_endpoint(client->connection)->text;
}

void rk_client_set_timeout_ms(struct rk_client *client, int64_t timeout_ms)
{
    client->timeout_ms = timeout_ms;
}

void client_disconnect(struct rk_client *client)
{
    connection_close(client->connection);
    client->connection = NULL;
    client->knows_leader = false;
}

enum rk_status client_connect(struct rk_client *client, int64_t deadline_ms, struct rk_error *error)
{
    const struct rk_options *o = client->options;
    enum rk_status status = RK_OK;

    for (size_t i = 0; client->connection == NULL && i < o->endpoint_count; i++) {
        const struct endpoint *e = &o->endpoints[client->endpoint_next % o->endpoint_count];
        int64_t dial_ms = clock_monotonic_ms() + o->dial_timeout_ms;

        client->endpoint_next = (client->endpoint_next + 1) % o->endpoint_count;
        status = connection_open(o, e, client->tls, dial_ms < deadline_ms ? dial_ms : deadline_ms,
                                 &client->connection, error);
        if (status == RK_OK || clock_monotonic_ms() >= deadline_ms) {
            break;
        }
    }
    return status;
}
