/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who makes things go wrong: every now and then one of the faults this seed has, against
 * machines drawn by lot, and each ends again by itself.
 *
 * What may not happen, because no system with three copies could bear it: rot on more copies
 * than a minority, and a directory put back from an old copy while nobody remembers the newer
 * one.  Damage of a log is kept to one machine at a time, and follows the death of a process,
 * not of a machine [docs/DISK_FORMAT.md, what stays exposed].
 */
#include "base/assert.h"
#include "base/heap.h"
#include "node/node_internal.h"
#include "sim/sim.h"

#define LONG_US (20 * SECOND_US)

static node_id damaged;             /* the one whose files may be; 0 = none yet */
static int64_t truce_until_us;      /* nobody is killed until then */
static struct fs_memory *put_aside; /* a directory that comes back */
static node_id put_aside_of;
static struct {
    struct fs_memory *copy; /* NULL = none under way */
    uint64_t boot_count;    /* when it was taken */
    unsigned restarts;      /* since then */
} rollback;
static unsigned cuts; /* raised by each: an older one does not end a newer */

static struct machine *any_machine(void)
{
    return &sim->machines[sim_between(1, sim->machine_count)];
}

/* Often the leader: most that can go wrong, goes wrong there. */
static struct machine *victim(void)
{
    struct machine *leader = machine_leader();

    return leader != NULL && sim_chance(400) ? leader : any_machine();
}

static int64_t short_us(void)
{
    return sim_between(SECOND_US / 100, 2 * SECOND_US);
}

static int64_t any_us(void)
{
    return sim_chance(700) ? short_us() : sim_between(SECOND_US, LONG_US);
}

/* ---- Network ---- */

static void on_cut_ends(void *context, uint64_t number)
{
    (void)context;
    if (number == cuts) {
        for (node_id a = 1; a <= MACHINES_MAX; a++) {
            for (node_id b = 1; b <= MACHINES_MAX; b++) {
                net_cut(a, b, false);
            }
        }
    }
}

static void cut_until(int64_t us)
{
    sim_after(SIM_WORLD, NULL, us, on_cut_ends, NULL, ++cuts);
}

static void cut_halves(bool has_bridge)
{
    uint64_t side = rng_next(&sim->rng);
    node_id bridge = has_bridge ? any_machine()->id : 0;

    for (node_id a = 1; a <= sim->machine_count; a++) {
        for (node_id b = 1; b <= sim->machine_count; b++) {
            net_cut(a, b, a != bridge && b != bridge && ((side >> a) & 1) != ((side >> b) & 1));
        }
    }
    cut_until(any_us());
}

/* Each side is told at once that the other is gone, though nobody is. */
static void cut_and_reset(void)
{
    cut_halves(false);
    for (node_id a = 1; a <= sim->machine_count; a++) {
        for (node_id b = a + 1; b <= sim->machine_count; b++) {
            if (net_is_cut(a, b)) {
                net_reset(a, b);
            }
        }
    }
}

static void cut_one_way(void)
{
    struct machine *from = victim();

    for (node_id to = 1; to <= sim->machine_count; to++) {
        if (sim_chance(600)) {
            net_cut(from->id, to, true);
        }
    }
    cut_until(any_us());
}

static void cut_follower(void)
{
    const struct machine *m = any_machine();

    for (node_id other = 1; other <= sim->machine_count; other++) {
        net_cut(m->id, other, other != m->id);
        net_cut(other, m->id, other != m->id);
    }
    cut_until(sim_between(LONG_US / 2, LONG_US));
}

/* ---- Processes ---- */

/* Draws stand in statements of their own: the order of arguments is the compiler's choice. */

static enum fs_memory_crash power_cut_kind(void)
{
    return sim_chance(300) ? FS_CRASH_LOSE : FS_CRASH_MIXED;
}

static void kill(struct machine *m, enum fs_memory_crash kind, bool goes_dark, int64_t down_us)
{
    machine_kill(m, kind, goes_dark);
    if (!m->is_banned) {
        machine_restart_after(m, down_us);
    }
}

static void on_storm(void *context, uint64_t left)
{
    struct machine *m = context;
    enum fs_memory_crash kind;

    if (sim->is_healing || sim->now_us < truce_until_us) {
        return;
    }
    kind = sim_chance(500) ? FS_CRASH_PROCESS : power_cut_kind();
    kill(m, kind, false, short_us() / 4);
    if (left > 0) {
        sim_after(SIM_WORLD, NULL, short_us(), on_storm, m, left - 1);
    }
}

