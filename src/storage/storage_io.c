/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/heap.h"
#include "storage/storage_internal.h"

static bool is_no_space(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

enum rk_status storage_error(int error, struct errmsg *why, const char *verb, const char *name)
{
    errmsg_set(why, "%s %s: %s", verb, name, strerror(error));
    if (error == ENOMEM) {
        return RK_NOMEM;
    }
    return is_no_space(error) ? RK_NOSPACE : RK_IO;
}

enum rk_status storage_fail(struct storage *s, int error, struct errmsg *why, const char *verb,
                            const char *name)
{
    atomic_store(&s->is_failed, true);
    (void)storage_error(error, why, verb, name);
    return RK_IO;
}

enum rk_status storage_check_latch(const struct storage *s, struct errmsg *why)
{
    if (atomic_load(&s->is_failed)) {
        errmsg_set(why, "an earlier write failed; the files are not touched until a restart");
        return RK_IO;
    }
    return RK_OK;
}

enum rk_status storage_open_file(struct storage *s, const char *name, unsigned flags,
                                 fs_handle *ret_file, struct errmsg *why)
{
    int error = s->fs->ops->open(s->fs, s->dir, name, flags, ret_file);

    switch (error) {
    case 0:
        return RK_OK;
    case ENOENT:
        errmsg_set(why, "%s is missing", name);
        return RK_NOT_FOUND;
    case ELOOP:
        errmsg_set(why, "%s is a symbolic link; a regular file is needed", name);
        return RK_CORRUPT;
    case EISDIR:
        errmsg_set(why, "%s is a directory; a regular file is needed", name);
        return RK_CORRUPT;
    case EINVAL:
        errmsg_set(why, "%s is a special file; a regular file is needed", name);
        return RK_CORRUPT;
    default:
        return storage_error(error, why, "open", name);
    }
}

#define READ_ATTEMPTS 3

int storage_read_again(struct fs *fs, fs_handle file, uint64_t offset, void *data, size_t size,
                       size_t *ret_size)
{
    int error = EIO;

    for (unsigned attempt = 0; error == EIO && attempt < READ_ATTEMPTS; attempt++) {
        error = fs->ops->read(fs, file, offset, data, size, ret_size);
    }
    return error;
}

int storage_read_bytes(struct fs *fs, fs_handle file, uint64_t offset, struct buffer *into,
                       size_t size)
{
    size_t got = 0;
    int error = storage_read_again(fs, file, offset, into->data + into->size, size, &got);

    into->size += error == 0 ? got : 0;
    return error;
}

/* Equal to itself shifted by one, and zero at the front. */
bool storage_is_zero(struct slice bytes)
{
    return bytes.size == 0 ||
           (bytes.data[0] == 0 && memcmp(bytes.data, bytes.data + 1, bytes.size - 1) == 0);
}

void storage_close_file(struct storage *s, fs_handle *file)
{
    if (*file >= 0) {
        s->fs->ops->close(s->fs, *file);
        *file = -1;
    }
}

struct log_files *log_files_new(fs_handle log, fs_handle index)
{
    struct log_files *files = heap_new(struct log_files);

    files->log = log;
    files->index = index;
    files->references = 1;
    return files;
}

void log_files_unref_locked(struct storage *s, struct log_files *files)
{
    if (--files->references > 0) {
        return;
    }
    storage_close_file(s, &files->log);
    storage_close_file(s, &files->index);
    heap_free(files);
}
