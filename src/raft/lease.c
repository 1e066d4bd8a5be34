/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases: reads without a round, by a promise of the voters [thesis 6.4.1].
 *
 *   voter    "from the moment I heard you I vote for nobody for so long"; the promise is durable
 *            before it is told, so that a restart, with other settings too, does not break it
 *   leader   has the lease while a majority (of each half) must still be keeping such a promise
 *
 * A promise begins when a message of the leader is received, and the leader knows only when it
 * sent it: so it counts from there, by the round the voter echoes.  It takes off what the two
 * clocks may differ by.  Nothing is assumed of a voter that promised nothing: it does not count.
 *
 * The way around a promise is a transfer, and a leader that sent TimeoutNow has no lease in this
 * term any more, as that message may be late.  Nobody else may campaign while it has promised:
 * its own vote counts as any other.
 */
#include "base/assert.h"
#include "model/command.h"
#include "raft/raft_internal.h"

/* Both ends read whole milliseconds: each may be off by nearly one. */
#define ROUNDING_MS 2

void lease_init(struct raft *r)
{
    /* Of what was promised before this start only the length is known, and not from when.  The
     * upper bound of the timeouts, as the others draw them. */
    r->start_promise_until_ms = r->steady_ms + 2 * r->hard_state.promised_ms;
    r->promised_until_ms = r->start_promise_until_ms;
}

time_ms lease_promise_left_ms(const struct raft *r)
{
    return r->promised_until_ms > r->steady_ms ? r->promised_until_ms - r->steady_ms : 0;
}

static time_ms promise_ms(const struct raft *r)
{
    return r->config.has_leases ? r->config.election_timeout_ms : 0;
}

/* A shorter promise, or none, is what is durable once the one of an earlier life is over. */
static void save_promise(struct raft *r)
{
    time_ms wanted_ms = promise_ms(r);

    if (r->hard_state.promised_ms < wanted_ms ||
        (r->hard_state.promised_ms > wanted_ms && r->steady_ms >= r->start_promise_until_ms)) {
        r->hard_state.promised_ms = wanted_ms;
        effects_hard_state(r);
        r->promise_generation = r->hard_state_generation;
    }
}

void lease_leader_heard(struct raft *r)
{
    time_ms until_ms = r->steady_ms + promise_ms(r);

    if (until_ms > r->promised_until_ms) {
        r->promised_until_ms = until_ms;
    }
    save_promise(r);
}

uint32_t lease_promise_told_ms(const struct raft *r)
{
    bool is_durable = r->hard_state.promised_ms >= promise_ms(r) &&
                      r->durable_generation >= r->promise_generation;
    bool is_understood = r->latest_membership.feature_level >= FEATURE_LEVEL_PROMISES;

    return is_durable && is_understood ? (uint32_t)promise_ms(r) : 0;
}

/* ---- Leader ---- */

void lease_round_sent(struct raft *r)
{
    time_ms spacing_ms = r->config.heartbeat_interval_ms / 8;

    PRE(r->role == RAFT_LEADER);
    if (r->lease.round_count > 0 &&
        r->steady_ms - r->lease.rounds[(r->lease.round_count - 1) % LEASE_ROUNDS_MAX].sent_ms <
            spacing_ms) {
        return; /* an echo of this one counts as one of the round before */
    }
    r->lease.rounds[r->lease.round_count++ % LEASE_ROUNDS_MAX] =
        (struct lease_round){ r->read_sequence, r->steady_ms };
}

/* When the newest round noted that is not after `sequence` was sent; -1 = too long ago. */
static time_ms round_sent_ms(const struct raft *r, uint64_t sequence)
{
    uint64_t oldest = r->lease.round_count > LEASE_ROUNDS_MAX
                          ? r->lease.round_count - LEASE_ROUNDS_MAX
                          : 0;

    for (uint64_t i = r->lease.round_count; i-- > oldest;) {
        const struct lease_round *round = &r->lease.rounds[i % LEASE_ROUNDS_MAX];

        if (round->sequence <= sequence) {
            return round->sent_ms;
        }
    }
    return -1;
}

void lease_echoed(struct raft *r, struct raft_member *member, uint64_t sequence,
                  uint32_t promised_ms)
{
    time_ms sent_ms = round_sent_ms(r, sequence);
    time_ms drift_ms = ((time_ms)promised_ms * r->config.clock_drift_percent + 99) / 100;
    time_ms until_ms = sent_ms + promised_ms - drift_ms - ROUNDING_MS;

    if (promised_ms > 0 && sent_ms >= 0 && until_ms > member->progress.lease_until_ms) {
        member->progress.lease_until_ms = until_ms;
    }
}

static uint64_t value_lease(const struct raft *r, const struct raft_member *member)
{
    /* This node votes for nobody else while it leads, and has no lease when it does not. */
    return member->id == r->config.id ? INT64_MAX : (uint64_t)member->progress.lease_until_ms;
}

time_ms raft_lease_until_ms(const struct raft *r)
{
    if (r->role != RAFT_LEADER || !r->config.has_leases || r->lease.is_void ||
        r->transfer.target != 0 || r->commit_index < r->term_start_index) {
        return 0;
    }
    return (time_ms)members_quorum(r, value_lease);
}

bool lease_is_held(const struct raft *r)
{
    return r->steady_ms < raft_lease_until_ms(r);
}
