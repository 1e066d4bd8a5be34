/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must hold whatever happens [paper fig 3], looked at where the node calls the core, the
 * storage and the map: the program is linked with --wrap for those calls.
 */
#include "base/assert.h"
#include "base/crc.h"
#include "base/heap.h"
#include "node/node_internal.h"
#include "sim/sim.h"

#define TERMS_MAX 1000000
#define IN_FLIGHT_MAX (64 * MIB)
#define HELD_MAX 10000
#define TURNS_PER_SECOND_MAX 50000

/* What is known of an index that was committed. */
struct committed {
    raft_term term;
    raft_term committed_in; /* current term of whom we heard it from first */
    bool is_applied;
    uint32_t content; /* CRC of the command */
    uint64_t digest;  /* of the state after it */
};

/* An entry some log held at an index. */
struct variant {
    struct variant *next;
    raft_term term, previous_term;
    uint32_t crc;
};

static struct {
    struct committed *committed; /* [index] */
    raft_index committed_last, capacity;
    struct variant **variants; /* [index] */
    node_id *leaders;          /* [term] */
    node_id *votes[MACHINES_MAX + 1];
    raft_term term_capacity;
    raft_term *appended[MACHINES_MAX + 1]; /* [index]: term last appended there */
    raft_index appended_capacity[MACHINES_MAX + 1];
    uint64_t *executed; /* hash set of session << 32 | sequence */
    size_t executed_count, executed_capacity;
} seen;

/* ---- Tables that grow ---- */

static void *grow_zeroed(void *old, size_t had, size_t has, size_t size)
{
    uint8_t *grown = heap_grow(old, has * size);

    memset(grown + had * size, 0, (has - had) * size);
    return grown;
}

static size_t larger(size_t capacity, uint64_t needed)
{
    size_t grown = capacity == 0 ? 1024 : capacity;

    while (grown <= needed) {
        grown *= 2;
    }
    return grown;
}

static void reach_index(raft_index index)
{
    size_t grown = larger(seen.capacity, index);

    if (grown != seen.capacity) {
        seen.committed = grow_zeroed(seen.committed, seen.capacity, grown,
                                     sizeof seen.committed[0]);
        seen.variants = grow_zeroed(seen.variants, seen.capacity, grown, sizeof(struct variant *));
        seen.capacity = grown;
    }
}

static void reach_term(raft_term term)
{
    size_t grown = larger(seen.term_capacity, term);

    if (term > TERMS_MAX) {
        sim_fail("terms ran away: %" PRIu64, term);
    }
    if (grown != seen.term_capacity) {
        seen.leaders = grow_zeroed(seen.leaders, seen.term_capacity, grown, sizeof(node_id));
        for (unsigned i = 1; i <= MACHINES_MAX; i++) {
            seen.votes[i] = grow_zeroed(seen.votes[i], seen.term_capacity, grown, sizeof(node_id));
        }
        seen.term_capacity = grown;
    }
}

/* ---- Votes and leaders ---- */

void checks_note_vote(struct machine *m, raft_term term, node_id candidate)
{
    reach_term(term);
    if (seen.votes[m->id][term] != 0 && seen.votes[m->id][term] != candidate) {
        sim_fail("%s votes for %" PRIu64 " in term %" PRIu64 ", after %" PRIu64, m->name, candidate,
                 term, seen.votes[m->id][term]);
    }
    seen.votes[m->id][term] = candidate;
}

/* All that was committed in earlier terms is in its log. */
static void check_completeness(const struct machine *m, const struct raft *r)
{
    raft_term term = raft_current_term(r);
    struct raft_status status;

    raft_get_status(r, &status);
    for (raft_index i = status.log_first_index; i <= seen.committed_last; i++) {
        const struct committed *c = &seen.committed[i];

        if (c->committed_in < term && c->term != 0 && raft_term_at(r, i) != c->term) {
            sim_fail("%s leads in term %" PRIu64 " without the committed entry %" PRIu64 "^%" PRIu64
                     " (has term %" PRIu64 ")",
                     m->name, term, i, c->term, raft_term_at(r, i));
        }
    }
}

