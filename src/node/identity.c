/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who we are, who the others are, and when a first election may begin.  [DESIGN 5]
 *
 * Each data directory has an incarnation, minted at its first start.  The first entry of the
 * log fixes a random cluster id and every member's incarnation; from then on a directory
 * that was wiped, swapped or put back from an old copy is refused under its old name.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "node/node_internal.h"
#include "sys/entropy.h"

bool identity_is_known(const uint8_t cluster_id[CLUSTER_ID_BYTES])
{
    static const uint8_t unknown[CLUSTER_ID_BYTES];

    return memcmp(cluster_id, unknown, CLUSTER_ID_BYTES) != 0;
}

static void copy_text(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from == NULL ? "" : from);
}

/*
 * The incarnation this id has had, as far as anything here knows: an empty directory at the
 * address of one that was removed must not take it for itself.
 */
static uint64_t incarnation_of(const struct node *n, node_id id)
{
    raft_index index = 0;
    const struct member *m = membership_find(raft_membership(n->raft), id);

    if (m == NULL) {
        m = membership_find(raft_committed_membership(n->raft, &index), id);
    }
    for (unsigned i = 0; i < n->guest_count && m == NULL; i++) {
        if (n->guests[i].id == id) {
            return n->guests[i].incarnation;
        }
    }
    return m == NULL ? n->state.incarnation : m->incarnation; /* nobody else has ours */
}

uint32_t identity_feature_level(const struct node *n)
{
    return n->options.holds_back_features && n->options.feature_level_max < FEATURE_LEVEL_NEWEST
               ? n->options.feature_level_max
               : FEATURE_LEVEL_NEWEST;
}

void identity_fill_hello(void *context, struct hello *hello)
{
    const struct node *n = context;
    char target_name[sizeof hello->target_name];

    memcpy(target_name, hello->target_name, sizeof target_name);
    *hello = (struct hello){
        .target = hello->target, /* set by the transport */
        .version_min = PROTOCOL_VERSION,
        .version_max = PROTOCOL_VERSION,
        .sender = n->state.id,
        .incarnation = n->state.incarnation,
        .features = identity_feature_level(n),
        .boot_count = n->state.boot_count,
        .is_empty = n->is_empty,
        .membership_index = raft_membership_index(n->raft),
        .target_incarnation = incarnation_of(n, hello->target),
    };
    memcpy(hello->target_name, target_name, sizeof target_name);
    memcpy(hello->cluster_id, n->state.cluster_id, CLUSTER_ID_BYTES);
    copy_text(hello->sender_name, sizeof hello->sender_name, n->options.name);
    copy_text(hello->client_address, sizeof hello->client_address, n->options.advertise_client);
    copy_text(hello->http_address, sizeof hello->http_address, n->options.advertise_http);
}

const struct peer_identity *identity_find(const struct node *n, node_id id)
{
    for (size_t i = 0; i < n->peer_count; i++) {
        if (n->peers[i].id == id) {
            return &n->peers[i];
        }
    }
    return NULL;
}

/* Told once each time: with the right directory it is welcome. */
static bool is_forgetful(struct node *n, const struct hello *hello, struct errmsg *why)
{
    for (size_t i = 0; i < n->peer_count; i++) {
        struct peer_identity *p = &n->peers[i];

        if (p->id == hello->sender && p->has_forgotten && p->incarnation == hello->incarnation) {
            p->has_forgotten = false;
            errmsg_set(why,
                       "the data directory of %s was put back from an older copy: entries it had "
                       "acknowledged are missing; put the right one back, or empty it and run "
                       "`refkeeper member replace`",
                       hello->sender_name);
            return true;
        }
    }
    return false;
}

