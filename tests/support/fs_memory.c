/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files are sparse: bytes are kept up to the last one written, the rest of the size reads as
 * zeros, so that space allocated ahead costs nothing.
 */
#include "support/fs_memory.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/heap.h"

enum { SECTOR_BYTES = 512, HANDLES_MAX = 64, NAMES_MAX = 64, INODES_MAX = 4096, CHANGES_MAX = 64 };

struct content {
    uint8_t *data; /* capacity >= used */
    size_t used;
    size_t capacity;
    uint64_t size;
};

struct inode {
    struct content now;
    struct content durable;
    /* since the last sync: what was written, and the smallest size there was */
    size_t dirty_start;
    size_t dirty_end;
    uint64_t size_min;
};

struct name {
    char text[96];
    struct inode *inode;
};

struct names {
    struct name items[NAMES_MAX];
    size_t count;
};

struct handle {
    bool is_open;
    bool is_dir;
    bool is_locked;
    bool is_writable;
    struct inode *inode;
};

struct fs_memory {
    struct fs fs;
    bool has_dir; /* one directory, whatever its path */
    struct names now;
    struct names *history; /* history[0] is durable; one more per change since */
    size_t history_count;
    struct inode *inodes[INODES_MAX];
    size_t inode_count;
    struct handle handles[HANDLES_MAX];
    uint64_t space;
    bool cannot_allocate;
    bool fails_next_sync;
};

static struct fs_memory *memory_of(struct fs *fs)
{
    return (struct fs_memory *)fs;
}

/* ---- Contents ---- */

static void content_reach(struct content *c, size_t used)
{
    if (used > c->capacity) {
        c->capacity = 2 * used;
        c->data = heap_grow(c->data, c->capacity);
    }
    if (used > c->used) {
        memset(c->data + c->used, 0, used - c->used);
        c->used = used;
    }
}

static void content_resize(struct content *c, uint64_t size)
{
    if (size < c->used) {
        c->used = (size_t)size;
    }
    c->size = size;
}

static bool is_zero(const uint8_t *data, size_t size)
{
    return data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

/* Zeros behind what is used are kept as none: recovery writes some at the end of space taken
 * ahead. */
static void content_write(struct content *c, uint64_t offset, const void *data, size_t size)
{
    if (size > 0 && (offset < c->used || !is_zero(data, size))) {
        content_reach(c, (size_t)offset + size);
        memcpy(c->data + offset, data, size);
    }
    if (c->size < offset + size) {
        c->size = offset + size;
    }
}

static void content_copy(struct content *to, const struct content *from)
{
    to->used = 0;
    content_reach(to, from->used);
    if (from->used > 0) {
        memcpy(to->data, from->data, from->used);
    }
    to->size = from->size;
}

static void inode_resize(struct inode *inode, uint64_t size)
{
    content_resize(&inode->now, size);
    inode->size_min = size < inode->size_min ? size : inode->size_min;
}

static void inode_write(struct inode *inode, uint64_t offset, const void *data, size_t size)
{
    content_write(&inode->now, offset, data, size);
    if (inode->dirty_end == 0 || offset < inode->dirty_start) {
        inode->dirty_start = (size_t)offset;
    }
    if (offset + size > inode->dirty_end) {
        inode->dirty_end = (size_t)offset + size;
    }
}

static void inode_clean(struct inode *inode)
{
    inode->dirty_start = 0;
    inode->dirty_end = 0;
    inode->size_min = inode->now.size;
}

/* Only what changed is copied: the sweeps sync a few hundred times each. */
static void inode_sync(struct inode *inode)
{
    struct content *to = &inode->durable;
    size_t end = inode->dirty_end < inode->now.used ? inode->dirty_end : inode->now.used;

    content_resize(to, inode->size_min);
    content_reach(to, end);
    if (end > inode->dirty_start) {
        memcpy(to->data + inode->dirty_start, inode->now.data + inode->dirty_start,
               end - inode->dirty_start);
    }
    to->size = inode->now.size;
    inode_clean(inode);
}

static void content_read_sector(const struct content *c, size_t number, uint8_t *out)
{
    size_t start = number * SECTOR_BYTES;
    size_t left = c->used > start ? c->used - start : 0;

    memset(out, 0, SECTOR_BYTES);
    if (left > 0) {
        memcpy(out, c->data + start, left < SECTOR_BYTES ? left : SECTOR_BYTES);
    }
}

/* Each sector that differs, and the size, may have been written back. */
static void content_mix(struct content *durable, const struct content *now, struct rng *rng)
{
    size_t used = durable->used > now->used ? durable->used : now->used;
    uint64_t size = rng_below(rng, 2) == 0 ? now->size : durable->size;
    uint8_t sector[SECTOR_BYTES];

    for (size_t i = 0; i * SECTOR_BYTES < used; i++) {
        size_t start = i * SECTOR_BYTES;
        size_t end = start + SECTOR_BYTES < used ? start + SECTOR_BYTES : used;

        if (rng_below(rng, 2) == 0) {
            content_read_sector(now, i, sector);
            content_reach(durable, end);
            memcpy(durable->data + start, sector, end - start);
        }
    }
    content_resize(durable, size);
}

/* ---- Names ---- */

static struct inode *find_inode(struct fs_memory *m, const char *name)
{
    for (size_t i = 0; i < m->now.count; i++) {
        if (strcmp(m->now.items[i].text, name) == 0) {
            return m->now.items[i].inode;
        }
    }
    return NULL;
}

static void remove_name(struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->items[i].text, name) == 0) {
            memmove(&names->items[i], &names->items[i + 1],
                    (names->count - i - 1) * sizeof names->items[0]);
            names->count--;
            return;
        }
    }
}