/* While somebody has a lease nobody is elected after it [thesis 6.4.1]. */
static void check_leases(struct machine *elected, const struct raft *r)
{
    for (unsigned i = 1; i <= sim->machine_count; i++) {
        struct machine *m = &sim->machines[i];
        time_ms left_ms;

        if (m == elected || m->node == NULL || m->is_dying ||
            raft_current_term(m->node->raft) >= raft_current_term(r)) {
            continue;
        }
        sim->current = m;
        left_ms = raft_lease_until_ms(m->node->raft) - driver_event(m->node, RAFT_TURN).steady_ms;
        sim->current = elected;
        if (left_ms > 0) {
            sim_fail("%s is elected in term %" PRIu64 ", and %s has a lease for %" PRId64
                     " ms more",
                     elected->name, raft_current_term(r), m->name, left_ms);
        }
    }
}

static void note_leader(struct machine *m, const struct raft *r)
{
    raft_term term = raft_current_term(r);

    reach_term(term);
    if (seen.leaders[term] != 0 && seen.leaders[term] != m->node->state.id) {
        sim_fail("two leaders in term %" PRIu64 ": %" PRIu64 " and %s", term, seen.leaders[term],
                 m->name);
    }
    sim->elections += seen.leaders[term] == 0;
    seen.leaders[term] = m->node->state.id;
    m->leader_since_us = sim->now_us;
    checks_note_vote(m, term, m->node->state.id);
    check_completeness(m, r);
    check_leases(m, r);
}

/* ---- Commits ---- */

static void note_commits(struct machine *m, const struct raft *r, raft_index commit)
{
    if (commit < m->known_commit) {
        sim_fail("the commit index of %s goes back from %" PRIu64 " to %" PRIu64, m->name,
                 m->known_commit, commit);
    }
    if (commit > m->known_commit && raft_role_of(r) == RAFT_LEADER &&
        raft_term_at(r, commit) != raft_current_term(r)) {
        sim_fail("%s commits %" PRIu64 "^%" PRIu64 " of an older term by counting", m->name, commit,
                 raft_term_at(r, commit));
    }
    reach_index(commit);
    for (raft_index i = m->known_commit + 1; i <= commit; i++) {
        raft_term term = raft_term_at(r, i);
        struct committed *c = &seen.committed[i];

        if (term == 0) {
            continue; /* covered by a snapshot */
        }
        if (c->term == 0) {
            c->term = term;
            c->committed_in = raft_current_term(r);
        } else if (c->term != term) {
            sim_fail("%s commits %" PRIu64 "^%" PRIu64 " where term %" PRIu64 " was committed",
                     m->name, i, term, c->term);
        }
    }
    seen.committed_last = commit > seen.committed_last ? commit : seen.committed_last;
    m->known_commit = commit;
}

void __wrap_raft_step(struct raft *r, const struct raft_event *event, struct raft_effects *effects);
void __real_raft_step(struct raft *r, const struct raft_event *event, struct raft_effects *effects);

void __wrap_raft_step(struct raft *r, const struct raft_event *event, struct raft_effects *effects)
{
    bool was_leader = raft_role_of(r) == RAFT_LEADER;
    struct machine *m = sim->current;

    __real_raft_step(r, event, effects);
    if (effects->halt != NULL) {
        sim_fail("%s: %s", m->name, effects->halt);
    }
    if (was_leader && raft_role_of(r) != RAFT_LEADER && event->type == RAFT_RECEIVE &&
        event->u.receive->type == MESSAGE_REQUEST_VOTE &&
        !event->u.receive->u.request_vote.is_transfer) {
        sim_fail("%s, which leads, is unseated by the campaign of %" PRIu64, m->name,
                 event->u.receive->from); /* [thesis 4.2.3] */
    }
    if (!was_leader && raft_role_of(r) == RAFT_LEADER) {
        note_leader(m, r);
    }
    if (effects->commit_index != m->known_commit) {
        note_commits(m, r, effects->commit_index);
    }
}

static void note_acknowledged(struct machine *m, raft_index index)
{
    m->acknowledged = index > m->acknowledged ? index : m->acknowledged;
}

void __wrap_send_message(struct node *n, const struct message *message);
void __real_send_message(struct node *n, const struct message *message);