/* The sender's word against what is known of it. */
static enum rk_status check_member(const struct node *n, const struct member *member,
                                   const struct hello *hello, struct errmsg *why)
{
    const struct peer_identity *seen = identity_find(n, hello->sender);

    if (member->incarnation != 0 && member->incarnation != hello->incarnation) {
        errmsg_set(why,
                   "%s has another data directory than the one this cluster knows; "
                   "it must be replaced as a member, not restarted empty",
                   hello->sender_name);
        return RK_FOREIGN;
    }
    if (seen != NULL && seen->incarnation == hello->incarnation &&
        hello->boot_count < seen->boot_count) {
        errmsg_set(why, "the data directory of %s was put back from an older copy",
                   hello->sender_name);
        return RK_FOREIGN;
    }
    return RK_OK;
}

enum rk_status identity_check_hello(void *context, const struct hello *hello, struct errmsg *why)
{
    struct node *n = context;
    const struct member *member;

    if (identity_may_join(n, hello)) {
        identity_join(n, hello);
    }
    if (identity_is_known(n->state.cluster_id) && identity_is_known(hello->cluster_id) &&
        memcmp(n->state.cluster_id, hello->cluster_id, CLUSTER_ID_BYTES) != 0) {
        errmsg_set(why, "%s belongs to another cluster; check its data directory and members",
                   hello->sender_name);
        return RK_FOREIGN;
    }
    if (hello->target != n->state.id || hello->sender == n->state.id) {
        return RK_OK; /* the transport says so */
    }
    if (hello->features < raft_membership(n->raft)->feature_level) {
        errmsg_set(why,
                   "%s knows features up to level %llu, this cluster uses level %u: install a "
                   "newer version there",
                   hello->sender_name, (unsigned long long)hello->features,
                   raft_membership(n->raft)->feature_level);
        return RK_UNSUPPORTED;
    }
    if (hello->target_incarnation != 0 && hello->target_incarnation != n->state.incarnation) {
        errmsg_set(why, "%s has another data directory than the one %s knows", n->options.name,
                   hello->sender_name);
        return RK_FOREIGN;
    }
    if (is_forgetful(n, hello, why)) {
        return RK_CORRUPT;
    }
    member = membership_find(raft_membership(n->raft), hello->sender);
    return member == NULL ? identity_admit_guest(n, hello, why)
                          : check_member(n, member, hello, why);
}

/* A slot of somebody who is no member any more is used again. */
static struct peer_identity *identity_slot(struct node *n, node_id peer)
{
    const struct membership *m = raft_membership(n->raft);

    for (size_t i = 0; i < n->peer_count; i++) {
        if (n->peers[i].id == peer) {
            return &n->peers[i];
        }
    }
    if (n->peer_count < MEMBERS_MAX) {
        return &n->peers[n->peer_count++];
    }
    for (size_t i = 0; i < n->peer_count; i++) {
        if (membership_find(m, n->peers[i].id) == NULL) {
            return &n->peers[i];
        }
    }
    return NULL;
}

/* What was seen of the others before this start. */
void identity_recalled(struct node *n)
{
    n->peer_count = n->state.peer_count;
    for (unsigned i = 0; i < n->state.peer_count; i++) {
        n->peers[i].id = n->state.peers[i].id;
        n->peers[i].incarnation = n->state.peers[i].incarnation;
        n->peers[i].boot_count = n->state.peers[i].boot_count;
    }
}

/* Durable, so that a directory put back from a copy is found out also after a restart of ours.
 * Whoever is no member any more makes room. */
static void remember(struct node *n, const struct peer_identity *p)
{
    struct persistent_state *state = &n->state;
    unsigned kept = 0;

    for (unsigned i = 0; i < state->peer_count; i++) {
        const struct storage_peer *known = &state->peers[i];

        if (known->id == p->id && known->incarnation == p->incarnation &&
            known->boot_count == p->boot_count) {
            return;
        }
        if (known->id != p->id && membership_find(raft_membership(n->raft), known->id) != NULL) {
            state->peers[kept++] = *known;
        }
    }
    if (kept < MEMBERS_MAX) {
        state->peers[kept++] = (struct storage_peer){ p->id, p->incarnation, p->boot_count };
    }
    state->peer_count = kept;
    writer_save_state(n->writer, state, n->state_generation);
}

