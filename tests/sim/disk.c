/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/disk.h"

#include <errno.h>

#include "sim/sim.h"

static struct disk *disk_of(struct fs *fs)
{
    return (struct disk *)fs;
}

static const struct fs_ops *inner_ops(const struct disk *d)
{
    return fs_memory_fs(d->memory)->ops;
}

#define INNER(d, call, ...) (inner_ops(d)->call(fs_memory_fs((d)->memory), __VA_ARGS__))

/* True when the armed fault is of this kind and its call has come. */
static bool is_hit(struct disk *d, enum disk_fault fault)
{
    if (d->fault != fault) {
        return false;
    }
    if (d->fault_after > 0) {
        d->fault_after--;
        return false;
    }
    d->fault = DISK_WELL;
    return true;
}

static void on_power_lost(void *context, uint64_t argument)
{
    (void)argument;
    machine_kill(context, FS_CRASH_MIXED, sim_chance(500));
}

/* The power goes inside this call: nothing after it has an effect. */
static int lose_power(struct disk *d)
{
    sim_fault(FAULT_TORN_WRITE);
    d->is_dead = true;
    sim_after(SIM_WORLD, NULL, 0, on_power_lost, d->machine, 0);
    return EIO;
}

/* Waits as long as the disk takes.  False when the process died meanwhile. */
static bool take_time(struct disk *d, int64_t us)
{
    if (thread_is_running()) {
        int64_t stall_us = d->stalled_until_us - sim->now_us;

        thread_sleep(us + (stall_us > 0 ? stall_us : 0));
    }
    return !d->is_dead;
}

static int64_t sync_us(const struct disk *d)
{
    return sim_between(sim->swarm.disk_us_min, sim->swarm.disk_us_max) + d->slow_us;
}

static int disk_open_dir(struct fs *fs, const char *path, bool create, fs_handle *ret_dir)
{
    struct disk *d = disk_of(fs);

    return d->is_dead ? EIO : INNER(d, open_dir, path, create, ret_dir);
}

static int disk_open(struct fs *fs, fs_handle dir, const char *name, unsigned flags,
                     fs_handle *ret_file)
{
    struct disk *d = disk_of(fs);

    return d->is_dead ? EIO : INNER(d, open, dir, name, flags, ret_file);
}

static void disk_close(struct fs *fs, fs_handle handle)
{
    struct disk *d = disk_of(fs);

    if (!d->is_dead) {
        INNER(d, close, handle);
    }
}

static int disk_read(struct fs *fs, fs_handle file, uint64_t offset, void *data, size_t size,
                     size_t *ret_size)
{
    struct disk *d = disk_of(fs);

    if (d->is_dead) {
        return EIO;
    }
    if (is_hit(d, DISK_EIO_READ)) {
        sim_fault(FAULT_EIO_READ);
        d->machine->is_spoilt = true;
        return EIO;
    }
    return INNER(d, read, file, offset, data, size, ret_size);
}

/* Where a write may land instead: further on, or among what was written long ago. */
static uint64_t misdirected(struct disk *d, fs_handle file, uint64_t offset)
{
    uint64_t end = 0;

    (void)INNER(d, size, file, &end);
    return end > offset + 4096 ? offset + 4096 : offset / 2;
}

static int disk_write(struct fs *fs, fs_handle file, uint64_t offset, const void *data, size_t size)
{
    struct disk *d = disk_of(fs);

    if (d->is_dead) {
        return EIO;
    }
    if (is_hit(d, DISK_EIO_WRITE)) {
        sim_fault(FAULT_EIO_WRITE);
        (void)INNER(d, write, file, offset, data, size / 2);
        return EIO;
    }
    if (is_hit(d, DISK_CRASH)) {
        (void)INNER(d, write, file, offset, data,
                    size * (size_t)sim_between(0, 4) / 4); /* and then the rest forgets */
        return lose_power(d);
    }
    if (d->fault == DISK_MISDIRECT && misdirected(d, file, offset) != offset &&
        is_hit(d, DISK_MISDIRECT)) {
        offset = misdirected(d, file, offset);
        sim_fault(FAULT_MISDIRECTED);
        sim_trace("%s: a write lands at %" PRIu64, d->machine->name, offset);
        nemesis_spoilt(d->machine);
    }
    d->written_bytes += size;
    return INNER(d, write, file, offset, data, size);
}

