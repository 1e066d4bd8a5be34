/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The byte stream between a hook and an agent: a blocking socket with its own deadlines, plain or
 * under TLS 1.2 and newer.  [agent_wire.h]
 *
 * The agent shows a certificate, the hook checks it against refkeeper.agentCacert and the agent's
 * host; who the hook is the token says.
 */
#ifndef CLI_AGENT_LINK_H
#define CLI_AGENT_LINK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/errmsg.h"
#include "base/status.h"

struct agent_link {
    int fd;
    struct ssl_st *ssl; /* NULL = plain */
};

struct agent_tls; /* certificates; never changed, so any thread may use them */

/* Errors: CONFIG. */
enum rk_status agent_tls_server(const char *cert_file, const char *key_file,
                                struct agent_tls **ret_tls, struct errmsg *why) MUST_USE;
enum rk_status agent_tls_client(const char *ca_file, struct agent_tls **ret_tls,
                                struct errmsg *why) MUST_USE;
void agent_tls_free(struct agent_tls *tls); /* accepts NULL */

/*
 * Takes the connected socket.  `tls` NULL = plain.  `host`: of the agent, for the hook's side; NULL
 * on the agent's.  False: the handshake failed, `why` says how; the link is to be closed.
 */
bool agent_link_start(struct agent_link *link, int fd, struct agent_tls *tls, const char *host,
                      struct errmsg *why);
void agent_link_close(struct agent_link *link);

/* All of it or an error, until the socket's own deadline. */
bool agent_send_all(struct agent_link *link, const void *data, size_t size);
bool agent_receive_all(struct agent_link *link, void *data, size_t size);

#endif
