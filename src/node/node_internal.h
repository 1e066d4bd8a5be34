/* SPDX-License-Identifier: Apache-2.0 */
/* The running member from inside; for this folder only.  Everything belongs to the loop. */
#ifndef NODE_NODE_INTERNAL_H
#define NODE_NODE_INTERNAL_H

#include "node/changes.h"
#include "node/digests.h"
#include "node/node.h"
#include "node/proposals.h"
#include "node/reads.h"
#include "node/snapshots.h"
#include "node/transport.h"
#include "node/window.h"
#include "node/worker.h"
#include "node/writer.h"
#include "storage/storage.h"
#include "wire/raft_codec.h"

struct node {
    struct event_base *base;
    struct node_options options; /* strings are owned copies */
    struct storage *storage;
    struct persistent_state state; /* as last handed to the writer */
    struct writer *writer;
    struct worker *worker; /* whole snapshots: taking, verifying, loading */
    struct worker *mover;  /* pieces of snapshots: what waits for it is short */
    struct transport *transport;
    SSL_CTX *peer_tls;
    struct raft *raft;
    struct raft_effects effects;
    struct refdb *refdb;
    struct replicas *replicas;
    struct events *events; /* covers up to the applied index of refdb */
    struct window window;
    struct message_decoder decoder;
    struct buffer scratch; /* gathers entries of several batches for one frame */

    struct proposals proposals;
    struct proposal_queue *submitting; /* during a SUBMIT step */
    struct reads reads;
    struct changes changes;
    struct digests digests;
    struct snapshots snapshots;

    /* durability, as reported by the writer */
    uint64_t state_generation; /* newest handed over */
    uint64_t durable_generation;
    raft_index log_first_index;
    raft_index durable_index;
    struct raft_send *held; /* messages that wait for something to become durable */
    size_t held_count, held_capacity;

    /* what the core last wanted */
    raft_index commit_index;

    /* bootstrap */
    bool is_empty; /* no log, no vote: takes part in a first election */
    bool is_bootstrap_sent;
    struct peer_identity {
        node_id id;
        bool is_empty;
        bool has_forgotten; /* entries it had acknowledged: to be told at its next HELLO */
        uint64_t incarnation;
        uint64_t boot_count;
        uint64_t features; /* its highest level */
        char client_address[ADDRESS_BYTES_MAX + 1];
        char http_address[ADDRESS_BYTES_MAX + 1];
    } peers[MEMBERS_MAX];
    size_t peer_count;

    /* members this node does not know yet, let in by their newer membership */
    struct guest {
        node_id id;
        raft_index membership_index; /* that they go by */
        uint64_t incarnation;
        char name[NODE_NAME_BYTES_MAX + 1];
    } guests[MEMBERS_MAX];
    unsigned guest_count;
    struct membership reached; /* whom the transport was told to connect with */
    raft_index noted_membership_index, noted_committed_index; /* the transport goes by them */
    bool is_removal_told; /* by others, since a leader was heard */
    bool is_removal_logged;

    /* replicated time: what the log last said, and when we heard it [DESIGN 5] */
    int64_t cluster_base_ms;
    time_ms cluster_heard_ms;

    struct event *timer;
    time_ms timer_ms; /* when it is armed for; 0 = not */
    bool has_more;    /* the next turn must not wait */
    bool is_ready;
    bool is_stopping, is_stopped;
    time_ms stop_by_ms;
    int exit_code;

    void (*flush[4])(void *context);
    void *flush_context[4];
    size_t flush_count;

    time_ms started_ms;
    time_ms leader_heard_ms;
    node_id seen_leader;
    enum raft_role seen_role;
    uint64_t leader_changes_total;
    struct node_histogram sync, commit;
};

/* ---- driver.c ---- */

/* An event of this type that happens now. */
struct raft_event driver_event(const struct node *n, enum raft_event_type type);

/* Steps the core and carries out what it asks for.  Not from inside itself. */
void driver_step(struct node *n, const struct raft_event *event);