/* Sorted. */
static void add_name(struct names *names, const char *name, struct inode *inode)
{
    size_t i = 0;

    INVARIANT(names->count < NAMES_MAX && strlen(name) < sizeof names->items[0].text);
    while (i < names->count && strcmp(names->items[i].text, name) < 0) {
        i++;
    }
    memmove(&names->items[i + 1], &names->items[i], (names->count - i) * sizeof names->items[0]);
    memcpy(names->items[i].text, name, strlen(name) + 1);
    names->items[i].inode = inode;
    names->count++;
}

static void note_change(struct fs_memory *m)
{
    INVARIANT(m->history_count < CHANGES_MAX);
    m->history[m->history_count++] = m->now;
}

static struct inode *add_inode(struct fs_memory *m)
{
    struct inode *inode = heap_new(struct inode);

    INVARIANT(m->inode_count < INODES_MAX);
    m->inodes[m->inode_count++] = inode;
    return inode;
}

/* ---- Handles ---- */

static int take_handle(struct fs_memory *m, struct handle value, fs_handle *ret_handle)
{
    for (int i = 0; i < HANDLES_MAX; i++) {
        if (!m->handles[i].is_open) {
            m->handles[i] = value;
            m->handles[i].is_open = true;
            *ret_handle = i;
            return 0;
        }
    }
    return EMFILE;
}

static struct handle *handle_of(struct fs_memory *m, fs_handle handle)
{
    INVARIANT(handle >= 0 && handle < HANDLES_MAX && m->handles[handle].is_open);
    return &m->handles[handle];
}

static struct inode *inode_of(struct fs *fs, fs_handle handle)
{
    const struct handle *h = handle_of(memory_of(fs), handle);

    INVARIANT(!h->is_dir);
    return h->inode;
}

/* ---- The table ---- */

static int memory_open_dir(struct fs *fs, const char *path, bool create, fs_handle *ret_dir)
{
    struct fs_memory *m = memory_of(fs);

    (void)path;
    if (!m->has_dir && !create) {
        return ENOENT;
    }
    m->has_dir = true;
    return take_handle(m, (struct handle){ .is_dir = true }, ret_dir);
}

