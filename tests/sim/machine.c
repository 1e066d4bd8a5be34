/* SPDX-License-Identifier: Apache-2.0 */
/* Processes: how one starts, takes its turns, and ends in every way there is. */
#include <stdio.h>

#include "base/assert.h"
#include "node/node_internal.h"
#include "sim/loop.h"
#include "sim/sim.h"

#define RESTART_US_MAX (2 * SECOND_US)

void machine_init(struct machine *m, node_id id)
{
    m->id = id;
    snprintf(m->name, sizeof m->name, "n%u", (unsigned)id);
    snprintf(m->address, sizeof m->address, "10.0.0.%u:7480", (unsigned)id);
    m->clock_base_us = sim_between(0, 1000 * SECOND_US);
    m->clock_since_us = sim->now_us;
    disk_init(&m->disk, m);
}

void machine_release(struct machine *m)
{
    INVARIANT(m->node == NULL);
    disk_release(&m->disk);
}

/* ---- Start ---- */

static void on_log(void *context, int level, const char *text)
{
    const struct machine *m = context;

    if (level != NODE_LOG_DEBUG || sim->options.is_tracing) {
        sim_trace("%s %s", m->name, text);
    }
}

static void fill_members(struct membership *members)
{
    for (unsigned i = 1; i <= sim->swarm.machine_count; i++) {
        struct member member = { .id = i, .flags = MEMBER_VOTER | MEMBER_VOTER_OLD };

        snprintf(member.name, sizeof member.name, "%s", sim->machines[i].name);
        snprintf(member.peer_address, sizeof member.peer_address, "%s", sim->machines[i].address);
        INVARIANT(membership_add(members, &member) == RK_OK);
    }
}

static void on_start(void *context, uint64_t boot)
{
    struct machine *m = context;

    if (m->node == NULL && m->boot == boot) {
        machine_start(m);
    }
}

void machine_restart_after(struct machine *m, int64_t delay_us)
{
    sim_after(SIM_WORLD, NULL, delay_us, on_start, m, m->boot);
}

/* The directory is not one a node starts on. */
static void start_failed(struct machine *m, enum rk_status status, const char *why)
{
    sim_trace("%s does not start: %s: %s", m->name, rk_status_word(status), why);
    sim_note((uint64_t)status);
    m->boot++;
    (void)fs_memory_crash(m->disk.memory, FS_CRASH_PROCESS, 0);
    loop_process_ended(m);
    if (status != RK_IO && status != RK_NOSPACE) {
        sim_fail("%s does not start: %s", m->name, why);
    }
    m->exit_code = 74;
    machine_restart_after(m, sim_between(SECOND_US / 10, RESTART_US_MAX));
}

void machine_start(struct machine *m)
{
    const struct swarm *s = &sim->swarm;
    struct errmsg why = ERRMSG_INIT;
    struct node_options options = {
        .name = m->name,
        .data_dir = "data",
        .listen_peer = m->address,
        .election_timeout_ms = s->election_timeout_ms,
        .heartbeat_interval_ms = s->heartbeat_interval_ms,
        .clock_drift_percent = s->clock_drift_percent,
        .holds_back_features = true,
        .proposal_timeout_ms = PROPOSAL_TIMEOUT_MS_DEFAULT,
        .read_timeout_ms = READ_TIMEOUT_MS_DEFAULT,
        .log_compact_bytes = s->log_compact_bytes,
        .snapshot_interval_ms = s->snapshot_interval_ms,
        .trailing_entries = s->trailing_entries,
        .seed = rng_next(&sim->rng) | 1,
        .is_tracing = sim->options.is_tracing,
        .log = on_log,
        .log_context = m,
    };
    enum rk_status status;

    PRE(m->node == NULL);
    m->is_dark = false;
    m->paused_until_us = 0;
    m->known_commit = 0;
    m->known_applied = 0;
    m->is_turn_planned = false;
    m->feature_level = m->installed_level;
    options.feature_level_max = m->feature_level;
    options.is_joining = m->is_joining;
    if (s->has_leases) { /* members need not agree, nor a node with itself before */
        options.has_leases = sim_chance(850);
        options.election_timeout_ms -= sim_chance(300) ? s->election_timeout_ms / 3 : 0;
    }
    if (!m->is_joining) {
        fill_members(&options.initial_members);
    }
    sim->restarts++;
    sim->current = m;
    status = node_open((struct event_base *)m, &options, &m->node, &why);
    if (status != RK_OK) {
        m->node = NULL;
        start_failed(m, status, why.text);
    } else {
        checks_started(m);
        m->is_rot_unseen = false;
        machine_turn(m);
    }
    sim->current = NULL;
}