/* Sends the messages whose need has become durable. */
void driver_release_held(struct node *n);

/* ---- sending.c ---- */

/* Frames a message, with its entries, towards its receiver.  Lost if not connected. */
void send_message(struct node *n, const struct message *message);

/* ---- applier.c ---- */

/* Applies what is committed and durable, up to a bound per turn. */
void applier_turn(struct node *n);

/* ---- identity.c ---- */

void identity_fill_hello(void *context, struct hello *hello);
enum rk_status identity_check_hello(void *context, const struct hello *hello, struct errmsg *why);
void identity_opened(struct node *n, node_id peer, const struct hello *hello);
void identity_recalled(struct node *n);
/* False for zeros: the first entry was not applied yet. */
bool identity_is_known(const uint8_t cluster_id[CLUSTER_ID_BYTES]);
/* What this node may say it knows; what all members do, as far as all are connected. */
uint32_t identity_feature_level(const struct node *n);
uint32_t identity_common_level(const struct node *n);
/* True once all initial members are connected and empty: may the first election begin. */
bool identity_may_bootstrap(const struct node *n);
/* The first membership: a fresh cluster id and everyone's incarnation. */
void identity_first_membership(struct node *n, struct membership *ret_membership);
/* A membership entry was applied: remember it durably, connect accordingly. */
void identity_learned(struct node *n, const struct membership *membership, raft_index index);
const struct peer_identity *identity_find(const struct node *n, node_id id);
/* The core says that this peer's directory lacks what it had acknowledged: not heard any more. */
void identity_forgetful(struct node *n, node_id peer);

/* ---- joining.c ---- */

/* An empty node meant by name, by a cluster that expects a new directory. */
bool identity_may_join(const struct node *n, const struct hello *hello);
void identity_join(struct node *n, const struct hello *hello);
/* A sender that is no member here.  Errors: REMOVED, OVERLOADED. */
enum rk_status identity_admit_guest(struct node *n, const struct hello *hello,
                                    struct errmsg *why) MUST_USE;
/* It is known, or others say, that this node is no member any more. */
bool node_is_removed(const struct node *n);
/* ... and it has handed its office over, should it have led. */
bool node_is_out(const struct node *n);
/* After a step: the transport follows what is in force or not taken back yet. */
void members_note(struct node *n);
void members_refresh_transport(struct node *n);
void members_refused(void *context, node_id peer, enum rk_status status, const char *text);

/* ---- receiving.c ---- */

/* What was asked of this peer will not be answered. */
void peer_gone(struct node *n, node_id peer);

extern const struct transport_callbacks node_transport_callbacks;

/* ---- recovery.c ---- */

/* Opens the directory, loads the newest snapshot, makes the core. */
enum rk_status recovery_open(struct node *n, struct errmsg *why) MUST_USE;
/* A new core for an empty node that was told its id: a learner of a cluster yet to be learned. */
void recovery_join(struct node *n);

/* ---- node.c ---- */

void node_log(struct node *n, enum node_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Stops the node; the first cause wins. */
void node_halt(struct node *n, int exit_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The log could not be read, or written: which it was says what may help. */
void node_halt_on_disk(struct node *n, enum rk_status status, const char *what,
                       const struct errmsg *why);
void node_turn(struct node *n);
/* What may be proposed.  Errors: PROTOCOL (malformed, or the core's own), TOOLARGE, UNSUPPORTED
 * (unknown here, or not every member knows it yet). */
enum rk_status node_judge_command(const struct node *n, struct slice command) MUST_USE;
raft_index node_fit(void *context, raft_index first, raft_index last, uint64_t bytes_max,
                    uint64_t *ret_bytes);
void node_trace(void *context, const char *text);
int64_t node_cluster_ms(const struct node *n);

/* ---- status.c ---- */

void histogram_add(struct node_histogram *h, int64_t us);
void node_count_commit(struct node *n, int64_t us);

#endif
