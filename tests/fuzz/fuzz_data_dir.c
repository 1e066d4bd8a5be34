/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens a directory whose files are the input.
 *
 *   u8 flags, then for log, index, state and one snapshot: u16 size, bytes
 *
 * Size 0xffff takes a sound file instead.  The flags let checksums be set right, so that what
 * lies behind them is reached: 1 entries, 2 state slots, 4 leave the second slot to the
 * first's bytes, 8 keep an intact snapshot as well.
 */
#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/assert.h"
#include "storage/snapshot.h"
#include "support/fs_memory.h"
#include "support/store.h"

#define SLOT_BYTES (64 * KIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_file(struct fs *fs, const char *name, struct slice bytes)
{
    fs_handle dir;
    fs_handle file;
    int error = fs->ops->open_dir(fs, "/data", true, &dir);

    INVARIANT(error == 0);
    error = fs->ops->open(fs, dir, name, FS_WRITE | FS_CREATE | FS_TRUNC, &file);
    INVARIANT(error == 0);
    if (bytes.size > 0) {
        error = fs->ops->write(fs, file, 0, bytes.data, bytes.size);
        INVARIANT(error == 0);
    }
    fs->ops->close(fs, file);
    fs->ops->close(fs, dir);
}

static void remove_file(struct fs *fs, const char *name)
{
    fs_handle dir;

    if (fs->ops->open_dir(fs, "/data", true, &dir) == 0) {
        (void)fs->ops->unlink(fs, dir, name);
        fs->ops->close(fs, dir);
    }
}

static void put_snapshot(struct fs *fs, raft_index index)
{
    struct snapshot_meta meta = { .last_index = index, .last_term = 1 };
    struct snapshot_writer *w = NULL;
    enum rk_status status = snapshot_writer_open(fs, "/data", &meta, &w, NULL);

    INVARIANT(status == RK_OK);
    status = snapshot_writer_put(w, slice_of_text("state"), NULL);
    INVARIANT(status == RK_OK);
    status = snapshot_writer_commit(w, NULL);
    INVARIANT(status == RK_OK);
}

/* Entries 4 to 8 behind a snapshot up to 4, or 1 to 8 without one. */
static void make_sound(struct fs *fs, bool with_snapshot)
{
    struct store t = STORE_INIT(fs, "/data");
    enum rk_status status = store_open(&t);

    INVARIANT(status == RK_OK);
    status = store_append_sync(&t, 1, 5, 10);
    INVARIANT(status == RK_OK);
    status = store_append_sync(&t, 2, 3, 20);
    INVARIANT(status == RK_OK);
    if (with_snapshot) {
        put_snapshot(fs, 4);
        status = storage_compact(t.s, 4, &t.why);
        INVARIANT(status == RK_OK);
    }
    store_release(&t);
}

static void fix_entries(struct buffer *log)
{
    size_t offset = 0;

    while (log->size - offset >= ENTRY_HEADER_BYTES) {
        uint8_t *entry = log->data + offset;
        uint32_t size = get_be32(entry + 20);
        uLong crc = crc32(0, entry, 16);

        if (size > log->size - offset - ENTRY_HEADER_BYTES) {
            return;
        }
        put_be32(entry + 16, (uint32_t)crc32(crc, entry + ENTRY_HEADER_BYTES, (uInt)size));
        offset += ENTRY_HEADER_BYTES + size;
    }
}

static void fix_slot(struct buffer *state)
{
    uLong crc;

    if (state->size < 32) {
        return;
    }
    memcpy(state->data, "RKSTATE\n", 8);
    put_be32(state->data + 8, 1);
    put_be32(state->data + 12, (uint32_t)state->size - 32);
    crc = crc32(0, state->data, 24);
    put_be32(state->data + 24, (uint32_t)crc32(crc, state->data + 28, (uInt)(state->size - 28)));
}

static void repeat_slot(struct buffer *state)
{
    size_t size = state->size;

    while (state->size < SLOT_BYTES) {
        buffer_put_u8(state, 0);
    }
    buffer_put(state, state->data, size);
}

static void take_file(struct fs *fs, struct reader *in, unsigned flags, const char *name)
{
    struct buffer bytes = BUFFER_INIT;
    uint16_t size = reader_u16(in);

    if (size == 0xffff) {
        return;
    }
    size = size <= reader_left(in) ? size : (uint16_t)reader_left(in);
    buffer_put_slice(&bytes, reader_bytes(in, size));
    if (strcmp(name, "raft-log.dat") == 0 && (flags & 1) != 0) {
        fix_entries(&bytes);
    }
    if (strcmp(name, "raft-state.dat") == 0 && (flags & 2) != 0) {
        fix_slot(&bytes);
    }
    if (strcmp(name, "raft-state.dat") == 0 && (flags & 4) != 0) {
        if (buffer_reserve(&bytes, (size_t)2 * SLOT_BYTES) == RK_OK) {
            repeat_slot(&bytes);
        }
    }
    remove_file(fs, name);
    if (bytes.size > 0) {
        put_file(fs, name, buffer_slice(&bytes));
    }
    buffer_release(&bytes);
}

static bool touch(void *context, const struct entry *entry, uint64_t offset)
{
    *(uint64_t *)context += entry->index + offset;
    return true;
}

/* What opens can be used, and opens again. */
static void use(struct fs *fs)
{
    struct store t = STORE_INIT(fs, "/data");
    struct buffer out = BUFFER_INIT;
    uint64_t sum = 0;
    raft_index last = 0;
    enum rk_status status;

    t.is_read_only = true;
    t.node_name = NULL;
    if (store_open(&t) == RK_OK) {
        status = storage_walk(t.s, 1, touch, &sum, &t.why);
        INVARIANT(status == RK_OK);
        store_close(&t);
    }
    t.is_read_only = false;
    t.node_name = "n1";
    if (store_open(&t) != RK_OK) {
        INVARIANT(t.why.text[0] != '\0');
        return;
    }
    status = storage_walk(t.s, 1, touch, &sum, &t.why);
    INVARIANT(status == RK_OK);
    (void)!storage_read(t.s, t.recovered.log_first_index, UINT64_MAX, 1000, &out, &last, &t.why);
    status = store_append_sync(&t, t.recovered.state.current_term, 2, 30);
    INVARIANT(status == RK_OK);
    store_close(&t);
    status = store_open(&t);
    INVARIANT(status == RK_OK);
    status = storage_truncate(t.s, t.recovered.log_last_index, &t.why);
    INVARIANT(status == RK_OK);
    store_release(&t);
    buffer_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fs_memory *memory = fs_memory_new();
    struct reader in = reader_of(slice_of(data, size));
    unsigned flags = reader_u8(&in);
    struct fs *fs = fs_memory_fs(memory);

    fs_memory_set_can_allocate(memory, false);
    make_sound(fs, (flags & 8) != 0);
    take_file(fs, &in, flags, "raft-log.dat");
    take_file(fs, &in, flags, "raft-index.dat");
    take_file(fs, &in, flags, "raft-state.dat");
    take_file(fs, &in, flags, "raft-snapshot-4-1.dat");
    use(fs);
    INVARIANT(fs_memory_open_handles(memory) == 0);
    fs_memory_free(memory);
    return 0;
}