/* A vote counts once it has left: before that a crash may forget it. */
void __wrap_send_message(struct node *n, const struct message *message)
{
    if (message->type == MESSAGE_REQUEST_VOTE_REPLY && message->u.request_vote_reply.is_granted &&
        !message->u.request_vote_reply.is_pre_vote) {
        checks_note_vote(sim->current, message->term, message->to);
    }
    if (message->type == MESSAGE_APPEND_ENTRIES_REPLY &&
        message->u.append_entries_reply.is_success) {
        note_acknowledged(sim->current, message->u.append_entries_reply.match_index);
    }
    __real_send_message(n, message);
}

/* ---- Logs: an index and a term name one entry, and one history before it ---- */

static raft_term *appended_at(struct machine *m, raft_index index)
{
    size_t grown = larger(seen.appended_capacity[m->id], index);

    if (grown != seen.appended_capacity[m->id]) {
        seen.appended[m->id] = grow_zeroed(seen.appended[m->id], seen.appended_capacity[m->id],
                                           grown, sizeof(raft_term));
        seen.appended_capacity[m->id] = grown;
    }
    return &seen.appended[m->id][index];
}

static void note_appended(struct machine *m, const struct storage_record *record, uint32_t crc)
{
    raft_term previous = record->index == 1 ? 0 : *appended_at(m, record->index - 1);
    struct variant *v;

    reach_index(record->index);
    *appended_at(m, record->index) = record->term;
    for (v = seen.variants[record->index]; v != NULL; v = v->next) {
        if (v->term != record->term) {
            continue;
        }
        if (v->crc != crc ||
            (v->previous_term != previous && previous != 0 && v->previous_term != 0)) {
            sim_fail("%s appends another %" PRIu64 "^%" PRIu64 " than was seen elsewhere", m->name,
                     record->index, record->term);
        }
        return;
    }
    v = heap_new(struct variant);
    *v = (struct variant){ seen.variants[record->index], record->term, previous, crc };
    seen.variants[record->index] = v;
}

enum rk_status __wrap_storage_append(struct storage *s, struct slice bytes,
                                     const struct storage_record *records, size_t count,
                                     struct errmsg *why);
enum rk_status __real_storage_append(struct storage *s, struct slice bytes,
                                     const struct storage_record *records, size_t count,
                                     struct errmsg *why);

enum rk_status __wrap_storage_append(struct storage *s, struct slice bytes,
                                     const struct storage_record *records, size_t count,
                                     struct errmsg *why)
{
    size_t at = 0;

    for (size_t i = 0; i < count; i++) {
        note_appended(sim->current, &records[i], get_be32(bytes.data + at + 16));
        at += records[i].size;
    }
    return __real_storage_append(s, bytes, records, count, why);
}

enum rk_status __wrap_storage_truncate(struct storage *s, raft_index from, struct errmsg *why);
enum rk_status __real_storage_truncate(struct storage *s, raft_index from, struct errmsg *why);

/* A leader has others at these indexes: what was said of them is void. */
enum rk_status __wrap_storage_truncate(struct storage *s, raft_index from, struct errmsg *why)
{
    struct machine *m = sim->current;

    m->acknowledged = m->acknowledged < from ? m->acknowledged : from - 1;
    return __real_storage_truncate(s, from, why);
}

enum rk_status __wrap_storage_install(struct storage *s, raft_index last_index, raft_term last_term,
                                      bool keeps_suffix, struct errmsg *why);
enum rk_status __real_storage_install(struct storage *s, raft_index last_index, raft_term last_term,
                                      bool keeps_suffix, struct errmsg *why);

enum rk_status __wrap_storage_install(struct storage *s, raft_index last_index, raft_term last_term,
                                      bool keeps_suffix, struct errmsg *why)
{
    struct machine *m = sim->current;
    enum rk_status status;

    *appended_at(m, last_index) = last_term;
    if (!keeps_suffix && m->acknowledged > last_index) {
        m->acknowledged = last_index; /* the installing leader has others after it */
    }
    status = __real_storage_install(s, last_index, last_term, keeps_suffix, why);
    if (status == RK_OK) {
        note_acknowledged(m, last_index); /* not before: it may be killed on the way, unheard */
    }
    return status;
}

/* ---- The map ---- */