void identity_opened(struct node *n, node_id peer, const struct hello *hello)
{
    struct peer_identity *p = identity_slot(n, peer);

    if (p == NULL) {
        return;
    }
    p->id = peer;
    p->is_empty = hello->is_empty;
    p->incarnation = hello->incarnation;
    p->boot_count = hello->boot_count;
    p->features = hello->features;
    copy_text(p->client_address, sizeof p->client_address, hello->client_address);
    copy_text(p->http_address, sizeof p->http_address, hello->http_address);
    n->changes.is_identity_due = true;
    remember(n, p);
}

void identity_forgetful(struct node *n, node_id peer)
{
    const struct member *member = membership_find(raft_membership(n->raft), peer);
    struct peer_identity *p = identity_slot(n, peer);

    node_log(n, NODE_LOG_ERROR,
             "%s has lost entries it had acknowledged: its data directory was put back from an "
             "older copy, or its disk does not keep what it says; it is refused",
             member == NULL ? "?" : member->name);
    if (p != NULL && p->id == peer) {
        p->has_forgotten = true;
    }
    transport_drop(n->transport, peer, "it has lost entries it had acknowledged");
}

bool identity_may_bootstrap(const struct node *n)
{
    const struct membership *m = raft_membership(n->raft);

    if (!n->is_empty || n->is_bootstrap_sent || n->options.is_joining ||
        identity_is_known(n->state.cluster_id)) {
        return false;
    }
    for (unsigned i = 0; i < m->count; i++) {
        const struct peer_identity *p = identity_find(n, m->members[i].id);

        if (m->members[i].id == n->state.id) {
            continue;
        }
        if (p == NULL || !p->is_empty || !transport_is_connected(n->transport, p->id)) {
            return false;
        }
    }
    return true;
}

uint32_t identity_common_level(const struct node *n)
{
    const struct membership *m = raft_membership(n->raft);
    uint64_t level = identity_feature_level(n);

    for (unsigned i = 0; i < m->count; i++) {
        const struct peer_identity *p = identity_find(n, m->members[i].id);

        if (m->members[i].id == n->state.id) {
            continue;
        }
        if (p == NULL || !transport_is_connected(n->transport, p->id)) {
            return m->feature_level; /* not known */
        }
        level = p->features < level ? p->features : level;
    }
    return level > m->feature_level ? (uint32_t)level : m->feature_level;
}

void identity_first_membership(struct node *n, struct membership *ret_membership)
{
    *ret_membership = *raft_membership(n->raft);
    entropy_fill(ret_membership->cluster_id, CLUSTER_ID_BYTES);
    ret_membership->feature_level = identity_common_level(n);
    for (unsigned i = 0; i < ret_membership->count; i++) {
        struct member *m = &ret_membership->members[i];
        const struct peer_identity *p = identity_find(n, m->id);

        if (m->id == n->state.id) {
            m->incarnation = n->state.incarnation;
            copy_text(m->client_address, sizeof m->client_address, n->options.advertise_client);
            copy_text(m->http_address, sizeof m->http_address, n->options.advertise_http);
        } else if (p != NULL) {
            m->incarnation = p->incarnation;
            copy_text(m->client_address, sizeof m->client_address, p->client_address);
            copy_text(m->http_address, sizeof m->http_address, p->http_address);
        }
    }
}

void identity_learned(struct node *n, const struct membership *membership, raft_index index)
{
    memcpy(n->state.cluster_id, membership->cluster_id, CLUSTER_ID_BYTES);
    n->state.committed_membership = *membership;
    n->state.committed_membership_index = index;
    n->state.latest_membership = *membership;
    n->state.latest_membership_index = index;
    n->state.feature_level = membership->feature_level;
    writer_save_state(n->writer, &n->state, n->state_generation);
    if (membership->feature_level > FEATURE_LEVEL_NEWEST) {
        node_halt(n, 1,
                  "the cluster uses features of level %u, this version knows those up to %u: "
                  "install a newer one",
                  membership->feature_level, FEATURE_LEVEL_NEWEST);
    }
}
