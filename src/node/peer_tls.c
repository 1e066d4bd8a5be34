/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates between nodes, renewed while the node runs. */
#include "base/assert.h"
#include "node/node_internal.h"

enum rk_status node_reload_peer_tls(struct node *n, const struct tls_options *peer_tls,
                                    struct errmsg *why)
{
    SSL_CTX *fresh = NULL;
    enum rk_status status;

    PRE(n->peer_tls != NULL);
    status = tls_peer_context(peer_tls, &fresh, why);
    if (status == RK_OK) {
        transport_set_tls(n->transport, fresh);
        SSL_CTX_free(n->peer_tls); /* connections that stand keep theirs */
        n->peer_tls = fresh;
    }
    return status;
}
