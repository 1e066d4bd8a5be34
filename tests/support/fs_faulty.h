/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file table over another one that lets the k-th call fail, or stops the world at it.
 *
 * Calls are counted from 1: those that change something or wait for the disk, and reads.
 * After a stop every call returns EIO and does nothing: the process is dead, only its memory
 * has to be given back.
 */
#ifndef SUPPORT_FS_FAULTY_H
#define SUPPORT_FS_FAULTY_H

#include "sys/fs.h"

enum fs_fault_kind {
    FS_FAULT_NONE,
    FS_FAULT_ERROR,       /* the call returns `error` and does nothing */
    FS_FAULT_ERROR_AFTER, /* a write stores a half first, a sync does its work */
    FS_FAULT_STOP_BEFORE,
    FS_FAULT_STOP_AFTER,
    FS_FAULT_STOP_TORN, /* a write stores `quarters` fourths of its bytes first */
};

struct fs_fault {
    enum fs_fault_kind kind;
    uint64_t at;       /* number of the call; 0 = never */
    uint64_t more;     /* so many calls behind it as well */
    int error;         /* of FS_FAULT_ERROR and _AFTER */
    unsigned quarters; /* 1, 2, 3 */
};

struct fs_faulty {
    struct fs fs;
    struct fs *inner;
    struct fs_fault fault;
    uint64_t calls;
    uint64_t written_bytes;
    bool is_stopped;
    bool has_fired;
    const char *call;         /* which one it hit */
    uint64_t unreadable_from; /* reads that touch this part of a file fail, of any file */
    uint64_t unreadable_to;
    /* planted bugs, to show that tests have teeth */
    bool skips_datasync;
    bool skips_sync_dir;
};

/* `f` is wrapped around `inner`, with nothing armed. */
void fs_faulty_init(struct fs_faulty *f, struct fs *inner);

/* Counts anew and arms `fault`. */
void fs_faulty_arm(struct fs_faulty *f, struct fs_fault fault);

#endif
