/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to the other members: one per pair, both directions on it.
 *
 * The member with the smaller id dials; the other accepts, and dials only when it was not
 * dialled for PEER_DIAL_BACK_MS: who was away while members came or moved may not know whom to
 * dial, or where.  Each side opens with a HELLO
 * that names cluster, sender and target [DESIGN 5, docs/PROTOCOL.md]; a mismatch is answered
 * with HELLO_REFUSED and a sentence, logged once per cause, and the connection closes.  With
 * TLS the certificate must name the sender too.  Of two connections with one peer the newer
 * authenticated one wins.  Lost connections are dialled again with backoff and jitter
 * (PEER_RECONNECT_MS_MIN..MAX); a lost connection that had been up is dialled at once.
 *
 * Names are looked up anew at each dial, off the loop (node/resolver.h).
 *
 * Frames are checked (length, CRC, type) before the node sees them; a bad frame closes the
 * connection and counts.  Output is gathered and leaves at transport_flush(), once per turn.
 * A peer whose unsent output passes PEER_OUTPUT_BYTES_MAX is dropped and dialled anew.
 *
 * Callbacks come from the loop, never from inside a function of this header.  They may call
 * every function but transport_close().
 * Thread: the loop.
 */
#ifndef NODE_TRANSPORT_H
#define NODE_TRANSPORT_H

#include <event2/event.h>

#include "base/errmsg.h"
#include "base/rng.h"
#include "model/membership.h"
#include "node/tls.h"
#include "wire/frame.h"
#include "wire/handshake.h"

struct transport;

struct transport_callbacks {
    /* Fills what this node says of itself now; versions, sender, sender_name and target are
     * filled already. */
    void (*fill_hello)(void *context, struct hello *hello);
    /*
     * Judges the other side's HELLO after versions and certificate, before target, name and id
     * are held against the members: cluster id, incarnation, boot count.  It may call
     * transport_set_self() and transport_set_members() to admit the sender.
     * Errors: FOREIGN, REMOVED, CORRUPT (the sender's directory is an old copy: it stops) with a
     * sentence for the log and the other side.
     */
    enum rk_status (*check_hello)(void *context, const struct hello *hello, struct errmsg *why);
    void (*opened)(void *context, node_id peer, const struct hello *hello);
    /* by_host: closed by the other side's host (FIN or RST), not by silence or by us. */
    void (*closed)(void *context, node_id peer, bool by_host);
    void (*received)(void *context, node_id peer, const struct frame *frame);
    /* The peer does not want to talk to us. */
    void (*refused)(void *context, node_id peer, enum rk_status status, const char *text);
    void (*log)(void *context, int level, const char *text); /* enum node_log_level */
};

struct transport_options {
    const char *listen; /* host:port */
    SSL_CTX *tls;       /* NULL = plaintext; borrowed */
    node_id self;       /* 0 = not known yet */
    uint64_t seed;      /* of the jitter */
};

/* Listens at once.  Errors: CONFIG (address), IO. */
enum rk_status transport_open(struct event_base *base, const struct transport_options *options,
                              const struct transport_callbacks *callbacks, void *context,
                              struct transport **ret_transport, struct errmsg *why) MUST_USE;

/*
 * The members to be connected with, self among them; copied.  Who has no address is not dialled.
 * Others are disconnected without a call of closed().  A changed address is used at the next dial.
 */
void transport_set_members(struct transport *t, const struct membership *members);

/* Who this node is, learned from a HELLO. */
void transport_set_self(struct transport *t, node_id self);

/* Ends the connection with a peer whose frames are whole but whose words are not: counted and
 * logged as a bad frame, closed() follows inside this call, dialled anew like any other loss. */
void transport_drop(struct transport *t, node_id peer, const char *cause);

bool transport_is_connected(const struct transport *t, node_id peer);

/*
 * The output buffer towards a peer, to which whole frames are appended (frame_begin ..
 * frame_end); NULL when not connected - the message is then lost, as Raft allows.
 */
struct buffer *transport_output(struct transport *t, node_id peer);

/* Sends `tail` right behind what was appended so far, without a copy; see
 * frame_end_with_tail().  `release(owner)` is called when it was sent or dropped. */
void transport_send_shared(struct transport *t, node_id peer, struct slice tail,
                           void (*release)(void *owner), void *owner);

/* Unsent bytes towards a peer: the snapshot sender paces itself by it. */
size_t transport_output_bytes(const struct transport *t, node_id peer);

void transport_flush(struct transport *t);

/* New certificates, for connections made from now on; borrowed.  The old context may be
 * freed: connections that stand keep it alive. */
void transport_set_tls(struct transport *t, SSL_CTX *tls);

/* The port listened on: another one than asked for when that was 0. */
unsigned transport_port(const struct transport *t);

struct transport_peer_status {
    bool is_connected;
    uint64_t sent_bytes, received_bytes, bad_frames_total, reconnects_total;
};

/* Connections that never became a peer's. */
struct transport_stranger_status {
    unsigned pending_count;    /* now: accepted and not authenticated yet */
    uint64_t accepted_total;   /* all inbound connections */
    uint64_t refused_total;    /* with HELLO_REFUSED, by us */
    uint64_t bad_frames_total; /* garbage before authentication */
    uint64_t dropped_total;    /* too many at once, or silent for HANDSHAKE_TIMEOUT_MS */
};
void transport_stranger_status(const struct transport *t,
                               struct transport_stranger_status *ret_status);
/* Zeros for a peer that is not a member. */
void transport_peer_status(const struct transport *t, node_id peer,
                           struct transport_peer_status *ret_status);

void transport_close(struct transport *t); /* accepts NULL; no callback follows */

#endif
