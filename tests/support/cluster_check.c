/* SPDX-License-Identifier: Apache-2.0 */
/* The properties that must hold whatever happens [paper fig 3]. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "raft/raft_internal.h"
#include "support/cluster_internal.h"

void sim_fail(struct cluster *c, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "# at %" PRId64 " ms, step %" PRIu64 ": ", c->now_ms, c->steps);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n# again: %s\n", c->options.replay != NULL ? c->options.replay : "-");
    abort();
}

static bool entries_equal(const struct sim_entry *a, const struct sim_entry *b)
{
    return a->term == b->term && a->value == b->value;
}

/* ---- Leaders ---- */

/* While somebody has a lease nobody is elected after it [thesis 6.4.1]. */
static void check_leases(const struct sim_node *elected)
{
    struct cluster *c = elected->cluster;

    for (unsigned i = 1; i <= c->node_count; i++) {
        const struct sim_node *n = &c->nodes[i];

        if (n->is_up && n != elected &&
            raft_current_term(n->raft) < raft_current_term(elected->raft) &&
            raft_lease_until_ms(n->raft) > c->now_ms) {
            sim_fail(c,
                     "%" PRIu64 " is elected, and %" PRIu64 " has a lease for %" PRId64 " ms more",
                     elected->id, n->id, raft_lease_until_ms(n->raft) - c->now_ms);
        }
    }
}

/* Leader completeness: all that was ever committed is in its log or snapshot. */
static void check_new_leader(struct sim_node *n)
{
    struct cluster *c = n->cluster;
    raft_term term = raft_current_term(n->raft);

    c->elections++;
    if (term >= TERMS_MAX) {
        sim_fail(c, "terms ran away: %" PRIu64, term);
    }
    if (c->leaders[term] != 0 && c->leaders[term] != n->id) {
        sim_fail(c, "two leaders in term %" PRIu64 ": %" PRIu64 " and %" PRIu64, term,
                 c->leaders[term], n->id);
    }
    c->leaders[term] = n->id;
    check_leases(n);
    for (raft_index i = n->log.first; i <= sim_log_last(&c->committed); i++) {
        const struct sim_entry *e = sim_log_at(&n->log, i);
        const struct sim_entry *known = sim_log_at(&c->committed, i);

        if (known->committed_in >= term) {
            break; /* a late leader: deposed already, it will find out */
        }
        if (e == NULL || !entries_equal(e, known)) {
            sim_fail(c, "leader %" PRIu64 " of term %" PRIu64 " lacks the committed entry %" PRIu64,
                     n->id, term, i);
        }
    }
}

/* ---- Commits ---- */

static bool is_durable_at(const struct sim_node *n, raft_index index, raft_term term)
{
    return sim_disk_term_at(&n->disk, index) == term || n->disk.snapshot.last_index >= index;
}

/* More than half of these voters' disks, of running and of crashed nodes, hold the entry. */
static void check_half(struct sim_node *n, raft_index index, raft_term term, unsigned half)
{
    struct cluster *c = n->cluster;
    const struct membership *m = raft_membership(n->raft);
    unsigned held = 0;
    unsigned voters = 0;

    for (unsigned i = 0; i < m->count; i++) {
        if ((m->members[i].flags & half) != 0) {
            voters++;
            held += is_durable_at(&c->nodes[m->members[i].id], index, term);
        }
    }
    if (2 * held <= voters) {
        sim_fail(c, "leader %" PRIu64 " commits %" PRIu64 "^%" PRIu64 ", durable on %u of %u",
                 n->id, index, term, held, voters);
    }
}

static void check_majority(struct sim_node *n, raft_index index, raft_term term)
{
    struct cluster *c = n->cluster;
    if (term != raft_current_term(n->raft)) {
        sim_fail(
            c, "leader %" PRIu64 " of term %" PRIu64 " commits %" PRIu64 "^%" PRIu64 " by counting",
            n->id, raft_current_term(n->raft), index, term);
    }
    check_half(n, index, term, MEMBER_VOTER);
    check_half(n, index, term, MEMBER_VOTER_OLD);
}

static void check_commit(struct sim_node *n)
{
    struct cluster *c = n->cluster;
    raft_index commit = raft_commit_index(n->raft);

    if (commit < n->known_commit) {
        sim_fail(c, "commit index of %" PRIu64 " went back", n->id);
    }
    for (raft_index i = n->known_commit + 1; i <= commit; i++) {
        const struct sim_entry *e = sim_log_at(&n->log, i);
        const struct sim_entry *known = sim_log_at(&c->committed, i);

        if (e == NULL) {
            continue; /* covered by a snapshot; checked when installed */
        }
        if (known == NULL) {
            struct sim_entry fresh = *e;

            fresh.committed_in = raft_current_term(n->raft);
            sim_log_append(&c->committed, &fresh);
        } else if (!entries_equal(e, known)) {
            sim_fail(c,
                     "%" PRIu64 " commits %" PRIu64 "^%" PRIu64 " where %" PRIu64 "^%" PRIu64
                     " was committed",
                     n->id, i, e->term, i, known->term);
        }
    }
    if (commit > n->known_commit && raft_role_of(n->raft) == RAFT_LEADER) {
        check_majority(n, commit, raft_term_at(n->raft, commit));
    }
    n->known_commit = commit;
}