static int memory_open(struct fs *fs, fs_handle dir, const char *name, unsigned flags,
                       fs_handle *ret_file)
{
    struct fs_memory *m = memory_of(fs);
    struct inode *inode = find_inode(m, name);

    INVARIANT(handle_of(m, dir)->is_dir);
    if (inode == NULL && (flags & FS_CREATE) == 0) {
        return ENOENT;
    }
    if (inode == NULL) {
        inode = add_inode(m);
        add_name(&m->now, name, inode);
        note_change(m);
    }
    if ((flags & FS_TRUNC) != 0) {
        inode_resize(inode, 0);
    }
    return take_handle(m, (struct handle){ .inode = inode, .is_writable = (flags & FS_WRITE) != 0 },
                       ret_file);
}

static void memory_close(struct fs *fs, fs_handle handle)
{
    handle_of(memory_of(fs), handle)->is_open = false;
}

static int memory_read(struct fs *fs, fs_handle file, uint64_t offset, void *data, size_t size,
                       size_t *ret_size)
{
    const struct content *c = &inode_of(fs, file)->now;
    size_t kept;

    *ret_size = 0;
    if (offset >= c->size || size == 0) {
        return 0;
    }
    size = size < c->size - offset ? size : (size_t)(c->size - offset);
    kept = offset < c->used ? c->used - (size_t)offset : 0;
    kept = kept < size ? kept : size;
    if (kept > 0) {
        memcpy(data, c->data + offset, kept);
    }
    memset((uint8_t *)data + kept, 0, size - kept);
    *ret_size = size;
    return 0;
}

static int take_space(struct fs_memory *m, const struct content *c, uint64_t end)
{
    uint64_t more = end > c->size ? end - c->size : 0;

    if (more > m->space) {
        return ENOSPC;
    }
    m->space -= m->space == UINT64_MAX ? 0 : more;
    return 0;
}

static int memory_write(struct fs *fs, fs_handle file, uint64_t offset, const void *data,
                        size_t size)
{
    struct inode *inode = inode_of(fs, file);
    int error = take_space(memory_of(fs), &inode->now, offset + size);

    INVARIANT(handle_of(memory_of(fs), file)->is_writable);
    if (error == 0) {
        inode_write(inode, offset, data, size);
    }
    return error;
}

static int memory_size(struct fs *fs, fs_handle file, uint64_t *ret_size)
{
    *ret_size = inode_of(fs, file)->now.size;
    return 0;
}

static int memory_truncate(struct fs *fs, fs_handle file, uint64_t size)
{
    struct fs_memory *m = memory_of(fs);
    struct inode *inode = inode_of(fs, file);

    INVARIANT(handle_of(m, file)->is_writable);
    if (m->space != UINT64_MAX && size < inode->now.size) {
        m->space += inode->now.size - size;
    }
    inode_resize(inode, size);
    return 0;
}

static int memory_allocate(struct fs *fs, fs_handle file, uint64_t offset, uint64_t size)
{
    struct content *c = &inode_of(fs, file)->now;
    int error = memory_of(fs)->cannot_allocate ? ENOTSUP
                                               : take_space(memory_of(fs), c, offset + size);

    if (error == 0 && c->size < offset + size) {
        c->size = offset + size;
    }
    return error;
}

static int memory_datasync(struct fs *fs, fs_handle file)
{
    struct fs_memory *m = memory_of(fs);

    if (m->fails_next_sync) {
        m->fails_next_sync = false;
        inode_clean(inode_of(fs, file));
        return EIO;
    }
    inode_sync(inode_of(fs, file));
    return 0;
}

static int memory_sync_dir(struct fs *fs, fs_handle dir)
{
    struct fs_memory *m = memory_of(fs);

    INVARIANT(handle_of(m, dir)->is_dir);
    m->history[0] = m->now;
    m->history_count = 1;
    return 0;
}

static int memory_rename(struct fs *fs, fs_handle dir, const char *from, const char *to)
{
    struct fs_memory *m = memory_of(fs);
    struct inode *inode = find_inode(m, from);

    INVARIANT(handle_of(m, dir)->is_dir);
    if (inode == NULL) {
        return ENOENT;
    }
    remove_name(&m->now, from);
    remove_name(&m->now, to);
    add_name(&m->now, to, inode);
    note_change(m);
    return 0;
}

