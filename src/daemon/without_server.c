/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for server/ until that is part of the tree: a node without front ends. */
#include "server/server.h"

enum rk_status server_open(struct event_base *base, struct node *n,
                           const struct server_options *options, struct server **ret_server,
                           struct errmsg *why)
{
    (void)base;
    (void)n;
    (void)why;
    options->log(options->context, NODE_LOG_WARN, "this build has no front ends");
    *ret_server = NULL;
    return RK_OK;
}

void server_drain(struct server *s)
{
    (void)s;
}

void server_close(struct server *s)
{
    (void)s;
}

enum rk_status server_reload_tls(struct server *s, const struct tls_options *client_tls,
                                 struct errmsg *why)
{
    (void)s;
    (void)client_tls;
    (void)why;
    return RK_OK;
}
