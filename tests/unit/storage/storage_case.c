/* SPDX-License-Identifier: Apache-2.0 */
#include "storage_case.h"

#include "base/heap.h"
#include "support/tmpdir.h"

int case_setup(void **state)
{
    struct store *t = heap_new(struct store);

    *t = (struct store)STORE_INIT(fs_posix(), tmpdir_make());
    *state = t;
    return 0;
}

int case_teardown(void **state)
{
    struct store *t = *state;

    store_release(t);
    tmpdir_remove((char *)(uintptr_t)t->data_dir);
    heap_free(t);
    return 0;
}

struct memory_case {
    struct store t; /* first: *state is a struct store to the tests */
    struct fs_memory *memory;
    struct fs_faulty faulty;
};

static struct memory_case *memory_case_of(struct store *t)
{
    return (struct memory_case *)t;
}

int case_setup_memory(void **state)
{
    struct memory_case *c = heap_new(struct memory_case);

    c->memory = fs_memory_new();
    fs_faulty_init(&c->faulty, fs_memory_fs(c->memory));
    c->t = (struct store)STORE_INIT(&c->faulty.fs, "/data");
    *state = c;
    return 0;
}

int case_teardown_memory(void **state)
{
    struct memory_case *c = *state;

    store_release(&c->t);
    assert_int_equal(fs_memory_open_handles(c->memory), 0);
    fs_memory_free(c->memory);
    heap_free(c);
    return 0;
}

void case_renew(struct store *t)
{
    struct memory_case *c = memory_case_of(t);

    store_close(t);
    fs_memory_free(c->memory);
    c->memory = fs_memory_new();
    fs_faulty_init(&c->faulty, fs_memory_fs(c->memory));
}

struct fs_memory *case_memory(struct store *t)
{
    return memory_case_of(t)->memory;
}

struct fs_faulty *case_faulty(struct store *t)
{
    return &memory_case_of(t)->faulty;
}

void case_kill(struct store *t, enum fs_memory_crash kind)
{
    case_faulty(t)->is_stopped = true;
    store_close(t);
    fs_memory_crash(case_memory(t), kind, 1);
    case_faulty(t)->is_stopped = false;
}

static bool count_genuine(void *context, const struct entry *entry, uint64_t offset)
{
    (void)offset;
    assert_true(store_entry_is_genuine(entry));
    ++*(uint64_t *)context;
    return true;
}

uint64_t case_count_entries(struct store *t, raft_index first)
{
    uint64_t count = 0;

    OK(storage_walk(t->s, first, count_genuine, &count, &t->why));
    return count;
}

/* ---- Files ---- */

static int open_file(struct store *t, const char *name, unsigned flags, fs_handle *ret_file)
{
    fs_handle dir;
    int error = t->fs->ops->open_dir(t->fs, t->data_dir, false, &dir);

    assert_int_equal(error, 0);
    error = t->fs->ops->open(t->fs, dir, name, flags, ret_file);
    t->fs->ops->close(t->fs, dir);
    return error;
}

void case_read_file(struct store *t, const char *name, struct buffer *out)
{
    fs_handle file;
    uint64_t size;
    size_t got;

    assert_int_equal(open_file(t, name, FS_READ, &file), 0);
    assert_int_equal(t->fs->ops->size(t->fs, file, &size), 0);
    buffer_clear(out);
    assert_int_equal(buffer_reserve(out, size + 1), RK_OK);
    assert_int_equal(t->fs->ops->read(t->fs, file, 0, out->data, size, &got), 0);
    out->size = got;
    t->fs->ops->close(t->fs, file);
}

void case_write_file(struct store *t, const char *name, struct slice bytes)
{
    fs_handle file;

    assert_int_equal(open_file(t, name, FS_WRITE | FS_CREATE | FS_TRUNC, &file), 0);
    assert_int_equal(t->fs->ops->write(t->fs, file, 0, bytes.data, bytes.size), 0);
    t->fs->ops->close(t->fs, file);
}

void case_copy_file(struct store *t, const char *from, const char *to)
{
    struct buffer bytes = BUFFER_INIT;

    case_read_file(t, from, &bytes);
    case_write_file(t, to, buffer_slice(&bytes));
    buffer_release(&bytes);
}

uint64_t case_file_bytes(struct store *t, const char *name)
{
    fs_handle file;
    uint64_t size;

    assert_int_equal(open_file(t, name, FS_READ, &file), 0);
    assert_int_equal(t->fs->ops->size(t->fs, file, &size), 0);
    t->fs->ops->close(t->fs, file);
    return size;
}

bool case_file_exists(struct store *t, const char *name)
{
    fs_handle file;

    if (open_file(t, name, FS_READ, &file) != 0) {
        return false;
    }
    t->fs->ops->close(t->fs, file);
    return true;
}

void case_flip(struct store *t, const char *name, uint64_t offset)
{
    fs_handle file;
    uint8_t byte;
    size_t got;

    assert_int_equal(open_file(t, name, FS_WRITE, &file), 0);
    assert_int_equal(t->fs->ops->read(t->fs, file, offset, &byte, 1, &got), 0);
    assert_int_equal(got, 1);
    byte ^= 0x10;
    assert_int_equal(t->fs->ops->write(t->fs, file, offset, &byte, 1), 0);
    assert_int_equal(t->fs->ops->datasync(t->fs, file), 0); /* it was so all the time */
    t->fs->ops->close(t->fs, file);
}

void case_truncate(struct store *t, const char *name, uint64_t size)
{
    fs_handle file;

    assert_int_equal(open_file(t, name, FS_WRITE, &file), 0);
    assert_int_equal(t->fs->ops->truncate(t->fs, file, size), 0);
    t->fs->ops->close(t->fs, file);
}

void case_unlink(struct store *t, const char *name)
{
    fs_handle dir;

    assert_int_equal(t->fs->ops->open_dir(t->fs, t->data_dir, false, &dir), 0);
    assert_int_equal(t->fs->ops->unlink(t->fs, dir, name), 0);
    t->fs->ops->close(t->fs, dir);
}