static void lose_power_of(struct machine *m)
{
    enum fs_memory_crash kind = power_cut_kind();
    bool goes_dark = sim_chance(500);

    kill(m, kind, goes_dark, any_us());
}

static void power_cut_all(void)
{
    for (unsigned i = 1; i <= sim->machine_count; i++) {
        enum fs_memory_crash kind = power_cut_kind();

        kill(&sim->machines[i], kind, true, any_us());
    }
}

/* ---- Disks ---- */

static void on_space_again(void *context, uint64_t argument)
{
    struct machine *m = context;

    (void)argument;
    fs_memory_set_space(m->disk.memory, UINT64_MAX);
}

static void on_fast_again(void *context, uint64_t argument)
{
    struct machine *m = context;

    (void)argument;
    m->disk.slow_us = 0;
}

struct file_choice {
    const char *prefix;
    char name[96];
    unsigned found;
};

static void choose_file(void *context, const char *name)
{
    struct file_choice *c = context;

    if (strncmp(name, c->prefix, strlen(c->prefix)) == 0 && strstr(name, "tmp") == NULL &&
        rng_below(&sim->rng, ++c->found) == 0) {
        snprintf(c->name, sizeof c->name, "%s", name);
    }
}

/* The place of the second byte of the length of the entry that holds byte `at` of a log, or of
 * the last one before [docs/DISK_FORMAT.md]. */
static uint64_t length_field(struct fs *fs, fs_handle log, uint64_t at)
{
    uint8_t header[ENTRY_HEADER_BYTES];
    uint64_t start = 0, found = 0;
    size_t got = 0;

    while (start <= at && fs->ops->read(fs, log, start, header, sizeof header, &got) == 0 &&
           got == sizeof header && get_be32(header + 20) != 0) {
        found = start;
        start += sizeof header + get_be32(header + 20);
    }
    return found + 21;
}

/* Changes a byte of a file of a machine whose process is dead, in the part from .. to (in
 * thousandths of its written bytes).  False when there is none. */
static bool rot(struct machine *m, const char *prefix, unsigned from, unsigned to)
{
    struct fs *fs = fs_memory_fs(m->disk.memory);
    struct file_choice c = { .prefix = prefix };
    uint64_t size = 0;
    size_t got = 0;
    fs_handle dir = -1, file = -1;
    uint64_t at;
    uint8_t byte;

    if (fs->ops->open_dir(fs, "data", false, &dir) != 0) {
        return false;
    }
    (void)fs->ops->list(fs, dir, choose_file, &c);
    if (c.found == 0 || fs->ops->open(fs, dir, c.name, FS_WRITE, &file) != 0) {
        fs->ops->close(fs, dir);
        return false;
    }
    (void)fs->ops->size(fs, file, &size);
    at = size * from / 1000 + rng_below(&sim->rng, size * (to - from) / 1000 + 1);
    if (sim->swarm.rots_lengths) {
        at = length_field(fs, file, at);
    }
    (void)fs->ops->read(fs, file, at, &byte, 1, &got);
    if (got == 1) {
        byte ^= sim->swarm.rots_lengths ? 0x7f /* more than the file has, less than an entry may */
                                        : (uint8_t)(1U << rng_below(&sim->rng, 8));
        (void)fs->ops->write(fs, file, at, &byte, 1);
        (void)fs->ops->datasync(fs, file);
        m->is_spoilt = m->is_rot_unseen = true;
        sim_trace("%s: byte %" PRIu64 " of %s rots", m->name, at, c.name);
    }
    fs->ops->close(fs, file);
    fs->ops->close(fs, dir);
    return got == 1;
}

static bool is_whole(node_id id)
{
    const struct node *n = sim->machines[id].node;

    return n != NULL && !sim->machines[id].is_rot_unseen &&
           sim->machines[id].disk.fault != DISK_MISDIRECT && !raft_is_repairing(n->raft) &&
           !storage_is_repairing(n->storage);
}

/* Who was never reached by a leader has no vote for others: it may be an emptied directory. */
static bool can_do_without(const struct machine *m)
{
    unsigned formed = 0;

    for (unsigned i = 1; i <= sim->machine_count; i++) {
        formed += &sim->machines[i] != m && sim->machines[i].acknowledged > 0;
    }
    return formed > sim->machine_count / 2;
}

/* One machine at a time may have a damaged log: the next one when that is whole again. */
static bool may_damage(const struct machine *m)
{
    if (sim->machine_count < 3 || !can_do_without(m) ||
        (damaged != 0 && damaged != m->id && !is_whole(damaged))) {
        return false;
    }
    damaged = m->id;
    return true;
}

