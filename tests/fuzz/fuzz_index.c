/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An index over a log of eight sound entries.  The first byte says what else: 1 the process was
 * killed, so that only the index is a witness; 2 the member has others to fetch entries from.
 * The index may claim that there were more entries; it may never change one, nor lose one.
 */
#include <stdint.h>

#include "base/assert.h"
#include "base/heap.h"
#include "storage/verify.h"
#include "support/fs_faulty.h"
#include "support/fs_memory.h"
#include "support/store.h"

enum { ENTRIES = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_index(struct fs *fs, struct slice bytes)
{
    fs_handle dir;
    fs_handle file;
    int error = fs->ops->open_dir(fs, "/data", true, &dir);

    INVARIANT(error == 0);
    error = fs->ops->open(fs, dir, "raft-index.dat", FS_WRITE | FS_CREATE | FS_TRUNC, &file);
    INVARIANT(error == 0);
    error = fs->ops->write(fs, file, 0, bytes.data, bytes.size);
    INVARIANT(error == 0);
    fs->ops->close(fs, file);
    fs->ops->close(fs, dir);
}

static void make_log(struct fs_memory *memory, bool is_killed)
{
    struct fs_faulty faulty;
    struct store t = STORE_INIT(&faulty.fs, "/data");
    enum rk_status status;

    fs_faulty_init(&faulty, fs_memory_fs(memory));
    status = store_open(&t);
    INVARIANT(status == RK_OK);
    status = store_append_sync(&t, 1, ENTRIES, 20);
    INVARIANT(status == RK_OK);
    faulty.is_stopped = is_killed;
    store_release(&t);
    if (is_killed) {
        fs_memory_crash(memory, FS_CRASH_PROCESS, 1);
    }
}

static bool is_genuine(void *context, const struct entry *entry, uint64_t offset)
{
    (void)offset;
    INVARIANT(store_entry_is_genuine(entry));
    ++*(unsigned *)context;
    return true;
}

static void note(void *context, const struct storage_finding *finding)
{
    *(bool *)context = finding->text[0] != '\0';
}

static void use(struct fs *fs, unsigned voters)
{
    struct store t = STORE_INIT(fs, "/data");
    unsigned count = 0;
    bool is_found = false;
    enum rk_status status = storage_verify(fs, "/data", note, &is_found, &t.why);

    INVARIANT(status == RK_OK);
    t.voters = voters;
    status = store_open(&t);
    INVARIANT(status == RK_OK || status == RK_CORRUPT);
    if (status == RK_OK) {
        INVARIANT(t.recovered.log_last_index == ENTRIES);
        status = storage_walk(t.s, 1, is_genuine, &count, &t.why);
        INVARIANT(status == RK_OK && count == ENTRIES);
    } else {
        INVARIANT(is_found || t.why.text[0] != '\0');
    }
    store_release(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fs_memory *memory;

    if (size < 1) {
        return 0;
    }
    memory = fs_memory_new();
    fs_memory_set_can_allocate(memory, false);
    make_log(memory, (data[0] & 1) != 0);
    put_index(fs_memory_fs(memory), slice_of(data + 1, size - 1));
    use(fs_memory_fs(memory), (data[0] & 2) != 0 ? 3 : 1);
    fs_memory_free(memory);
    return 0;
}