static bool executed_put(uint64_t key)
{
    size_t i = key * 0x9e3779b97f4a7c15ULL & (seen.executed_capacity - 1);

    while (seen.executed[i] != 0) {
        if (seen.executed[i] == key) {
            return false;
        }
        i = (i + 1) & (seen.executed_capacity - 1);
    }
    seen.executed[i] = key;
    return true;
}

/* A write of a session has an effect once. */
static void note_executed(const struct entry *entry, const struct refdb_result *result)
{
    struct command command;
    const struct envelope *e = &command.u.envelope.envelope;

    if (command_decode(entry->command, &command) != RK_OK || command.tag != COMMAND_ENVELOPE ||
        (e->flags & ENVELOPE_HAS_SESSION) == 0 || result->is_replay ||
        result->status == RK_EXPIRED) {
        return;
    }
    if (2 * seen.executed_count >= seen.executed_capacity) {
        uint64_t *old = seen.executed;
        size_t capacity = seen.executed_capacity;

        seen.executed_capacity = capacity == 0 ? 4096 : 2 * capacity;
        seen.executed = heap_zalloc(seen.executed_capacity * sizeof seen.executed[0]);
        for (size_t i = 0; i < capacity; i++) {
            if (old[i] != 0) {
                (void)executed_put(old[i]);
            }
        }
        heap_free(old);
    }
    seen.executed_count++;
    if (!executed_put(e->session << 32 | e->sequence)) {
        sim_fail("request %" PRIu64 " of session %" PRIu64 " is executed twice, again at %" PRIu64,
                 e->sequence, e->session, entry->index);
    }
}

static uint64_t digest_of(const struct refdb *db)
{
    uint8_t digest[16];

    refdb_digest(db, digest);
    return get_be64(digest) ^ get_be64(digest + 8);
}

enum rk_status __wrap_refdb_apply(struct refdb *db, const struct entry *entry,
                                  struct refdb_result *ret_result);
enum rk_status __real_refdb_apply(struct refdb *db, const struct entry *entry,
                                  struct refdb_result *ret_result);

enum rk_status __wrap_refdb_apply(struct refdb *db, const struct entry *entry,
                                  struct refdb_result *ret_result)
{
    uint32_t content = crc_add(0, entry->command);
    enum rk_status status = __real_refdb_apply(db, entry, ret_result);
    struct committed *c = &seen.committed[entry->index];
    uint64_t digest = digest_of(db);

    if (entry->index > seen.committed_last || c->term != entry->term) {
        sim_fail("%s applies %" PRIu64 "^%" PRIu64 ", which was not committed", sim->current->name,
                 entry->index, entry->term);
    }
    if (!c->is_applied) {
        c->is_applied = true;
        c->content = content;
        c->digest = digest;
        note_executed(entry, ret_result);
        sim_note(digest);
    } else if (c->content != content) {
        sim_fail("%s applies another command at %" PRIu64 " than others did", sim->current->name,
                 entry->index);
    } else if (c->digest != digest) {
        sim_fail("the state of %s differs from others' after %" PRIu64, sim->current->name,
                 entry->index);
    }
    return status;
}

/* ---- Once a turn, and at the end ---- */

void checks_heard(struct machine *m, const struct machine *from)
{
    m->heard_us[from->id] = sim->now_us;
}

void checks_forget(struct machine *m)
{
    m->acknowledged = 0;
    memset(seen.votes[m->id], 0, seen.term_capacity * sizeof(node_id));
    memset(seen.appended[m->id], 0, seen.appended_capacity[m->id] * sizeof(raft_term));
}

void checks_started(struct machine *m)
{
    const struct node *n = m->node;
    bool is_damaged = raft_is_repairing(n->raft); /* it knows, and fetches them again */

    if (is_damaged && !m->is_spoilt) {
        sim_fail("%s finds damage in files nobody spoilt", m->name);
    }
    if (is_damaged && n->durable_index < m->acknowledged) {
        m->acknowledged = n->durable_index; /* others may come in the place of what was cut */
    }
    if (!m->is_banned && !is_damaged && n->durable_index < m->acknowledged) {
        sim_fail("%s starts with %" PRIu64 " entries, and had acknowledged %" PRIu64, m->name,
                 n->durable_index, m->acknowledged);
    }
}