/* ---- End ---- */

void machine_count_reads(const struct machine *m)
{
    struct raft_status status;

    raft_get_status(m->node->raft, &status);
    sim->reads_by_lease += status.reads_by_lease;
}

/* What is left of the process goes. */
static void process_ended(struct machine *m)
{
    struct node *n = m->node;

    machine_count_reads(m);
    m->node = NULL;
    sim->current = m;
    node_close(n);
    sim->current = NULL;
    m->boot++;
    loop_process_ended(m);
}

void machine_kill(struct machine *m, enum fs_memory_crash kind, bool goes_dark)
{
    if (m->node == NULL) {
        m->disk.is_dead = false;
        return;
    }
    sim_trace("%s is killed%s%s", m->name, kind == FS_CRASH_PROCESS ? "" : ", power lost",
              goes_dark ? ", its host is dark" : "");
    if (sim->now_us < m->powered_until_us) {
        kind = FS_CRASH_PROCESS;
    }
    m->is_dark = goes_dark;
    m->is_dying = true;
    m->disk.is_dead = true;
    fs_memory_crash(m->disk.memory, kind, rng_next(&sim->rng));
    net_process_ended(m);
    process_ended(m);
    m->disk.is_dead = false;
    m->disk.fault = DISK_WELL;
    m->is_dying = false;
    m->exit_code = -1;
}

/* The node stopped by itself or was asked to. */
static void on_exited(void *context, uint64_t boot)
{
    struct machine *m = context;

    if (m->node == NULL || m->boot != boot) {
        return;
    }
    m->exit_code = m->node->exit_code;
    sim_trace("%s exits with %d", m->name, m->exit_code);
    process_ended(m);
    fs_memory_crash(m->disk.memory, FS_CRASH_PROCESS, 0);
    net_process_ended(m);
    if (m->exit_code == NODE_REOPEN) {
        machine_restart_after(m, 0);
    } else if (m->exit_code == 1) {
        sim_fail("%s halted", m->name);
    } else {
        machine_restart_after(m, sim_between(SECOND_US / 100, RESTART_US_MAX));
    }
}

void machine_stop(struct machine *m)
{
    if (m->node != NULL) {
        sim->current = m;
        node_stop(m->node);
        machine_turn(m);
        sim->current = NULL;
    }
}

/* ---- Turns ---- */

static void on_turn(void *context, uint64_t argument)
{
    struct machine *m = context;

    (void)argument;
    m->is_turn_planned = false; /* and the turn follows */
}

void machine_turn_soon(struct machine *m)
{
    if (!m->is_turn_planned) {
        m->is_turn_planned = true;
        sim_after(SIM_LOOP, m, 5, on_turn, m, 0);
    }
}

void machine_turn(struct machine *m)
{
    if (m->node == NULL || m->is_dying) {
        return;
    }
    node_turn(m->node);
    checks_turn(m);
    if (m->node->is_stopped) {
        sim_after(SIM_WORLD, NULL, 0, on_exited, m, m->boot);
    } else if (m->node->has_more) {
        machine_turn_soon(m);
    }
}

struct machine *machine_leader(void)
{
    struct machine *leader = NULL;

    for (unsigned i = 1; i <= sim->machine_count; i++) {
        struct machine *m = &sim->machines[i];

        if (m->node != NULL && raft_role_of(m->node->raft) == RAFT_LEADER &&
            (leader == NULL ||
             raft_current_term(m->node->raft) > raft_current_term(leader->node->raft))) {
            leader = m;
        }
    }
    return leader;
}
