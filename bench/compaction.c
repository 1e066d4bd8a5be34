/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What compaction does to the commit path: batches are appended and synced while a log is cut,
 * and the longest of them tells.
 *
 *   compaction [MIB] [BATCH_BYTES]     a log of 100 MiB, batches of 16 KiB by default
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/heap.h"
#include "storage/storage.h"
#include "sys/clock.h"

#define ENTRY_COMMAND_BYTES 1000
#define ROUNDS 5
#define QUIET_BATCHES 500 /* before each compaction, to compare with */

struct run {
    struct storage *s;
    struct errmsg why;
    struct storage_record *records;
    size_t batch_entries;
    struct buffer bytes;
    raft_index index;
    int64_t longest_us;
    uint64_t batches;
    /* the other thread's */
    struct storage_compaction *compaction;
    struct errmsg copy_why;
    enum rk_status copied;
    atomic_bool is_copied;
};

static void check(struct run *r, enum rk_status status)
{
    if (status != RK_OK) {
        fprintf(stderr, "%s\n", r->why.text);
        exit(1);
    }
}

static void append(struct run *r)
{
    static const uint8_t command[ENTRY_COMMAND_BYTES] = { 1 };
    int64_t start_us;

    buffer_clear(&r->bytes);
    for (size_t i = 0; i < r->batch_entries; i++) {
        struct entry entry = { 1, ++r->index, slice_of(command, sizeof command) };

        entry_encode(&r->bytes, &entry);
        r->records[i] = (struct storage_record){ r->index, 1, (uint32_t)entry_size(&entry) };
    }
    start_us = clock_monotonic_us();
    check(r, storage_append(r->s, buffer_slice(&r->bytes), r->records, r->batch_entries, &r->why));
    check(r, storage_sync(r->s, &r->why));
    start_us = clock_monotonic_us() - start_us;
    r->longest_us = start_us > r->longest_us ? start_us : r->longest_us;
    r->batches++;
    check(r, storage_tick(r->s, clock_monotonic_ms(), &r->why));
}

/* As the node does: the disk is the log's for as long as the last piece took. */
static bool rest(void *context)
{
    int64_t *resumed_us = context;
    int64_t took_us = clock_monotonic_us() - *resumed_us;
    struct timespec rest_for = { 0, (took_us < 50000 ? took_us : 50000) * 1000 };

    (void)nanosleep(&rest_for, NULL);
    *resumed_us = clock_monotonic_us();
    return false;
}

static void *copy_main(void *context)
{
    struct run *r = context;
    int64_t resumed_us = clock_monotonic_us();

    r->copied = storage_compaction_copy(r->compaction, rest, &resumed_us, &r->copy_why);
    atomic_store(&r->is_copied, true);
    return NULL;
}

static void *free_main(void *context)
{
    int64_t resumed_us = clock_monotonic_us() - 10000;

    storage_compaction_shrink(context, rest, &resumed_us);
    storage_compaction_free(context);
    return NULL;
}

static void compact(struct run *r)
{
    raft_index first = storage_first_index(r->s);
    uint64_t before = storage_log_bytes(r->s);
    pthread_t copier;
    int64_t quiet_us, copying_us, took_us, start_us;
    uint64_t batches;

    r->longest_us = 0;
    for (unsigned i = 0; i < QUIET_BATCHES; i++) {
        append(r);
    }
    quiet_us = r->longest_us;
    r->longest_us = 0;
    r->batches = 0;
    atomic_store(&r->is_copied, false);
    start_us = clock_monotonic_us();
    check(r,
          storage_compaction_begin(r->s, first + (r->index - first) / 2, &r->compaction, &r->why));
    pthread_create(&copier, NULL, copy_main, r);
    while (!atomic_load(&r->is_copied)) {
        append(r);
    }
    pthread_join(copier, NULL);
    check(r, r->copied);
    batches = r->batches;
    copying_us = r->longest_us;
    r->longest_us = 0;
    took_us = clock_monotonic_us();
    check(r, storage_compaction_finish(r->compaction, &r->why));
    took_us = clock_monotonic_us() - took_us;
    pthread_create(&copier, NULL, free_main, r->compaction);
    for (unsigned i = 0; i < 2 * QUIET_BATCHES; i++) {
        append(r);
    }
    pthread_join(copier, NULL);
    printf(
        "%.0f -> %.0f MiB in %.2f s with %llu batches meanwhile; longest commit: %.1f ms while it "
        "is copied, %.1f ms at the switch, %.1f ms after, %.1f ms before\n",
        (double)before / MIB, (double)storage_log_bytes(r->s) / MIB,
        (double)(clock_monotonic_us() - start_us) / 1e6, (unsigned long long)batches,
        (double)copying_us / 1e3, (double)took_us / 1e3, (double)r->longest_us / 1e3,
        (double)quiet_us / 1e3);
}

int main(int argc, char **argv)
{
    uint64_t mib = argc > 1 ? strtoull(argv[1], NULL, 10) : 100;
    size_t batch_bytes = argc > 2 ? (size_t)strtoull(argv[2], NULL, 10) : 16 * KIB;
    char dir[] = "/tmp/refkeeper-bench-XXXXXX";
    char remove_dir[64];
    struct storage_options options = { .fs = fs_posix(), .data_dir = dir, .node_name = "bench" };
    struct storage_recovered *recovered = heap_new(struct storage_recovered);
    struct persistent_state *state;
    struct run r = { .batch_entries = batch_bytes / ENTRY_COMMAND_BYTES + 1 };

    if (mkdtemp(dir) == NULL) {
        return 1;
    }
    r.records = heap_alloc(r.batch_entries * sizeof *r.records);
    check(&r, storage_open(&options, &r.s, recovered, &r.why));
    state = heap_copy(storage_get_state(r.s), sizeof *state);
    state->current_term = 1;
    check(&r, storage_save_state(r.s, state, &r.why));
    for (unsigned round = 0; round < ROUNDS; round++) {
        while (storage_log_bytes(r.s) < mib * MIB) {
            append(&r);
        }
        compact(&r);
    }
    storage_close(r.s);
    buffer_release(&r.bytes);
    heap_free(r.records);
    heap_free(state);
    heap_free(recovered);
    (void)snprintf(remove_dir, sizeof remove_dir, "rm -r %s", dir);
    return system(remove_dir);
}