static int disk_size(struct fs *fs, fs_handle file, uint64_t *ret_size)
{
    struct disk *d = disk_of(fs);

    return d->is_dead ? EIO : INNER(d, size, file, ret_size);
}

static int disk_truncate(struct fs *fs, fs_handle file, uint64_t size)
{
    struct disk *d = disk_of(fs);

    return d->is_dead ? EIO : INNER(d, truncate, file, size);
}

static int disk_allocate(struct fs *fs, fs_handle file, uint64_t offset, uint64_t size)
{
    struct disk *d = disk_of(fs);

    return d->is_dead ? EIO : INNER(d, allocate, file, offset, size);
}

static int disk_datasync(struct fs *fs, fs_handle file)
{
    struct disk *d = disk_of(fs);

    d->syncs++;
    if (d->is_dead || !take_time(d, sync_us(d))) {
        return EIO;
    }
    if (is_hit(d, DISK_EIO_SYNC)) {
        sim_fault(FAULT_EIO_SYNC);
        if (!sim->swarm.sync_forgets) {
            return EIO;
        }
        /* As Linux does: what was not written counts as clean, and the next sync succeeds. */
        fs_memory_fail_next_sync(d->memory);
    }
    if (is_hit(d, DISK_CRASH)) {
        return lose_power(d);
    }
    return INNER(d, datasync, file);
}

static int disk_sync_dir(struct fs *fs, fs_handle dir)
{
    struct disk *d = disk_of(fs);

    if (d->is_dead || !take_time(d, sync_us(d))) {
        return EIO;
    }
    if (is_hit(d, DISK_CRASH)) {
        return lose_power(d);
    }
    return INNER(d, sync_dir, dir);
}

static int disk_rename(struct fs *fs, fs_handle dir, const char *from, const char *to)
{
    struct disk *d = disk_of(fs);

    return d->is_dead ? EIO : INNER(d, rename, dir, from, to);
}

static int disk_unlink(struct fs *fs, fs_handle dir, const char *name)
{
    struct disk *d = disk_of(fs);

    return d->is_dead ? EIO : INNER(d, unlink, dir, name);
}

static int disk_list(struct fs *fs, fs_handle dir, void (*each)(void *context, const char *name),
                     void *context)
{
    struct disk *d = disk_of(fs);

    return d->is_dead ? EIO : INNER(d, list, dir, each, context);
}

static int disk_lock(struct fs *fs, fs_handle file)
{
    struct disk *d = disk_of(fs);

    return d->is_dead ? EIO : INNER(d, lock, file);
}

static int disk_free_bytes(struct fs *fs, fs_handle dir, uint64_t *ret_bytes)
{
    struct disk *d = disk_of(fs);

    return d->is_dead ? EIO : INNER(d, free_bytes, dir, ret_bytes);
}

static const struct fs_ops disk_ops = {
    .open_dir = disk_open_dir,
    .open = disk_open,
    .close = disk_close,
    .read = disk_read,
    .write = disk_write,
    .size = disk_size,
    .truncate = disk_truncate,
    .allocate = disk_allocate,
    .datasync = disk_datasync,
    .sync_dir = disk_sync_dir,
    .rename = disk_rename,
    .unlink = disk_unlink,
    .list = disk_list,
    .lock = disk_lock,
    .free_bytes = disk_free_bytes,
};

struct fs_memory *disk_memory(void)
{
    struct fs_memory *memory = fs_memory_new();

    fs_memory_set_can_allocate(memory, sim->swarm.can_allocate);
    return memory;
}

void disk_init(struct disk *d, struct machine *m)
{
    *d = (struct disk){ .fs = { &disk_ops }, .machine = m, .memory = disk_memory() };
}

void disk_release(struct disk *d)
{
    fs_memory_free(d->memory);
    d->memory = NULL;
}

void disk_arm(struct disk *d, enum disk_fault fault, unsigned after)
{
    d->fault = fault;
    d->fault_after = after;
}
