/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file table on the real file system.
 *
 * Interrupted calls are repeated and short transfers continued.  A failed sync is returned
 * as it is: the kernel may have dropped the pages, so a second one would lie.
 */
#include "sys/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/heap.h"

#define DIRECTORY_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

static int sync_descriptor(int fd)
{
    int rc;

    do {
        rc = fsync(fd);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : errno;
}

/* Makes `name` inside `parent` and makes that durable.  One that exists is left alone. */
static int make_directory(int parent, const char *name)
{
    if (mkdirat(parent, name, 0700) != 0) {
        return errno == EEXIST ? 0 : errno;
    }
    return sync_descriptor(parent);
}

/* Walks `path` component by component from the root or the working directory. */
static int open_dir_creating(const char *path, int *ret_fd)
{
    char name[NAME_MAX + 1];
    int fd = open(path[0] == '/' ? "/" : ".", DIRECTORY_FLAGS);

    if (fd < 0) {
        return errno;
    }
    while (*path != '\0') {
        size_t size = strcspn(path, "/");
        int next;
        int error;

        if (size == 0) {
            path++;
            continue;
        }
        if (size > NAME_MAX) {
            (void)close(fd);
            return ENAMETOOLONG;
        }
        memcpy(name, path, size);
        name[size] = '\0';
        path += size;
        next = openat(fd, name, DIRECTORY_FLAGS);
        if (next < 0 && errno == ENOENT) {
            error = make_directory(fd, name);
            next = error == 0 ? openat(fd, name, DIRECTORY_FLAGS) : -1;
            errno = error == 0 ? errno : error;
        }
        error = errno;
        (void)close(fd);
        if (next < 0) {
            return error;
        }
        fd = next;
    }
    *ret_fd = fd;
    return 0;
}

static int posix_open_dir(struct fs *fs, const char *path, bool create, fs_handle *ret_dir)
{
    struct stat st;
    int fd = -1;
    int error;

    (void)fs;
    if (!create) {
        fd = open(path, DIRECTORY_FLAGS);
        if (fd < 0) {
            return errno;
        }
        *ret_dir = fd;
        return 0;
    }
    error = open_dir_creating(path, &fd);
    if (error != 0) {
        return error;
    }
    error = fstat(fd, &st) != 0 ? errno : 0;
    if (error == 0 && (st.st_uid != geteuid() || (st.st_mode & 077) != 0)) {
        error = EPERM;
    }
    if (error != 0) {
        (void)close(fd);
        return error;
    }
    *ret_dir = fd;
    return 0;
}

/* O_NONBLOCK: a FIFO put in the place of a file must not stop the open. */
static int posix_open(struct fs *fs, fs_handle dir, const char *name, unsigned flags,
                      fs_handle *ret_file)
{
    int mode = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    struct stat st;
    int error = 0;
    int fd;

    (void)fs;
    PRE(strchr(name, '/') == NULL);
    mode |= (flags & FS_WRITE) != 0 ? O_RDWR : O_RDONLY;
    mode |= (flags & FS_CREATE) != 0 ? O_CREAT : 0;
    do {
        fd = openat(dir, name, mode, 0600);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return errno == ENXIO ? EINVAL : errno;
    }
    if (fstat(fd, &st) != 0) {
        error = errno;
    } else if (!S_ISREG(st.st_mode)) {
        error = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    } else if ((flags & FS_TRUNC) != 0 && ftruncate(fd, 0) != 0) {
        error = errno;
    }
    if (error != 0) {
        (void)close(fd);
        return error;
    }
    *ret_file = fd;
    return 0;
}

static void posix_close(struct fs *fs, fs_handle handle)
{
    (void)fs;
    (void)close(handle);
}

static int posix_read(struct fs *fs, fs_handle file, uint64_t offset, void *data, size_t size,
                      size_t *ret_size)
{
    size_t done = 0;

    (void)fs;
    while (done < size) {
        ssize_t n = pread(file, (char *)data + done, size - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno;
        }
        if (n == 0) {
            break;
        }
        done += (size_t)n;
    }
    *ret_size = done;
    return 0;
}

static int posix_write(struct fs *fs, fs_handle file, uint64_t offset, const void *data,
                       size_t size)
{
    size_t done = 0;

    (void)fs;
    while (done < size) {
        ssize_t n = pwrite(file, (const char *)data + done, size - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? errno : EIO;
        }
        done += (size_t)n;
    }
    return 0;
}

static int posix_size(struct fs *fs, fs_handle file, uint64_t *ret_size)
{
    struct stat st;

    (void)fs;
    if (fstat(file, &st) != 0) {
        return errno;
    }
    *ret_size = (uint64_t)st.st_size;
    return 0;
}

static int posix_truncate(struct fs *fs, fs_handle file, uint64_t size)
{
    int rc;

    (void)fs;
    do {
        rc = ftruncate(file, (off_t)size);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : errno;
}

static int posix_allocate(struct fs *fs, fs_handle file, uint64_t offset, uint64_t size)
{
    int rc;

    (void)fs;
    do {
        rc = fallocate(file, 0, (off_t)offset, (off_t)size);
    } while (rc != 0 && errno == EINTR);
    if (rc == 0) {
        return 0;
    }
    return errno == EOPNOTSUPP || errno == ENOSYS ? ENOTSUP : errno;
}

static int posix_datasync(struct fs *fs, fs_handle file)
{
    int rc;

    (void)fs;
    do {
        rc = fdatasync(file);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : errno;
}

static int posix_sync_dir(struct fs *fs, fs_handle dir)
{
    (void)fs;
    return sync_descriptor(dir);
}

static int posix_rename(struct fs *fs, fs_handle dir, const char *from, const char *to)
{
    (void)fs;
    return renameat(dir, from, dir, to) == 0 ? 0 : errno;
}

static int posix_unlink(struct fs *fs, fs_handle dir, const char *name)
{
    (void)fs;
    return unlinkat(dir, name, 0) == 0 ? 0 : errno;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All names first: `each` may unlink. */
static int posix_list(struct fs *fs, fs_handle dir, void (*each)(void *context, const char *name),
                      void *context)
{
    char **names = NULL;
    size_t count = 0;
    size_t capacity = 0;
    int error = 0;
    int fd = openat(dir, ".", DIRECTORY_FLAGS);
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *item;

    (void)fs;
    if (stream == NULL) {
        error = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        return error;
    }
    errno = 0;
    while ((item = readdir(stream)) != NULL) {
        if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0) {
            if (count == capacity) {
                capacity = capacity == 0 ? 16 : 2 * capacity;
                names = heap_grow(names, capacity * sizeof *names);
            }
            names[count++] = heap_copy_text(item->d_name, strlen(item->d_name));
        }
        errno = 0;
    }
    error = errno;
    (void)closedir(stream);
    if (count > 0) {
        qsort(names, count, sizeof *names, compare_names);
    }
    for (size_t i = 0; i < count; i++) {
        if (error == 0) {
            each(context, names[i]);
        }
        heap_free(names[i]);
    }
    heap_free(names);
    return error;
}

static int posix_lock(struct fs *fs, fs_handle file)
{
    int rc;

    (void)fs;
    do {
        rc = flock(file, LOCK_EX | LOCK_NB);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : errno;
}

static int posix_free_bytes(struct fs *fs, fs_handle dir, uint64_t *ret_bytes)
{
    struct statvfs st;

    (void)fs;
    if (fstatvfs(dir, &st) != 0) {
        return errno;
    }
    *ret_bytes = (uint64_t)st.f_bavail * (uint64_t)st.f_frsize;
    return 0;
}

static const struct fs_ops posix_ops = {
    .open_dir = posix_open_dir,
    .open = posix_open,
    .close = posix_close,
    .read = posix_read,
    .write = posix_write,
    .size = posix_size,
    .truncate = posix_truncate,
    .allocate = posix_allocate,
    .datasync = posix_datasync,
    .sync_dir = posix_sync_dir,
    .rename = posix_rename,
    .unlink = posix_unlink,
    .list = posix_list,
    .lock = posix_lock,
    .free_bytes = posix_free_bytes,
};

struct fs *fs_posix(void)
{
    static struct fs fs = { &posix_ops };

    return &fs;
}