static int memory_unlink(struct fs *fs, fs_handle dir, const char *name)
{
    struct fs_memory *m = memory_of(fs);

    INVARIANT(handle_of(m, dir)->is_dir);
    if (find_inode(m, name) == NULL) {
        return ENOENT;
    }
    remove_name(&m->now, name);
    note_change(m);
    return 0;
}

static int memory_list(struct fs *fs, fs_handle dir, void (*each)(void *context, const char *name),
                       void *context)
{
    struct fs_memory *m = memory_of(fs);
    struct names *names = heap_copy(&m->now, sizeof m->now);

    INVARIANT(handle_of(m, dir)->is_dir);
    for (size_t i = 0; i < names->count; i++) {
        each(context, names->items[i].text);
    }
    heap_free(names);
    return 0;
}

static int memory_lock(struct fs *fs, fs_handle file)
{
    struct fs_memory *m = memory_of(fs);

    for (size_t i = 0; i < HANDLES_MAX; i++) {
        if (m->handles[i].is_open && m->handles[i].is_locked) {
            return EWOULDBLOCK;
        }
    }
    handle_of(m, file)->is_locked = true;
    return 0;
}

static int memory_free_bytes(struct fs *fs, fs_handle dir, uint64_t *ret_bytes)
{
    (void)dir;
    *ret_bytes = memory_of(fs)->space;
    return 0;
}

static const struct fs_ops memory_ops = {
    .open_dir = memory_open_dir,
    .open = memory_open,
    .close = memory_close,
    .read = memory_read,
    .write = memory_write,
    .size = memory_size,
    .truncate = memory_truncate,
    .allocate = memory_allocate,
    .datasync = memory_datasync,
    .sync_dir = memory_sync_dir,
    .rename = memory_rename,
    .unlink = memory_unlink,
    .list = memory_list,
    .lock = memory_lock,
    .free_bytes = memory_free_bytes,
};

/* ---- Life ---- */

struct fs_memory *fs_memory_new(void)
{
    struct fs_memory *m = heap_new(struct fs_memory);

    m->fs.ops = &memory_ops;
    m->history = heap_zalloc(CHANGES_MAX * sizeof *m->history);
    m->history_count = 1;
    m->space = UINT64_MAX;
    return m;
}

void fs_memory_free(struct fs_memory *m)
{
    if (m == NULL) {
        return;
    }
    for (size_t i = 0; i < m->inode_count; i++) {
        heap_free(m->inodes[i]->now.data);
        heap_free(m->inodes[i]->durable.data);
        heap_free(m->inodes[i]);
    }
    heap_free(m->history);
    heap_free(m);
}

struct fs *fs_memory_fs(struct fs_memory *m)
{
    return &m->fs;
}

void fs_memory_crash(struct fs_memory *m, enum fs_memory_crash kind, uint64_t seed)
{
    struct rng rng;

    rng_init(&rng, seed);
    memset(m->handles, 0, sizeof m->handles);
    if (kind == FS_CRASH_PROCESS) {
        return;
    }
    m->now = m->history[kind == FS_CRASH_LOSE ? 0 : rng_below(&rng, m->history_count)];
    m->history[0] = m->now;
    m->history_count = 1;
    for (size_t i = 0; i < m->inode_count; i++) {
        struct inode *inode = m->inodes[i];

        if (kind == FS_CRASH_MIXED) {
            content_mix(&inode->durable, &inode->now, &rng);
        }
        content_copy(&inode->now, &inode->durable);
        inode_clean(inode);
    }
}

size_t fs_memory_open_handles(const struct fs_memory *m)
{
    size_t count = 0;

    for (size_t i = 0; i < HANDLES_MAX; i++) {
        count += m->handles[i].is_open ? 1 : 0;
    }
    return count;
}

void fs_memory_set_can_allocate(struct fs_memory *m, bool can_allocate)
{
    m->cannot_allocate = !can_allocate;
}

void fs_memory_fail_next_sync(struct fs_memory *m)
{
    m->fails_next_sync = true;
}

void fs_memory_set_space(struct fs_memory *m, uint64_t bytes)
{
    m->space = bytes;
}