/* A loop that finds work without end, and does none. */
static void check_rest(struct machine *m)
{
    if (sim->now_us / SECOND_US != m->second) {
        m->second = sim->now_us / SECOND_US;
        m->turns = 0;
    }
    if (++m->turns > TURNS_PER_SECOND_MAX) {
        sim_fail("%s takes turn after turn", m->name);
    }
}

/* A leader that a majority has been silent towards must have stepped down [thesis 6.2]. */
static void check_quorum_heard(const struct machine *m, const struct raft *r)
{
    const struct membership *members = raft_membership(r);
    int64_t late_us = sim->now_us - 3 * sim->swarm.election_timeout_ms * 1000;
    unsigned voters[2] = { 0 }, heard[2] = { 0 };

    if (raft_role_of(r) != RAFT_LEADER || m->leader_since_us >= late_us) {
        return;
    }
    for (unsigned i = 0; i < members->count; i++) {
        const struct member *other = &members->members[i];
        const struct machine *from = machine_of_member(other);
        bool is_heard = from == m || m->heard_us[from->id] >= late_us;

        voters[0] += (other->flags & MEMBER_VOTER) != 0;
        heard[0] += (other->flags & MEMBER_VOTER) != 0 && is_heard;
        voters[1] += (other->flags & MEMBER_VOTER_OLD) != 0;
        heard[1] += (other->flags & MEMBER_VOTER_OLD) != 0 && is_heard;
    }
    if (2 * heard[0] <= voters[0] || 2 * heard[1] <= voters[1]) {
        sim_fail("%s leads, though no majority was heard for three election timeouts", m->name);
    }
}

void checks_turn(struct machine *m)
{
    const struct node *n = m->node;
    raft_index applied = refdb_applied_index(n->refdb);

    if (applied < m->known_applied) {
        sim_fail("%s unapplies: %" PRIu64 " after %" PRIu64, m->name, applied, m->known_applied);
    }
    if (applied != m->known_applied) {
        m->known_applied = applied;
        if (seen.committed[applied].is_applied &&
            seen.committed[applied].digest != digest_of(n->refdb)) {
            sim_fail("the state of %s at %" PRIu64 " differs from others'", m->name, applied);
        }
    }
    check_rest(m);
    versions_turn(m);
    check_quorum_heard(m, n->raft);
    if (raft_role_of(n->raft) == RAFT_LEADER) {
        note_acknowledged(m, n->durable_index); /* it counts itself */
    }
    if (n->held_count > HELD_MAX || net_bytes_in_flight() > IN_FLIGHT_MAX ||
        n->window.bytes > RECENT_BYTES_MAX + MIB) {
        sim_fail("%s grows without bound: %zu messages held, %zu bytes under way, %" PRIu64
                 " bytes of entries",
                 m->name, n->held_count, net_bytes_in_flight(), n->window.bytes);
    }
}

raft_index checks_committed(void)
{
    return seen.committed_last;
}

void checks_settled(void)
{
    uint8_t now[16], anew[16];

    for (unsigned i = 1; i <= sim->machine_count; i++) {
        const struct machine *m = &sim->machines[i];

        if (m->is_banned || !machine_is_member(m)) {
            continue;
        }
        if (refdb_applied_index(m->node->refdb) != seen.committed_last) {
            sim_fail("%s has applied %" PRIu64 " of %" PRIu64 " after the faults ended", m->name,
                     refdb_applied_index(m->node->refdb), seen.committed_last);
        }
        refdb_digest(m->node->refdb, now);
        refdb_digest_recompute(m->node->refdb, anew);
        if (memcmp(now, anew, sizeof now) != 0) {
            sim_fail("the digest of %s is not that of its data", m->name);
        }
    }
}

void checks_init(void)
{
    memset(&seen, 0, sizeof seen);
    reach_index(1);
    reach_term(1);
}

void checks_release(void)
{
    for (raft_index i = 0; i < seen.capacity; i++) {
        while (seen.variants[i] != NULL) {
            struct variant *v = seen.variants[i];

            seen.variants[i] = v->next;
            heap_free(v);
        }
    }
    for (unsigned i = 1; i <= MACHINES_MAX; i++) {
        heap_free(seen.votes[i]);
        heap_free(seen.appended[i]);
    }
    heap_free(seen.variants);
    heap_free(seen.committed);
    heap_free(seen.leaders);
    heap_free(seen.executed);
}
