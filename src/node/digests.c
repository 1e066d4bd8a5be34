/* SPDX-License-Identifier: Apache-2.0 */
#include "node/digests.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/heap.h"
#include "node/node_internal.h"
#include "sys/clock.h"

#define ASK_AGAIN_MS 1000

bool digests_is_quarantined(const struct node *n)
{
    return n->digests.verdict == NODE_STATE_QUARANTINED;
}

/* ---- Deriving ours anew ---- */

struct deriving {
    struct node *node;
    struct refdb_view *view;
    uint8_t kept[STATE_DIGEST_BYTES];
    uint8_t derived[STATE_DIGEST_BYTES];
};

static void judge(struct node *n);

static void deriving_run(void *job, const struct worker *w)
{
    struct deriving *d = job;

    (void)w;
    refdb_view_digest(d->view, d->derived);
}

static void deriving_done(void *job)
{
    struct deriving *d = job;
    struct node *n = d->node;

    refdb_thaw(n->refdb, d->view);
    n->digests.is_deriving = false;
    n->digests.is_damaged = memcmp(d->kept, d->derived, sizeof d->kept) != 0;
    heap_free(d);
    if (!n->is_stopped) {
        judge(n);
    }
}

/* A freeze at a time: a snapshot being taken goes first. */
static void derive_turn(struct node *n)
{
    struct deriving *d;

    if (!n->digests.is_derive_due || n->snapshots.is_taking || n->snapshots.is_installing ||
        n->digests.is_deriving) {
        return;
    }
    d = heap_new(struct deriving);
    d->node = n;
    refdb_digest(n->refdb, d->kept);
    d->view = refdb_freeze(n->refdb);
    n->digests.is_derive_due = false;
    n->digests.is_deriving = true;
    worker_submit(n->worker, deriving_run, deriving_done, d);
}

/* ---- Judging ---- */

static const uint8_t *digest_of(const struct node *n, node_id id, raft_index index)
{
    for (unsigned i = 0; i < DIGESTS_HEARD_MAX; i++) {
        const struct heard_digest *h = &n->digests.heard[i];

        if (h->id == id && h->index == index) {
            return h->digest;
        }
    }
    return NULL;
}

/* How many voters are known to have `digest` at `index`, this node aside. */
static unsigned count_equal(const struct node *n, raft_index index, const uint8_t *digest)
{
    const struct membership *m = raft_membership(n->raft);
    unsigned count = 0;

    for (unsigned i = 0; i < m->count; i++) {
        const uint8_t *other = (m->members[i].flags & MEMBER_VOTER) == 0
                                   ? NULL
                                   : digest_of(n, m->members[i].id, index);

        count += other != NULL && memcmp(other, digest, STATE_DIGEST_BYTES) == 0;
    }
    return count;
}

/* A majority of all voters has one digest, and it is not ours. */
static bool is_odd(const struct node *n, raft_index index, const uint8_t *ours)
{
    unsigned voters = membership_voter_count(raft_membership(n->raft));

    for (unsigned i = 0; i < DIGESTS_HEARD_MAX; i++) {
        const struct heard_digest *h = &n->digests.heard[i];

        if (h->id != 0 && h->index == index && memcmp(h->digest, ours, sizeof h->digest) != 0 &&
            2 * count_equal(n, index, h->digest) > voters) {
            return true;
        }
    }
    return false;
}

static void set_distrust(struct node *n, bool is_distrusted)
{
    struct raft_event event = driver_event(n, RAFT_DISTRUST);

    event.u.is_distrusted = is_distrusted;
    driver_step(n, &event);
}

static void quarantine(struct node *n, const char *why)
{
    n->digests.verdict = NODE_STATE_QUARANTINED;
    n->digests.asked_ms = 0;
    node_log(n, NODE_LOG_ERROR,
             "the state of this node is not that of the others (index " INDEX_FMT
             ": %s): it serves nothing until it has taken theirs",
             n->digests.differs_index, why);
    set_distrust(n, true);
    proposals_refuse(n);
}

/* After a difference was seen and ours derived anew. */
static void judge(struct node *n)
{
    struct digests *d = &n->digests;
    uint8_t ours[STATE_DIGEST_BYTES];
    bool is_alone = membership_voter_count(raft_membership(n->raft)) == 1;

    if (d->verdict == NODE_STATE_QUARANTINED) {
        return;
    }
    if (d->is_damaged && !is_alone) {
        quarantine(n, "its data is damaged in memory");
    } else if (refdb_digest_at(n->refdb, d->differs_index, ours) &&
               is_odd(n, d->differs_index, ours)) {
        quarantine(n, "a majority agrees on another one");
    }
}