static bool rot_after_kill(const char *prefix, unsigned from, unsigned to)
{
    struct machine *m = any_machine();
    bool may_be_last = strcmp(prefix, "raft-state") != 0; /* one slot is as good as two */

    if (m->node == NULL || m->is_banned || (may_be_last && !may_damage(m))) {
        return false;
    }
    kill(m, FS_CRASH_PROCESS, false, short_us());
    return rot(m, prefix, from, to);
}

static void on_spoilt(void *context, uint64_t argument)
{
    struct machine *m = context;

    (void)argument;
    if (sim->now_us >= truce_until_us && !m->is_banned) {
        kill(m, FS_CRASH_PROCESS, false, short_us());
    }
}

/* It will find out when it starts the next time.  Until its index is durable, a power cut
 * would take the last witness of the entry: the exposure docs/DISK_FORMAT.md speaks of. */
void nemesis_spoilt(struct machine *m)
{
    m->is_spoilt = m->is_rot_unseen = true;
    m->powered_until_us = sim->now_us + 3 * SECOND_US;
    sim_after(SIM_WORLD, NULL, short_us(), on_spoilt, m, 0);
}

/* ---- Directories ---- */

static bool can_swap(const struct machine *m)
{
    if (put_aside != NULL || sim->machine_count < 3 || m->is_banned || m->node == NULL) {
        return false;
    }
    for (unsigned i = 1; i <= sim->machine_count; i++) {
        const struct machine *other = &sim->machines[i];
        const struct peer_identity *known;

        if (other == m) {
            continue;
        }
        if (other->node == NULL || other->node->state.cluster_id[0] == 0) {
            return false;
        }
        known = identity_find(other->node, m->id);
        if (known == NULL || known->boot_count != m->node->state.boot_count) {
            return false;
        }
    }
    return true;
}

static void on_put_back(void *context, uint64_t argument)
{
    struct machine *m = context;

    (void)argument;
    if (put_aside == NULL) {
        return;
    }
    machine_kill(m, FS_CRASH_PROCESS, false);
    fs_memory_free(m->disk.memory);
    m->disk.memory = put_aside;
    put_aside = NULL;
    m->is_banned = false;
    machine_restart_after(m, 0);
}

/* Runs on another directory for a while: the others must have nothing to do with it. */
static bool swap_directory(struct machine *m, struct fs_memory *other)
{
    int64_t us = sim_between(SECOND_US, 5 * SECOND_US);

    for (unsigned i = 1; i <= sim->machine_count; i++) {
        sim->machines[i].disk.fault = DISK_WELL;
        fs_memory_set_space(sim->machines[i].disk.memory, UINT64_MAX);
    }
    truce_until_us = sim->now_us + us;
    machine_kill(m, FS_CRASH_PROCESS, false);
    put_aside = m->disk.memory;
    put_aside_of = m->id;
    m->disk.memory = other;
    m->is_banned = true;
    machine_restart_after(m, 0);
    sim_after(SIM_WORLD, NULL, us, on_put_back, m, 0);
    return true;
}

static bool wipe(void)
{
    struct machine *m = any_machine();

    return can_swap(m) && swap_directory(m, disk_memory());
}

static void copy_file(void *context, const char *name)
{
    struct fs *from = ((struct fs **)context)[0], *to = ((struct fs **)context)[1];
    fs_handle from_dir = -1, to_dir = -1, in = -1, out = -1;
    uint64_t size = 0;
    size_t got = 0;
    uint8_t *bytes;

    INVARIANT(from->ops->open_dir(from, "data", false, &from_dir) == 0 &&
              to->ops->open_dir(to, "data", true, &to_dir) == 0);
    INVARIANT(from->ops->open(from, from_dir, name, FS_READ, &in) == 0 &&
              to->ops->open(to, to_dir, name, FS_WRITE | FS_CREATE, &out) == 0);
    (void)from->ops->size(from, in, &size);
    bytes = heap_alloc(size + 1);
    (void)from->ops->read(from, in, 0, bytes, size, &got);
    INVARIANT(to->ops->write(to, out, 0, bytes, got) == 0 && to->ops->truncate(to, out, size) == 0);
    INVARIANT(to->ops->datasync(to, out) == 0 && to->ops->sync_dir(to, to_dir) == 0);
    heap_free(bytes);
    from->ops->close(from, in);
    from->ops->close(from, from_dir);
    to->ops->close(to, out);
    to->ops->close(to, to_dir);
}

