/* SPDX-License-Identifier: Apache-2.0 */
/* Who is talking to whom: the first frame in each direction. */
#ifndef WIRE_HANDSHAKE_H
#define WIRE_HANDSHAKE_H

#include "base/bytes.h"
#include "base/limits.h"
#include "model/types.h"

#define PROTOCOL_VERSION 1
#define HELLO_REFUSAL_TEXT_BYTES_MAX 255 /* longer text is cut */

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
    uint64_t membership_index;   /* of the entry with the membership it goes by; 0 = none yet */
    uint64_t target_incarnation; /* as that has it; 0 = not known yet */
    char target_name[NODE_NAME_BYTES_MAX + 1];
};

/* Appends the payload of a FRAME_HELLO. */
void hello_encode(struct buffer *out, const struct hello *hello);

/*
 * Judges form, not content: whether the two belong together is the transport's question.
 * A HELLO of a newer version may have more bytes and flags at its end; they are ignored.
 * Errors: PROTOCOL.
 */
enum rk_status hello_decode(struct slice payload, struct hello *ret_hello) MUST_USE;

/* The version both speak, the highest; 0 = none. */
uint32_t hello_version(const struct hello *ours, const struct hello *theirs);

/* The payload of a FRAME_HELLO_REFUSED: why, for the other side's log. */
struct hello_refusal {
    enum rk_status status;
    char text[HELLO_REFUSAL_TEXT_BYTES_MAX + 1];
};

void hello_refusal_encode(struct buffer *out, enum rk_status status, const char *text);

/* Errors: PROTOCOL. */
enum rk_status hello_refusal_decode(struct slice payload,
                                    struct hello_refusal *ret_refusal) MUST_USE;

#endif
