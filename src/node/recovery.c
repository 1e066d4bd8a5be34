/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From files to a running core: snapshot to map, log to runs.  Nothing of the log is applied
 * here: what is committed is known only once a leader says so.
 */
#include <inttypes.h>

#include "base/assert.h"
#include "base/heap.h"
#include "node/node_internal.h"
#include "sys/clock.h"
#include "sys/entropy.h"

/* What one walk over the log gathers. */
struct log_walk {
    struct raft_run *runs;
    size_t count, capacity;
    raft_index known_membership_index; /* entries up to here are in the snapshot's */
    struct membership newest[2];       /* newest last; at most the last is uncommitted */
    raft_index newest_index[2];
    const uint8_t *cluster_id; /* NULL = not known yet */
    bool is_malformed;
    bool is_foreign;
};

static bool walk_entry(void *context, const struct entry *entry, uint64_t offset)
{
    struct log_walk *w = context;

    (void)offset;
    if (w->count == 0 || w->runs[w->count - 1].term != entry->term) {
        if (w->count == w->capacity) {
            w->capacity = w->capacity == 0 ? 16 : 2 * w->capacity;
            w->runs = heap_grow(w->runs, w->capacity * sizeof w->runs[0]);
        }
        w->runs[w->count++] = (struct raft_run){ entry->index, entry->term };
    }
    if (entry->command.size > 0 && entry->command.data[0] == COMMAND_MEMBERSHIP &&
        entry->index > w->known_membership_index) {
        w->newest[0] = w->newest[1];
        w->newest_index[0] = w->newest_index[1];
        w->newest_index[1] = entry->index;
        w->is_malformed |= command_membership(entry->command, &w->newest[1]) != RK_OK;
        w->is_foreign |= !w->is_malformed && w->cluster_id != NULL &&
                         memcmp(w->cluster_id, w->newest[1].cluster_id, CLUSTER_ID_BYTES) != 0;
    }
    return !w->is_malformed && !w->is_foreign;
}

/* The two memberships the core starts with: of the snapshot or configuration, of the log. */
static void choose_memberships(struct log_walk *w, const struct membership *base,
                               raft_index base_index, struct raft_recovered *r)
{
    r->committed_membership = base;
    r->committed_membership_index = base_index;
    if (w->newest_index[0] != 0) {
        r->committed_membership = &w->newest[0];
        r->committed_membership_index = w->newest_index[0];
    }
    if (w->newest_index[1] != 0) {
        r->latest_membership = &w->newest[1];
        r->latest_membership_index = w->newest_index[1];
    }
}

/* Of a node that waits to be admitted: nobody is told it, and it never campaigns. */
#define ID_NOT_KNOWN UINT64_MAX

/* The entry of the newest one may be among those that were lost: the state file remembers it. */
static void choose_remembered(const struct node *n, const struct storage_recovered *found,
                              raft_index base_index, struct raft_recovered *r)
{
    raft_index index = n->state.latest_membership_index;
    raft_index known = r->latest_membership == NULL ? r->committed_membership_index
                                                    : r->latest_membership_index;

    if (found->repair.last_index != 0 && index > known) {
        r->committed_membership = &n->state.latest_membership;
        r->committed_membership_index = base_index;
        r->latest_membership = NULL;
    }
}

static enum rk_status judge_walk(const struct log_walk *w, struct errmsg *why)
{
    if (w->is_malformed) {
        errmsg_set(why, "raft-log.dat: the membership entry at index %" PRIu64 " is malformed",
                   w->newest_index[1]);
        return RK_CORRUPT;
    }
    if (w->is_foreign) {
        errmsg_set(why,
                   "raft-log.dat belongs to another cluster than raft-state.dat (entry %" PRIu64
                   "): put the right one back, or empty the directory and run `refkeeper member "
                   "replace`",
                   w->newest_index[1]);
        return RK_FOREIGN;
    }
    return RK_OK;
}

static void make_core(struct node *n, const struct raft_recovered *recovered)
{
    struct raft_config config = {
        .id = n->state.id == 0 ? ID_NOT_KNOWN : n->state.id,
        .seed = n->options.seed,
        .election_timeout_ms = n->options.election_timeout_ms,
        .heartbeat_interval_ms = n->options.heartbeat_interval_ms,
        .has_leases = n->options.has_leases,
        .clock_drift_percent = n->options.clock_drift_percent,
        .uncommitted_bytes_max = UNCOMMITTED_BYTES_MAX,
        .inflight_bytes_max = INFLIGHT_BYTES_MAX,
        .inflight_count_max = INFLIGHT_COUNT_MAX,
        .append_bytes_max = APPEND_ENTRIES_BYTES_MAX,
        .append_count_max = APPEND_ENTRIES_COUNT_MAX,
        .fit = node_fit,
        .trace = n->options.is_tracing ? node_trace : NULL,
        .context = n,
    };

    n->raft = raft_new(&config, recovered, clock_monotonic_ms(), clock_steady_ms());
}

/* Itself, as a learner, in a cluster whose other members are yet to be learned. */
static void alone_membership(const struct node *n, struct membership *ret_membership)
{
    struct member self = { .id = n->state.id, .incarnation = n->state.incarnation };

    *ret_membership = (struct membership){ .count = 0 };
    memcpy(ret_membership->cluster_id, n->state.cluster_id, CLUSTER_ID_BYTES);
    if (self.id != 0) {
        memcpy(self.name, n->state.node_name, sizeof self.name);
        POST(membership_add(ret_membership, &self) == RK_OK);
    }
}

