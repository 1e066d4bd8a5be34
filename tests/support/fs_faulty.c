/* SPDX-License-Identifier: Apache-2.0 */
#include "support/fs_faulty.h"

#include <errno.h>

static struct fs_faulty *faulty_of(struct fs *fs)
{
    return (struct fs_faulty *)fs;
}

/* What becomes of a call. */
enum fate { FATE_DO, FATE_REFUSE, FATE_DO_AND_REFUSE };

static enum fate next_fate(struct fs_faulty *f, const char *call, int *ret_error)
{
    *ret_error = EIO;
    if (f->is_stopped) {
        return FATE_REFUSE;
    }
    f->calls++;
    if (f->calls < f->fault.at || f->calls - f->fault.at > f->fault.more || f->fault.at == 0 ||
        f->fault.kind == FS_FAULT_NONE) {
        return FATE_DO;
    }
    f->has_fired = true;
    f->call = call;
    switch (f->fault.kind) {
    case FS_FAULT_ERROR:
        *ret_error = f->fault.error;
        return FATE_REFUSE;
    case FS_FAULT_ERROR_AFTER:
        *ret_error = f->fault.error;
        return FATE_DO_AND_REFUSE;
    case FS_FAULT_STOP_BEFORE:
        f->is_stopped = true;
        return FATE_REFUSE;
    default:
        f->is_stopped = true;
        return FATE_DO_AND_REFUSE;
    }
}

/* The call itself, between the two. */
#define PASS(call_name, expression)                                                                \
    do {                                                                                           \
        struct fs_faulty *f = faulty_of(fs);                                                       \
        int error_;                                                                                \
        int result_ = 0;                                                                           \
        enum fate fate_ = next_fate(f, call_name, &error_);                                        \
        if (fate_ != FATE_REFUSE) {                                                                \
            result_ = (expression);                                                                \
        }                                                                                          \
        return fate_ == FATE_DO ? result_ : error_;                                                \
    } while (0)

static int faulty_open_dir(struct fs *fs, const char *path, bool create, fs_handle *ret_dir)
{
    struct fs_faulty *f = faulty_of(fs);

    return f->is_stopped ? EIO : f->inner->ops->open_dir(f->inner, path, create, ret_dir);
}

/* A handle that nobody gets must not stay open: the open that fails does nothing. */
static int faulty_open(struct fs *fs, fs_handle dir, const char *name, unsigned flags,
                       fs_handle *ret_file)
{
    struct fs_faulty *f = faulty_of(fs);
    int error;
    enum fate fate = next_fate(f, "open", &error);
    int result = 0;

    if (fate == FATE_REFUSE) {
        return error;
    }
    result = f->inner->ops->open(f->inner, dir, name, flags, ret_file);
    if (fate == FATE_DO_AND_REFUSE && result == 0) {
        f->inner->ops->close(f->inner, *ret_file);
        *ret_file = -1;
    }
    return fate == FATE_DO ? result : error;
}

static void faulty_close(struct fs *fs, fs_handle handle)
{
    struct fs_faulty *f = faulty_of(fs);

    if (!f->is_stopped) {
        f->inner->ops->close(f->inner, handle);
    }
}

static int faulty_read(struct fs *fs, fs_handle file, uint64_t offset, void *data, size_t size,
                       size_t *ret_size)
{
    if (offset < faulty_of(fs)->unreadable_to && offset + size > faulty_of(fs)->unreadable_from) {
        return EIO;
    }
    PASS("read", f->inner->ops->read(f->inner, file, offset, data, size, ret_size));
}

static int faulty_write(struct fs *fs, fs_handle file, uint64_t offset, const void *data,
                        size_t size)
{
    struct fs_faulty *f = faulty_of(fs);
    int error;
    enum fate fate = next_fate(f, "write", &error);
    int result;

    if (fate == FATE_REFUSE) {
        return error;
    }
    if (fate == FATE_DO_AND_REFUSE && f->fault.kind == FS_FAULT_STOP_TORN) {
        size = size * f->fault.quarters / 4;
    } else if (fate == FATE_DO_AND_REFUSE && f->fault.kind == FS_FAULT_ERROR_AFTER) {
        size = size / 2;
    }
    result = f->inner->ops->write(f->inner, file, offset, data, size);
    f->written_bytes += size;
    return fate == FATE_DO ? result : error;
}

static int faulty_size(struct fs *fs, fs_handle file, uint64_t *ret_size)
{
    PASS("size", f->inner->ops->size(f->inner, file, ret_size));
}

static int faulty_truncate(struct fs *fs, fs_handle file, uint64_t size)
{
    PASS("truncate", f->inner->ops->truncate(f->inner, file, size));
}

static int faulty_allocate(struct fs *fs, fs_handle file, uint64_t offset, uint64_t size)
{
    PASS("allocate", f->inner->ops->allocate(f->inner, file, offset, size));
}

static int faulty_datasync(struct fs *fs, fs_handle file)
{
    PASS("datasync", f->skips_datasync ? 0 : f->inner->ops->datasync(f->inner, file));
}

static int faulty_sync_dir(struct fs *fs, fs_handle dir)
{
    PASS("sync_dir", f->skips_sync_dir ? 0 : f->inner->ops->sync_dir(f->inner, dir));
}

static int faulty_rename(struct fs *fs, fs_handle dir, const char *from, const char *to)
{
    PASS("rename", f->inner->ops->rename(f->inner, dir, from, to));
}

static int faulty_unlink(struct fs *fs, fs_handle dir, const char *name)
{
    PASS("unlink", f->inner->ops->unlink(f->inner, dir, name));
}

static int faulty_list(struct fs *fs, fs_handle dir, void (*each)(void *context, const char *name),
                       void *context)
{
    PASS("list", f->inner->ops->list(f->inner, dir, each, context));
}

static int faulty_lock(struct fs *fs, fs_handle file)
{
    PASS("lock", f->inner->ops->lock(f->inner, file));
}

static int faulty_free_bytes(struct fs *fs, fs_handle dir, uint64_t *ret_bytes)
{
    PASS("free_bytes", f->inner->ops->free_bytes(f->inner, dir, ret_bytes));
}

static const struct fs_ops faulty_ops = {
    .open_dir = faulty_open_dir,
    .open = faulty_open,
    .close = faulty_close,
    .read = faulty_read,
    .write = faulty_write,
    .size = faulty_size,
    .truncate = faulty_truncate,
    .allocate = faulty_allocate,
    .datasync = faulty_datasync,
    .sync_dir = faulty_sync_dir,
    .rename = faulty_rename,
    .unlink = faulty_unlink,
    .list = faulty_list,
    .lock = faulty_lock,
    .free_bytes = faulty_free_bytes,
};

void fs_faulty_init(struct fs_faulty *f, struct fs *inner)
{
    *f = (struct fs_faulty){ .fs = { &faulty_ops }, .inner = inner };
}

void fs_faulty_arm(struct fs_faulty *f, struct fs_fault fault)
{
    f->fault = fault;
    f->calls = 0;
    f->is_stopped = false;
    f->has_fired = false;
    f->call = "";
}