void sim_check_applied(struct sim_node *n, raft_index index)
{
    const struct sim_entry *e = sim_log_at(&n->log, index);
    const struct sim_entry *known = sim_log_at(&n->cluster->committed, index);

    if (e == NULL || known == NULL || !entries_equal(e, known)) {
        sim_fail(n->cluster, "%" PRIu64 " applies another entry at %" PRIu64, n->id, index);
    }
}

/* ---- Messages ---- */

static void check_vote(struct sim_node *n, raft_term term, node_id candidate)
{
    struct cluster *c = n->cluster;

    if (term >= TERMS_MAX) {
        sim_fail(c, "terms ran away: %" PRIu64, term);
    }
    if (c->votes[n->id][term] != 0 && c->votes[n->id][term] != candidate) {
        sim_fail(c, "%" PRIu64 " votes for %" PRIu64 " and %" PRIu64 " in term %" PRIu64, n->id,
                 c->votes[n->id][term], candidate, term);
    }
    c->votes[n->id][term] = candidate;
    if (n->disk.hard_state.current_term < term ||
        (n->disk.hard_state.current_term == term && n->disk.hard_state.voted_for != candidate)) {
        sim_fail(c, "the vote of %" PRIu64 " for %" PRIu64 " in term %" PRIu64 " is not durable",
                 n->id, candidate, term);
    }
}

static bool is_of_future_term(const struct message *m)
{
    return (m->type == MESSAGE_REQUEST_VOTE && m->u.request_vote.is_pre_vote) ||
           (m->type == MESSAGE_REQUEST_VOTE_REPLY && m->u.request_vote_reply.is_pre_vote &&
            m->u.request_vote_reply.is_granted);
}

void sim_check_leaving(struct sim_node *n, const struct sim_message *envelope)
{
    const struct message *m = &envelope->message;

    if (!is_of_future_term(m) && m->term > n->disk.hard_state.current_term) {
        sim_fail(n->cluster, "%s of %" PRIu64 " leaves before its term %" PRIu64 " is durable",
                 message_type_name(m->type), n->id, m->term);
    }
    if (m->type == MESSAGE_REQUEST_VOTE_REPLY && m->u.request_vote_reply.is_granted &&
        !m->u.request_vote_reply.is_pre_vote) {
        check_vote(n, m->term, m->to);
    }
    if (m->type == MESSAGE_REQUEST_VOTE && !m->u.request_vote.is_pre_vote) {
        check_vote(n, m->term, n->id);
    }
    if (m->type == MESSAGE_APPEND_ENTRIES_REPLY &&
        m->u.append_entries_reply.promised_ms > n->disk.hard_state.promised_ms) {
        sim_fail(n->cluster, "%" PRIu64 " tells a promise that is not durable", n->id);
    }
    if (m->type == MESSAGE_APPEND_ENTRIES_REPLY && m->u.append_entries_reply.is_success &&
        m->u.append_entries_reply.match_index > sim_log_last(&n->disk.log)) {
        sim_fail(n->cluster, "%" PRIu64 " acknowledges %" PRIu64 ", durable is %" PRIu64, n->id,
                 m->u.append_entries_reply.match_index, sim_log_last(&n->disk.log));
    }
}

/* ---- Reads ---- */

void sim_check_read(struct sim_node *n, const struct raft_read *read)
{
    struct cluster *c = n->cluster;
    size_t i = 0;

    while (i < c->read_count && c->reads[i].token != read->token) {
        i++;
    }
    if (i == c->read_count || c->reads[i].node != n->id || c->reads[i].boot != n->boot) {
        sim_fail(c, "%" PRIu64 " answers a read nobody waits for", n->id);
    }
    if (read->status != RK_OK) {
        c->reads_failed++;
    } else {
        c->reads_ok++;
        if (read->read_index < c->reads[i].committed) {
            sim_fail(c,
                     "a read at %" PRIu64 " gets index %" PRIu64 ", %" PRIu64
                     " was committed before it began",
                     n->id, read->read_index, c->reads[i].committed);
        }
    }
    c->reads[i] = c->reads[--c->read_count];
}

/* ---- All ---- */

void sim_check_step(struct sim_node *n)
{
    enum raft_role role = raft_role_of(n->raft);

    n->cluster->steps++;
    raft_check_invariants_deep(n->raft);
    check_commit(n);
    if (role == RAFT_LEADER && n->known_role != RAFT_LEADER) {
        check_new_leader(n);
    }
    n->known_role = role;
}

static void check_pair(struct cluster *c, const struct sim_node *a, const struct sim_node *b)
{
    raft_index last_a = sim_log_last(&a->log);
    raft_index i = sim_log_last(&b->log) < last_a ? sim_log_last(&b->log) : last_a;
    bool is_agreed = false;

    for (; i >= a->log.first && i >= b->log.first && i > 0; i--) {
        const struct sim_entry *x = sim_log_at(&a->log, i);
        const struct sim_entry *y = sim_log_at(&b->log, i);

        is_agreed = is_agreed || x->term == y->term;
        if (is_agreed && !entries_equal(x, y)) {
            sim_fail(c, "logs of %" PRIu64 " and %" PRIu64 " agree above %" PRIu64 " but not there",
                     a->id, b->id, i);
        }
    }
}

void cluster_check_logs(struct cluster *c)
{
    for (unsigned a = 1; a <= c->node_count; a++) {
        for (unsigned b = a + 1; b <= c->node_count; b++) {
            if (c->nodes[a].is_up && c->nodes[b].is_up) {
                check_pair(c, &c->nodes[a], &c->nodes[b]);
            }
        }
    }
}
