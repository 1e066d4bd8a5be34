/* SPDX-License-Identifier: Apache-2.0 */
/* Who is talking to whom: the first frame in each direction. */
#ifndef WIRE_HANDSHAKE_H
#define WIRE_HANDSHAKE_H

#include "base/bytes.h"
#include "base/limits.h"
#include "model/types.h"

#define PROTOCOL_VERSION 1

struct hello {
    uint32_t version_min, version_max;    /* of the protocol */
    uint8_t cluster_id[CLUSTER_ID_BYTES]; /* zeros = this node knows none yet */
    node_id sender;
    node_id target; /* whom the sender believes to be talking to */
    char sender_name[NODE_NAME_BYTES_MAX + 1];
    uint64_t incarnation;
    uint64_t boot_count;
    uint64_t features;
    bool is_empty;                              /* no log, no vote: may take part in a bootstrap */
    char client_address[ADDRESS_BYTES_MAX + 1]; /* where the sender serves RESP and HTTP */
    char http_address[ADDRESS_BYTES_MAX + 1];
};

void hello_encode(struct buffer *out, const struct hello *hello); /* payload only */
enum rk_status hello_decode(struct slice payload, struct hello *ret_hello) MUST_USE; /* PROTOCOL */

#endif
