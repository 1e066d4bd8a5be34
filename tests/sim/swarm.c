/* SPDX-License-Identifier: Apache-2.0 */
/* What a seed is made of: runs that differ find more than runs that average [swarm testing]. */
#include "base/limits.h"
#include "base/rng.h"
#include "sim/faults.h"

static const struct {
    const char *name, *text;
} names[] = {
#define FAULT_NAME(NAME, text) { #NAME, text },
    FAULT_LIST(FAULT_NAME)
#undef FAULT_NAME
};

const char *fault_name(enum fault fault)
{
    return names[fault].name;
}

const char *fault_text(enum fault fault)
{
    return names[fault].text;
}

static int64_t pick(struct rng *rng, const int64_t *values, unsigned count)
{
    return values[rng_below(rng, count)];
}

#define PICK(rng, ...)                                                                             \
    pick((rng), (const int64_t[]){ __VA_ARGS__ },                                                  \
         sizeof((const int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t))

static void draw_network(struct swarm *s, struct rng *rng)
{
    s->latency_us_min = PICK(rng, 50, 200, 1000);
    s->latency_us_max = s->latency_us_min * PICK(rng, 2, 5, 20);
    s->delay_us_max = PICK(rng, 20000, 200000, 3000000);
    s->delay_permille = s->is_on[FAULT_DELAY] ? (unsigned)PICK(rng, 1, 10, 50) : 0;
    s->loss_permille = s->is_on[FAULT_LOSS] ? (unsigned)PICK(rng, 1, 10, 100) : 0;
    s->duplication_permille = s->is_on[FAULT_DUPLICATION] ? (unsigned)PICK(rng, 1, 20, 200) : 0;
    s->reorder_permille = s->is_on[FAULT_REORDER] ? (unsigned)PICK(rng, 1, 20, 100) : 0;
    s->corruption_permille = s->is_on[FAULT_CORRUPTION] ? 1 : 0;
}

/* With members that are replaced there are not always enough copies left for damage as well. */
static void draw_churn(struct swarm *s, struct rng *rng)
{
    static const enum fault spoiling[] = { FAULT_ROT_SNAPSHOT, FAULT_ROT_STATE, FAULT_ROT_LOG,
                                           FAULT_MISDIRECTED,  FAULT_EIO_READ,  FAULT_WIPED,
                                           FAULT_ROLLED_BACK };

    s->has_churn = PICK(rng, 0, 0, 1) == 1 && s->machine_count >= 3;
    if (!s->has_churn) {
        s->is_on[FAULT_MEMBER_ADD] = s->is_on[FAULT_MEMBER_REMOVE] = false;
        s->is_on[FAULT_MEMBER_REPLACE] = false;
        return;
    }
    for (unsigned i = 0; i < sizeof spoiling / sizeof spoiling[0]; i++) {
        s->is_on[spoiling[i]] = false;
    }
    s->is_on[FAULT_MEMBER_ADD] = true; /* who only removes is soon done */
}

/* Half of the seeds with leases have little else but what may elect somebody too early: voters that
 * lose sight of the leader, or their memory, while others do not hear it. */
static void draw_leases(struct swarm *s, struct rng *rng)
{
    static const enum fault hasty[] = { FAULT_CUT_ONE_WAY,    FAULT_CUT_BRIDGE, FAULT_CUT_REJECT,
                                        FAULT_RESET,          FAULT_KILL,       FAULT_RESTART_STORM,
                                        FAULT_MIXED_VERSIONS, FAULT_PAUSE,      FAULT_LEASE_DRIFT,
                                        FAULT_LEADER_MOVE,    FAULT_DELAY };
    bool is_only;

    s->has_leases = PICK(rng, 0, 0, 0, 1, 1) == 1;
    s->clock_drift_percent = (unsigned)PICK(rng, 1, 5, 20);
    is_only = PICK(rng, 0, 1) == 1 && s->has_leases && !s->has_churn;
    for (unsigned i = 0; i < FAULT_COUNT && is_only; i++) {
        s->is_on[i] = false;
    }
    for (unsigned i = 0; i < sizeof hasty / sizeof hasty[0] && is_only; i++) {
        s->is_on[hasty[i]] = rng_below(rng, 4) != 0;
    }
    if (is_only) {
        s->fault_us_mean = PICK(rng, 100, 200, 400) * 1000;
    }
}

void swarm_settle(struct swarm *s)
{
    /* Clocks that differ by more than was said are no fault of leases. */
    s->is_on[FAULT_CLOCK_DRIFT] = s->is_on[FAULT_CLOCK_DRIFT] && !s->has_leases;
    s->is_on[FAULT_LEASE_DRIFT] = s->is_on[FAULT_LEASE_DRIFT] && s->has_leases;
    /* An older version cannot be added once the others have gone beyond it. */
    s->is_on[FAULT_MIXED_VERSIONS] = s->is_on[FAULT_MIXED_VERSIONS] && !s->has_churn;
}

void swarm_draw(struct swarm *s, uint64_t seed)
{
    struct rng stream;
    struct rng *rng = &stream;
    unsigned share;

    rng_init(rng, seed ^ 0x5bd1e995);
    share = (unsigned)PICK(rng, 100, 300, 500, 700);
    for (unsigned i = 0; i < FAULT_COUNT; i++) {
        s->is_on[i] = rng_below(rng, 1000) < share;
    }
    s->machine_count = (unsigned)PICK(rng, 1, 3, 3, 3, 3, 3, 5, 5);
    draw_network(s, rng);
    s->disk_us_min = PICK(rng, 100, 200, 1000);
    s->disk_us_max = s->disk_us_min * PICK(rng, 2, 4, 20);
    s->fault_us_mean = PICK(rng, 400, 1500, 4000) * 1000;
    s->election_timeout_ms = PICK(rng, 150, 300, 1000, 1000);
    s->heartbeat_interval_ms = s->election_timeout_ms / PICK(rng, 5, 10);
    s->log_compact_bytes = (uint64_t)PICK(rng, 20, 100, 1000) * KIB;
    s->snapshot_interval_ms = PICK(rng, 5000, 30000, 600000);
    s->trailing_entries = (uint64_t)PICK(rng, 10, 100, 1000);
    s->client_count = (unsigned)PICK(rng, 3, 5, 8);
    s->think_us_max = PICK(rng, 100, 400, 1500) * 1000;
    s->key_count = (unsigned)PICK(rng, 2, 4, 10);
    s->seconds = PICK(rng, 60, 120, 240);
    s->read_percent = (unsigned)PICK(rng, 15, 40, 40, 80);
    s->can_allocate = PICK(rng, 0, 1, 1) == 1;
    draw_churn(s, rng);
    s->sync_forgets = PICK(rng, 0, 1) == 1;
    draw_leases(s, rng);
    swarm_settle(s);
}
