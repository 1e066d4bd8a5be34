/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast a directory with a large log opens.
 *
 *   recovery [MIB] [COMMAND_BYTES]     100 MiB of entries with 230 byte commands by default
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/heap.h"
#include "storage/storage.h"
#include "sys/clock.h"

struct run {
    struct storage *s;
    struct storage_recovered recovered;
    struct errmsg why;
};

static int64_t open_timed(struct run *r, const char *dir)
{
    struct storage_options options = { .fs = fs_posix(), .data_dir = dir, .node_name = "bench" };
    int64_t start_us = clock_monotonic_us();

    if (storage_open(&options, &r->s, &r->recovered, &r->why) != RK_OK) {
        fprintf(stderr, "%s\n", r->why.text);
        exit(1);
    }
    return clock_monotonic_us() - start_us;
}

static void check(struct run *r, enum rk_status status)
{
    if (status != RK_OK) {
        fprintf(stderr, "%s\n", r->why.text);
        exit(1);
    }
}

static void fill(struct run *r, uint64_t bytes_total, size_t command_bytes)
{
    enum { BATCH = 1000 };
    struct persistent_state *state = heap_copy(storage_get_state(r->s), sizeof *state);
    struct storage_record *records = heap_alloc(BATCH * sizeof *records);
    uint8_t *command = heap_zalloc(command_bytes + 1);
    struct buffer bytes = BUFFER_INIT;
    raft_index index = 0;

    state->current_term = 1;
    check(r, storage_save_state(r->s, state, &r->why));
    while (storage_log_bytes(r->s) < bytes_total) {
        buffer_clear(&bytes);
        for (size_t i = 0; i < BATCH; i++) {
            struct entry entry = { 1, ++index, slice_of(command, command_bytes) };

            entry_encode(&bytes, &entry);
            records[i] = (struct storage_record){ index, 1, (uint32_t)entry_size(&entry) };
        }
        check(r, storage_append(r->s, buffer_slice(&bytes), records, BATCH, &r->why));
        check(r, storage_sync(r->s, &r->why));
    }
    buffer_release(&bytes);
    heap_free(command);
    heap_free(records);
    heap_free(state);
}

static bool count(void *context, const struct entry *entry, uint64_t offset)
{
    (void)entry;
    (void)offset;
    ++*(uint64_t *)context;
    return true;
}

int main(int argc, char **argv)
{
    uint64_t mib = argc > 1 ? strtoull(argv[1], NULL, 10) : 100;
    size_t command_bytes = argc > 2 ? (size_t)strtoull(argv[2], NULL, 10) : 230;
    char dir[] = "/tmp/refkeeper-bench-XXXXXX";
    char remove_dir[64];
    uint64_t entries = 0;
    struct run r = { .s = NULL };
    int64_t took_us;

    if (mkdtemp(dir) == NULL) {
        return 1;
    }
    (void)open_timed(&r, dir);
    fill(&r, mib * MIB, command_bytes);
    storage_close(r.s);
    for (unsigned round = 0; round < 3; round++) {
        took_us = open_timed(&r, dir);
        printf("open: %.1f MiB, %llu entries: %.1f ms, %.0f MB/s\n",
               (double)r.recovered.log_bytes / MIB, (unsigned long long)r.recovered.log_last_index,
               (double)took_us / 1e3, (double)r.recovered.log_bytes / (double)took_us);
        took_us = clock_monotonic_us();
        check(&r, storage_walk(r.s, 1, count, &entries, &r.why));
        took_us = clock_monotonic_us() - took_us;
        printf("walk: %.1f ms\n", (double)took_us / 1e3);
        storage_close(r.s);
    }
    (void)snprintf(remove_dir, sizeof remove_dir, "rm -r %s", dir);
    return system(remove_dir);
}
