/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file table: everything storage does to files goes through it, so that tests
 * can count, fail, tear or forget any single call.
 *
 * A directory is held open as a descriptor; names are single components inside it.
 * Each call returns 0 or a positive errno value; short transfers and EINTR are
 * looped over inside.  No call is retried after a failed write or sync.
 */
#ifndef SYS_FS_H
#define SYS_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fs;

typedef int fs_handle; /* an open file or directory; -1 = none */

enum fs_open_flags {
    FS_READ = 1 << 0,   /* read only */
    FS_WRITE = 1 << 1,  /* read and write */
    FS_CREATE = 1 << 2, /* create if absent, mode 0600 */
    FS_TRUNC = 1 << 3,
};

struct fs_ops {
    /*
     * Opens a directory.  With `create` missing components are made with mode 0700, each
     * synced into its parent, and a directory that was there must be ours and closed to
     * others, else EPERM.
     */
    int (*open_dir)(struct fs *fs, const char *path, bool create, fs_handle *ret_dir);
    /* Regular files only: ELOOP for a symbolic link, EISDIR for a directory, EINVAL else. */
    int (*open)(struct fs *fs, fs_handle dir, const char *name, unsigned flags,
                fs_handle *ret_file);
    void (*close)(struct fs *fs, fs_handle handle);
    /* Reads up to `size` bytes at `offset`; *ret_size < size only at the end of the file. */
    int (*read)(struct fs *fs, fs_handle file, uint64_t offset, void *data, size_t size,
                size_t *ret_size);
    int (*write)(struct fs *fs, fs_handle file, uint64_t offset, const void *data, size_t size);
    int (*size)(struct fs *fs, fs_handle file, uint64_t *ret_size);
    int (*truncate)(struct fs *fs, fs_handle file, uint64_t size);
    /*
     * Allocates space that reads as zeros, up to offset + size, which the file then has at
     * least as its size.  ENOTSUP where the file system cannot; ENOSPC may leave a part.
     */
    int (*allocate)(struct fs *fs, fs_handle file, uint64_t offset, uint64_t size);
    int (*datasync)(struct fs *fs, fs_handle file); /* fdatasync */
    int (*sync_dir)(struct fs *fs, fs_handle dir);
    int (*rename)(struct fs *fs, fs_handle dir, const char *from, const char *to);
    int (*unlink)(struct fs *fs, fs_handle dir, const char *name);
    /* Calls `each` with every name in the directory except "." and "..", sorted. */
    int (*list)(struct fs *fs, fs_handle dir, void (*each)(void *context, const char *name),
                void *context);
    /* Takes an exclusive advisory lock on a file or directory for the life of the handle;
     * EWOULDBLOCK when held. */
    int (*lock)(struct fs *fs, fs_handle file);
    int (*free_bytes)(struct fs *fs, fs_handle dir, uint64_t *ret_bytes);
};

struct fs {
    const struct fs_ops *ops;
};

/* The real file system.  Any thread; handles are not shared unless the caller orders it. */
struct fs *fs_posix(void);

#endif