void recovery_join(struct node *n)
{
    struct membership *alone = heap_new(struct membership);
    struct raft_recovered nothing = { .log_first_index = 1, .committed_membership = alone };

    PRE(n->is_empty);
    alone_membership(n, alone);
    raft_free(n->raft);
    make_core(n, &nothing);
    heap_free(alone);
}

static enum rk_status load_map(struct node *n, const struct storage_recovered *found,
                               struct snapshot_meta *ret_meta, struct errmsg *why)
{
    enum rk_status status;

    if (found->snapshot_last_index == 0) {
        n->refdb = refdb_new();
        return RK_OK;
    }
    n->snapshots.last_index = found->snapshot_last_index;
    n->snapshots.last_term = found->snapshot_last_term;
    status = snapshots_load(n->options.data_dir, found->snapshot_last_index,
                            found->snapshot_last_term, ret_meta, &n->refdb, why);
    if (status == RK_OK) {
        snapshots_note_size(n);
    }
    return status;
}

/* `self` is what this node is by its configuration, if it is anything. */
static void note_found(struct node *n, const struct storage_recovered *found,
                       const struct member *self)
{
    n->state = found->state;
    if (n->state.id == 0 && self != NULL && !n->options.is_joining) {
        n->state.id = self->id;
    }
    n->log_first_index = found->log_first_index;
    n->durable_index = found->log_last_index;
    if (n->durable_index < found->snapshot_last_index) {
        n->durable_index = found->snapshot_last_index;
    }
    n->commit_index = found->snapshot_last_index;
    n->is_empty = n->durable_index == 0 && found->state.current_term == 0;
    if (found->torn_bytes > 0) {
        node_log(n, NODE_LOG_WARN, "cut %" PRIu64 " bytes of an unfinished write from the log",
                 found->torn_bytes);
    }
    if (found->is_index_rebuilt) {
        node_log(n, NODE_LOG_WARN, "rebuilt raft-index.dat from the log");
    }
    if (found->damage.text[0] != '\0') {
        node_log(n, NODE_LOG_ERROR, "%s", found->damage.text);
    }
    if (found->is_damage_covered) {
        node_log(n, NODE_LOG_WARN, "a snapshot has what was damaged: it was dropped from the log");
    }
    if (found->repair.last_index != 0) {
        node_log(n, NODE_LOG_ERROR,
                 "entries %" PRIu64 " to %" PRIu64 " are fetched from the others again; until "
                 "then this node does not campaign",
                 found->repair.first, found->repair.last_index);
    }
    if (found->snapshots_damaged > 0) {
        node_log(n, NODE_LOG_ERROR, "%u damaged snapshots were set aside",
                 found->snapshots_damaged);
    }
}

static enum rk_status recover_core(struct node *n, const struct storage_recovered *found,
                                   const struct snapshot_meta *meta, struct errmsg *why)
{
    struct membership *base = &n->options.initial_members;
    struct log_walk *w = heap_new(struct log_walk);
    struct raft_recovered r = {
        .hard_state = { found->state.current_term, found->state.voted_for,
                        found->state.promised_ms },
        .snapshot_last_index = found->snapshot_last_index,
        .snapshot_last_term = found->snapshot_last_term,
        .log_first_index = found->log_first_index,
        .log_last_index = found->log_last_index,
        .commit_index = found->snapshot_last_index,
        .lost_last = { found->repair.last_index, found->repair.last_term },
    };
    enum rk_status status;

    if (meta->membership_index != 0) {
        *base = meta->membership;
    } else if (membership_find(base, n->state.id) == NULL) {
        alone_membership(n, base);
    } else {
        /* Should a first election have been cut short, this node may write the first entry
         * without another RAFT_BOOTSTRAP. */
        entropy_fill(base->cluster_id, CLUSTER_ID_BYTES);
        for (unsigned i = 0; i < base->count; i++) {
            base->members[i].incarnation = base->members[i].id == n->state.id ? n->state.incarnation
                                                                              : 0;
        }
    }
    w->known_membership_index = meta->membership_index;
    w->cluster_id = identity_is_known(n->state.cluster_id) ? n->state.cluster_id : NULL;
    status = storage_walk(n->storage, found->log_first_index, walk_entry, w, why);
    status = status == RK_OK ? judge_walk(w, why) : status;
    if (status == RK_OK) {
        r.runs = w->runs;
        r.run_count = w->count;
        choose_memberships(w, base, meta->membership_index, &r);
        choose_remembered(n, found, meta->membership_index, &r);
        make_core(n, &r);
    }
    heap_free(w->runs);
    heap_free(w);
    return status;
}

enum rk_status recovery_open(struct node *n, struct errmsg *why)
{
    const struct member *self = membership_find_name(&n->options.initial_members, n->options.name);
    struct storage_options options = {
        .fs = fs_posix(),
        .data_dir = n->options.data_dir,
        .node_name = n->options.name,
        .voters = membership_voter_count(&n->options.initial_members),
    };
    struct snapshot_meta *meta = heap_new(struct snapshot_meta);
    struct storage_recovered *found = heap_new(struct storage_recovered);
    enum rk_status status = RK_CONFIG;

    if (self == NULL && !n->options.is_joining) {
        errmsg_set(why, "initial members do not name this node: %s", n->options.name);
    } else {
        status = storage_open(&options, &n->storage, found, why);
    }
    if (status == RK_OK) {
        window_init(&n->window, n->storage);
        note_found(n, found, self);
        status = load_map(n, found, meta, why);
    }
    if (status == RK_OK) {
        identity_recalled(n);
        events_reset(n->events, refdb_applied_index(n->refdb));
        status = recover_core(n, found, meta, why);
    }
    heap_free(found);
    heap_free(meta);
    return status;
}