static struct fs_memory *copy_directory(struct fs_memory *from)
{
    struct fs_memory *copy = disk_memory();
    struct fs *ends[] = { fs_memory_fs(from), fs_memory_fs(copy) };
    fs_handle dir = -1;

    INVARIANT(ends[0]->ops->open_dir(ends[0], "data", false, &dir) == 0);
    (void)ends[0]->ops->list(ends[0], dir, copy_file, ends);
    ends[0]->ops->close(ends[0], dir);
    return copy;
}

/*
 * A copy is taken, the machine lives on and is restarted, and then runs on the copy.  Others
 * know a copy by a boot count lower than the newest they saw; the copy's own start adds one,
 * so it takes two restarts to have it fall behind.
 */
static void on_rollback(void *context, uint64_t argument)
{
    struct machine *m = context;

    (void)argument;
    if (sim->is_healing || rollback.copy == NULL) {
        return;
    }
    if (rollback.restarts < 2) {
        if (m->node != NULL && sim->now_us >= truce_until_us) {
            kill(m, FS_CRASH_PROCESS, false, SECOND_US / 10);
            rollback.restarts++;
        }
    } else if (can_swap(m) && m->node->state.boot_count >= rollback.boot_count + 2) {
        struct fs_memory *copy = rollback.copy;

        rollback.copy = NULL;
        sim_trace("fault: %s (%s)", fault_name(FAULT_ROLLED_BACK), m->name);
        sim_fault(FAULT_ROLLED_BACK);
        (void)swap_directory(m, copy);
        return;
    }
    sim_after(SIM_WORLD, NULL, SECOND_US, on_rollback, m, 0);
}

static bool roll_back(void)
{
    struct machine *m = any_machine();

    if (rollback.copy == NULL && can_swap(m)) {
        rollback.copy = copy_directory(m->disk.memory);
        rollback.boot_count = m->node->state.boot_count;
        rollback.restarts = 0;
        sim_after(SIM_WORLD, NULL, SECOND_US, on_rollback, m, 0);
    }
    return false; /* counted when it happens */
}

/* ---- The draw ---- */

static bool make_network_fault(enum fault fault)
{
    const struct machine *m = any_machine();
    node_id other;

    switch (fault) {
    case FAULT_CUT:
        cut_halves(false);
        return true;
    case FAULT_CUT_BRIDGE:
        cut_halves(true);
        return true;
    case FAULT_CUT_REJECT:
        cut_and_reset();
        return true;
    case FAULT_CUT_ONE_WAY:
        cut_one_way();
        return true;
    case FAULT_SLOW_FOLLOWER:
        cut_follower();
        return true;
    case FAULT_CLOG:
        other = any_machine()->id;
        net_clog(m->id, other, sim->now_us + any_us());
        return true;
    case FAULT_RESET:
        net_reset(m->id, sim_chance(500) ? 0 : any_machine()->id);
        return true;
    default:
        return false;
    }
}

static bool make_process_fault(enum fault fault, struct machine *m)
{
    if (sim->now_us < truce_until_us) {
        return false;
    }
    switch (fault) {
    case FAULT_KILL:
        kill(m, FS_CRASH_PROCESS, false, any_us());
        return true;
    case FAULT_POWER_CUT:
        lose_power_of(m);
        return true;
    case FAULT_POWER_CUT_ALL:
        power_cut_all();
        return true;
    case FAULT_RESTART_STORM:
        on_storm(m, (uint64_t)sim_between(3, 10));
        return true;
    case FAULT_MIXED_VERSIONS:
        return versions_upgrade(m);
    case FAULT_RESTART_CLEAN:
        machine_stop(m);
        return m->node != NULL;
    case FAULT_TORN_WRITE:
        disk_arm(&m->disk, DISK_CRASH, (unsigned)sim_between(0, 20));
        return false; /* counted when it happens */
    case FAULT_EIO_WRITE:
        disk_arm(&m->disk, DISK_EIO_WRITE, (unsigned)sim_between(0, 20));
        return false;
    case FAULT_EIO_SYNC:
        disk_arm(&m->disk, DISK_EIO_SYNC, (unsigned)sim_between(0, 20));
        return false;
    case FAULT_EIO_READ:
        disk_arm(&m->disk, DISK_EIO_READ, (unsigned)sim_between(0, 3));
        return false;
    case FAULT_ROT_SNAPSHOT:
        return rot_after_kill("raft-snapshot", 0, 1000);
    case FAULT_ROT_STATE:
        return rot_after_kill("raft-state", 0, 1000);
    case FAULT_ROT_LOG:
        return rot_after_kill("raft-log", 0, 1000);
    case FAULT_MISDIRECTED:
        if (m->node != NULL && may_damage(m)) {
            disk_arm(&m->disk, DISK_MISDIRECT, (unsigned)sim_between(0, 20));
        }
        return false;
    case FAULT_WIPED:
        return wipe();
    case FAULT_ROLLED_BACK:
        return roll_back();
    default:
        return false;
    }
}

