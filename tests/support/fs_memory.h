/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file system in memory that forgets what was not synced when the machine dies.
 *
 *   contents  durable by datasync of that file; without it each sector of 512 bytes, and the size,
 *             may or may not have reached the disk
 *   names     durable by sync_dir; without it any prefix of the changes since may have
 *
 * One thread at a time.  All handles are void after a crash.
 */
#ifndef SUPPORT_FS_MEMORY_H
#define SUPPORT_FS_MEMORY_H

#include "base/rng.h"
#include "sys/fs.h"

struct fs_memory;

enum fs_memory_crash {
    FS_CRASH_PROCESS, /* kill -9: everything written is still there */
    FS_CRASH_LOSE,    /* power cut: exactly what was synced is there */
    FS_CRASH_MIXED,   /* power cut: of the rest a part, drawn from the seed */
};

struct fs_memory *fs_memory_new(void);
void fs_memory_free(struct fs_memory *m); /* accepts NULL */
struct fs *fs_memory_fs(struct fs_memory *m);

void fs_memory_crash(struct fs_memory *m, enum fs_memory_crash kind, uint64_t seed);

/* Every open handle; 0 in a test that closed what it opened. */
size_t fs_memory_open_handles(const struct fs_memory *m);

/* Whether allocate() works or says ENOTSUP; it works at first. */
void fs_memory_set_can_allocate(struct fs_memory *m, bool can_allocate);

/* As kernels do it: the next datasync gets EIO and what it should have written counts as clean,
 * so that a second one succeeds without having written it. */
void fs_memory_fail_next_sync(struct fs_memory *m);

/* Bytes free before a write or allocation gets ENOSPC; UINT64_MAX at first. */
void fs_memory_set_space(struct fs_memory *m, uint64_t bytes);

#endif
