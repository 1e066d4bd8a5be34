/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk of a machine: files in memory that take time, fail, rot and forget.
 *
 * A write or sync of a thread takes its time there; a call of the loop takes none, but none of
 * them may wait for a disk anyway.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "support/fs_memory.h"

struct machine;

enum disk_fault {
    DISK_WELL,
    DISK_EIO_WRITE,
    DISK_EIO_SYNC,
    DISK_EIO_READ,
    DISK_MISDIRECT, /* the next write lands elsewhere in its file */
    DISK_CRASH,     /* power goes inside the call, a write being half done */
};

struct disk {
    struct fs fs;
    struct machine *machine;
    struct fs_memory *memory;
    bool is_dead; /* the process is: nothing is done any more */
    enum disk_fault fault;
    unsigned fault_after; /* so many calls of its kind */
    int64_t stalled_until_us;
    int64_t slow_us; /* added to each sync */
    uint64_t syncs, written_bytes;
};

struct fs_memory *disk_memory(void); /* empty, of this run's kind */
void disk_init(struct disk *d, struct machine *m);
void disk_release(struct disk *d);
void disk_arm(struct disk *d, enum disk_fault fault, unsigned after);

#endif