static bool make_other_fault(enum fault fault, struct machine *m)
{
    int64_t drift_ppm;

    switch (fault) {
    case FAULT_NOSPACE:
        if (sim->now_us < truce_until_us) {
            return false;
        }
        fs_memory_set_space(m->disk.memory, (uint64_t)sim_between(0, 64 * KIB));
        sim_after(SIM_WORLD, NULL, any_us(), on_space_again, m, 0);
        return true;
    case FAULT_DISK_STALL:
        m->disk.stalled_until_us = sim->now_us + any_us();
        return true;
    case FAULT_SLOW_DISK:
        m->disk.slow_us = sim_between(2000, 80000);
        sim_after(SIM_WORLD, NULL, any_us(), on_fast_again, m, 0);
        return true;
    case FAULT_CLOCK_DRIFT:
        clock_set_drift(m, sim_between(-100000, 100000));
        return true;
    case FAULT_LEASE_DRIFT: /* half of it each way: so much one may be faster than another */
        drift_ppm = 5000 * sim->swarm.clock_drift_percent;
        clock_set_drift(m, sim_chance(500) ? drift_ppm : -drift_ppm);
        return true;
    case FAULT_CLOCK_JUMP:
        m->wall_offset_ms = sim_between(-1000000000, 1000000000);
        return true;
    case FAULT_MEMBER_ADD:
    case FAULT_MEMBER_REMOVE:
    case FAULT_MEMBER_REPLACE:
    case FAULT_LEADER_MOVE:
        operator_act(fault, sim_chance(500) ? any_machine() : m);
        return false;
    case FAULT_PAUSE:
        m->paused_until_us = sim->now_us + short_us() * 3;
        return true;
    case FAULT_SNAPSHOT:
        if (m->node != NULL && m->paused_until_us <= sim->now_us) {
            bool is_taken;

            sim->current = m;
            is_taken = node_take_snapshot(m->node);
            machine_turn(m);
            sim->current = NULL;
            return is_taken;
        }
        return false;
    default:
        return false;
    }
}

static void on_fault(void *context, uint64_t argument)
{
    enum fault fault = (enum fault)rng_below(&sim->rng, FAULT_COUNT);
    struct machine *m = victim();

    (void)context;
    (void)argument;
    if (sim->is_healing) {
        return;
    }
    while (!sim->swarm.is_on[fault] && sim_chance(900)) {
        fault = (enum fault)rng_below(&sim->rng, FAULT_COUNT);
    }
    if (sim->swarm.is_on[fault]) {
        bool is_made = make_network_fault(fault) || make_process_fault(fault, m) ||
                       make_other_fault(fault, m);

        if (is_made) {
            sim_trace("fault: %s (%s)", fault_name(fault), m->name);
            sim_fault(fault);
        }
    }
    sim_after(SIM_WORLD, NULL, sim_between(0, 2 * sim->swarm.fault_us_mean), on_fault, NULL, 0);
}

void nemesis_start(void)
{
    damaged = put_aside_of = 0;
    truce_until_us = 0;
    put_aside = NULL;
    rollback.copy = NULL;
    cuts = 0;
    sim_after(SIM_WORLD, NULL, 2 * SECOND_US, on_fault, NULL, 0);
}

void nemesis_heal(void)
{
    sim->is_healing = true;
    net_heal();
    fs_memory_free(rollback.copy);
    rollback.copy = NULL;
    if (put_aside != NULL) {
        on_put_back(&sim->machines[put_aside_of], 0);
    }
    for (unsigned i = 1; i <= sim->machine_count; i++) {
        struct machine *m = &sim->machines[i];

        m->disk.fault = DISK_WELL;
        m->disk.stalled_until_us = 0;
        m->disk.slow_us = 0;
        fs_memory_set_space(m->disk.memory, UINT64_MAX);
        clock_set_drift(m, 0);
        if (m->node == NULL && !m->is_banned) {
            machine_restart_after(m, 0);
        }
    }
}