static void note_difference(struct node *n, node_id peer, raft_index index)
{
    struct digests *d = &n->digests;
    const struct member *m = membership_find(raft_membership(n->raft), peer);

    d->differences_total++;
    if (d->differs_index != index) {
        node_log(n, NODE_LOG_ERROR,
                 "the state of %s differs from this node's at index " INDEX_FMT
                 "; ours is derived anew from the data",
                 m == NULL ? "a member" : m->name, index);
    }
    d->differs_index = index;
    d->is_derive_due = true;
    if (d->verdict == NODE_STATE_EQUAL) {
        d->verdict = NODE_STATE_ALARM;
    }
}

/* Holds everything heard at `index` against ours. */
static void compare(struct node *n, raft_index index)
{
    struct digests *d = &n->digests;
    uint8_t ours[STATE_DIGEST_BYTES];
    unsigned equal = 0, different = 0;

    if (d->verdict == NODE_STATE_QUARANTINED || !refdb_digest_at(n->refdb, index, ours)) {
        return;
    }
    for (unsigned i = 0; i < DIGESTS_HEARD_MAX; i++) {
        const struct heard_digest *h = &d->heard[i];

        if (h->id == 0 || h->index != index) {
            continue;
        }
        d->compared_total++;
        if (memcmp(h->digest, ours, sizeof ours) == 0) {
            equal++;
        } else {
            different++;
            note_difference(n, h->id, index);
        }
    }
    if (d->verdict == NODE_STATE_ALARM && different == 0 && index > d->differs_index &&
        equal + 1 >= membership_voter_count(raft_membership(n->raft))) {
        d->verdict = NODE_STATE_EQUAL;
        node_log(n, NODE_LOG_INFO, "all states are equal at index " INDEX_FMT, index);
    }
}

/* ---- Telling ---- */

static void tell(struct node *n, node_id peer, const struct state_digest *digest)
{
    struct buffer *out = transport_output(n->transport, peer);

    if (out != NULL) {
        size_t start = frame_begin(out, FRAME_DIGEST);

        state_digest_encode(out, digest);
        frame_end(out, start);
    }
}

static void announce(struct node *n)
{
    const struct membership *m = raft_membership(n->raft);
    raft_index applied = refdb_applied_index(n->refdb);
    struct state_digest digest = { .index = applied - applied % DIGEST_INTERVAL };

    if (digest.index == n->digests.announced_index || digests_is_quarantined(n) ||
        !refdb_digest_at(n->refdb, digest.index, digest.digest)) {
        return;
    }
    n->digests.announced_index = digest.index;
    for (unsigned i = 0; i < m->count; i++) {
        if (m->members[i].id != n->state.id) {
            tell(n, m->members[i].id, &digest);
        }
    }
    compare(n, digest.index);
}

static void ask_for_state(struct node *n)
{
    struct state_digest digest = { .wants_state = true, .above = n->digests.differs_index };
    time_ms now_ms = clock_monotonic_ms();

    if (!digests_is_quarantined(n) || raft_leader(n->raft) == 0 || n->snapshots.is_loading ||
        n->snapshots.is_installing || now_ms < n->digests.asked_ms + ASK_AGAIN_MS) {
        return;
    }
    if (digest.above < n->snapshots.last_index) {
        digest.above = n->snapshots.last_index;
    }
    n->digests.asked_ms = now_ms;
    tell(n, raft_leader(n->raft), &digest);
}

/* A snapshot young enough goes at once; else one is taken, and the peer asks again. */
static void give_state(struct node *n, node_id peer, raft_index above)
{
    struct raft_event event = driver_event(n, RAFT_SEND_STATE);

    if (raft_role_of(n->raft) != RAFT_LEADER || digests_is_quarantined(n)) {
        return;
    }
    if (n->snapshots.last_index <= above) {
        (void)snapshots_take(n);
        return;
    }
    event.u.send_state.peer = peer;
    event.u.send_state.above = above;
    driver_step(n, &event);
}

void digests_heard(struct node *n, node_id peer, const struct state_digest *heard)
{
    struct digests *d = &n->digests;
    struct heard_digest *h;

    if (heard->wants_state) {
        give_state(n, peer, heard->above);
        return;
    }
    h = &d->heard[d->next_heard];
    d->next_heard = (d->next_heard + 1) % DIGESTS_HEARD_MAX;
    h->id = peer;
    h->index = heard->index;
    memcpy(h->digest, heard->digest, sizeof h->digest);
    compare(n, heard->index);
}

void digests_turn(struct node *n)
{
    announce(n);
    derive_turn(n);
    ask_for_state(n);
}

void digests_installed(struct node *n)
{
    if (!digests_is_quarantined(n)) {
        return;
    }
    n->digests.verdict = NODE_STATE_EQUAL;
    n->digests.is_damaged = false;
    n->digests.healed_total++;
    node_log(n, NODE_LOG_INFO, "the state was taken from the others: this node serves again");
    set_distrust(n, false);
}
