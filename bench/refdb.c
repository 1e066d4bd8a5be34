/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state machine alone: memory per ref, rates, dump and load.  [DESIGN 10]
 *
 *   bench/refdb [wide|tall|all] [refs]
 *
 * wide: all refs in one repository.  tall: ten refs in each of refs/10 repositories.
 * Resident memory is what the process has above its start, after the commands are freed.
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/heap.h"
#include "base/rng.h"
#include "refdb/refdb.h"

#define LOOKUPS 1000000

struct shape {
    const char *name;
    unsigned refs, refs_per_repository;
};

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long pages = 0, resident = 0;

    if (file == NULL) {
        return 0;
    }
    if (fscanf(file, "%lu %lu", &pages, &resident) != 2) {
        resident = 0;
    }
    (void)fclose(file);
    return (double)resident * 4096;
}

/* Names as a forge has them: branches, merge requests, tags; in random order. */
static struct slice ref_name(const struct shape *shape, unsigned n, char *text, size_t size)
{
    unsigned i = n % shape->refs_per_repository;
    int length;

    if (i % 4 == 0) {
        length = snprintf(text, size, "refs/heads/feature/issue-%06u-fix", i);
    } else if (i % 4 == 3) {
        length = snprintf(text, size, "refs/tags/v%u.%u.%u", i / 1000, i / 10 % 100, i % 10);
    } else {
        length = snprintf(text, size, "refs/changes/%02u/%u/%u", i / 4 % 100, i / 4, i % 4);
    }
    return slice_of(text, (size_t)length);
}

static struct slice path_of(const struct shape *shape, unsigned n, char *text, size_t size)
{
    unsigned repo = n / shape->refs_per_repository;
    int length = snprintf(text, size, "group-%04u/project-%06u.git", repo / 50, repo);

    return slice_of(text, (size_t)length);
}

static struct oid some_oid(uint64_t n)
{
    struct rng rng = { n };
    struct oid oid = { .size = 20 };

    for (unsigned i = 0; i < 24; i += 8) {
        put_be64(oid.bytes + i, rng_next(&rng));
    }
    return oid;
}

static void apply(struct refdb *db, const struct buffer *command, enum rk_status expected)
{
    struct entry entry = { 1, refdb_applied_index(db) + 1, buffer_slice(command) };
    struct refdb_result result;

    if (refdb_apply(db, &entry, &result) != RK_OK || result.status != expected) {
        fprintf(stderr, "refused: %s\n", rk_status_word(result.status));
        exit(1);
    }
}

static void register_all(struct refdb *db, const struct shape *shape)
{
    static const char *const storages[3] = { "storage-1", "storage-2", "storage-3" };
    struct buffer command = BUFFER_INIT;
    char path[64];

    for (unsigned n = 0; n < shape->refs; n += shape->refs_per_repository) {
        for (unsigned i = 0; i < 3; i++) {
            buffer_clear(&command);
            command_encode_register_repo(&command, path_of(shape, n, path, sizeof path),
                                         slice_of_text(storages[i]));
            apply(db, &command, RK_OK);
        }
    }
    buffer_release(&command);
}

/* One update under an envelope with an actor, as a hook sends it. */
static void encode_update(const struct shape *shape, unsigned n, uint64_t generation,
                          struct buffer *command)
{
    struct envelope envelope = { .flags = ENVELOPE_ATOMIC };
    struct ref_update update = { .old_value = OLD_ABSENT };
    char name[64], path[64], actor[32];

    (void)snprintf(actor, sizeof actor, "user-%u", n % 500);
    envelope.actor = slice_of_text(actor);
    update.refname = ref_name(shape, n, name, sizeof name);
    update.new_oid = some_oid(n + generation * shape->refs);
    if (generation > 0) {
        update.old_value = OLD_OID;
        update.old_oid = some_oid(n + (generation - 1) * shape->refs);
    }
    buffer_clear(command);
    command_encode_ref_envelope(command, &envelope, path_of(shape, n, path, sizeof path), &update,
                                1);
}

/* A permutation: every number once, in no order. */
static unsigned *shuffled(unsigned count)
{
    unsigned *order = heap_alloc(count * sizeof *order);
    struct rng rng = { 42 };

    for (unsigned i = 0; i < count; i++) {
        order[i] = i;
    }
    for (unsigned i = count - 1; i > 0; i--) {
        unsigned k = (unsigned)rng_below(&rng, i + 1), kept = order[i];

        order[i] = order[k];
        order[k] = kept;
    }
    return order;
}

static void update_all(struct refdb *db, const struct shape *shape, const unsigned *order,
                       uint64_t generation, const char *what)
{
    struct buffer command = BUFFER_INIT;
    double encoding, both;

    encoding = seconds();
    for (unsigned i = 0; i < shape->refs; i++) {
        encode_update(shape, order[i], generation, &command);
    }
    encoding = seconds() - encoding;
    both = seconds();
    for (unsigned i = 0; i < shape->refs; i++) {
        encode_update(shape, order[i], generation, &command);
        apply(db, &command, RK_OK);
    }
    both = seconds() - both;
    printf("  %-28s %8.0f ns each\n", what, (both - encoding) / shape->refs * 1e9);
    buffer_release(&command);
}

static void look_up(const struct refdb *db, const struct shape *shape, const unsigned *order)
{
    struct refdb_ref_cursor cursor;
    struct refdb_ref ref;
    char name[64], path[64];
    unsigned count = 0;
    double start = seconds();

    for (unsigned i = 0; i < LOOKUPS; i++) {
        unsigned n = order[i % shape->refs];

        count += refdb_find_ref(db, path_of(shape, n, path, sizeof path),
                                ref_name(shape, n, name, sizeof name), &ref) == RK_OK;
    }
    printf("  %-28s %8.0f ns each (%u found, names made in between)\n", "lookup",
           (seconds() - start) / LOOKUPS * 1e9, count);
    count = 0;
    start = seconds();
    for (unsigned n = 0; n < shape->refs; n += shape->refs_per_repository) {
        if (refdb_seek_refs(db, path_of(shape, n, path, sizeof path), SLICE_NONE, &cursor) ==
            RK_OK) {
            while (refdb_next_ref(&cursor, &ref)) {
                count++;
            }
        }
    }
    printf("  %-28s %8.0f ns each\n", "list", (seconds() - start) / count * 1e9);
}

static void dump_and_load(struct refdb *db, const struct shape *shape)
{
    struct buffer dump = BUFFER_INIT;
    struct refdb_loader *loader = refdb_loader_new();
    struct refdb_view *view;
    struct refdb *loaded = NULL;
    struct refdb_gauges gauges;
    double freeze = seconds(), start, longest = 0, resident;
    size_t before;

    view = refdb_freeze(db);
    freeze = seconds() - freeze;
    start = seconds();
    do {
        double piece = seconds();

        before = dump.size;
        refdb_dump_next(view, &dump);
        piece = seconds() - piece;
        longest = piece > longest ? piece : longest;
    } while (dump.size > before);
    printf("  %-28s %8.3f s, %.1f MB, longest piece %.2f ms, freeze %.3f ms\n", "dump",
           seconds() - start, (double)dump.size / 1e6, longest * 1e3, freeze * 1e3);
    refdb_thaw(db, view);
    refdb_free(db);
    malloc_trim(0);
    resident = resident_bytes();
    start = seconds();
    if (refdb_loader_put(loader, buffer_slice(&dump)) != RK_OK ||
        refdb_loader_finish(loader, &loaded) != RK_OK) {
        fprintf(stderr, "the dump was refused\n");
        exit(1);
    }
    refdb_get_gauges(loaded, &gauges);
    printf("  %-28s %8.3f s\n", "load", seconds() - start);
    printf("  %-28s %8.1f bytes per ref, %.1f MiB\n", "resident after load",
           (resident_bytes() - resident) / shape->refs, (resident_bytes() - resident) / 1048576);
    printf("  %-28s %8.1f bytes per ref\n", "held after load", (double)gauges.bytes / shape->refs);
    refdb_free(loaded);
    buffer_release(&dump);
}

/* What changing goes on costs while a view is held, and how long the thaw takes. */
static void update_while_frozen(struct refdb *db, const struct shape *shape, const unsigned *order)
{
    struct refdb_view *view = refdb_freeze(db);
    double start;

    update_all(db, shape, order, 2, "update, frozen");
    start = seconds();
    refdb_thaw(db, view);
    printf("  %-28s %8.3f ms\n", "thaw", (seconds() - start) * 1e3);
    update_all(db, shape, order, 3, "update, after the thaw");
}

static void measure(const struct shape *shape)
{
    unsigned *order = shuffled(shape->refs);
    double resident = resident_bytes();
    struct refdb *db = refdb_new();
    struct refdb_gauges gauges;
    uint8_t digest[16];
    double start;

    printf("%s: %u refs in %u repositories\n", shape->name, shape->refs,
           shape->refs / shape->refs_per_repository);
    register_all(db, shape);
    update_all(db, shape, order, 0, "create, random order");
    malloc_trim(0);
    refdb_get_gauges(db, &gauges);
    printf("  %-28s %8.1f bytes per ref, %.1f MiB\n", "resident",
           (resident_bytes() - resident) / shape->refs, (resident_bytes() - resident) / 1048576);
    printf("  %-28s %8.1f bytes per ref\n", "held", (double)gauges.bytes / shape->refs);
    update_all(db, shape, order, 1, "update");
    look_up(db, shape, order);
    start = seconds();
    refdb_digest_recompute(db, digest);
    printf("  %-28s %8.3f s\n", "digest derived anew", seconds() - start);
    update_while_frozen(db, shape, order);
    dump_and_load(db, shape);
    heap_free(order);
}

int main(int argc, char **argv)
{
    const char *which = argc > 1 ? argv[1] : "all";
    unsigned refs = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1000000;
    struct shape wide = { "wide", refs, refs }, tall = { "tall", refs, 10 };

    if (refs < 10 || refs % 10 != 0) {
        fprintf(stderr, "usage: refdb [wide|tall|all] [refs, a multiple of 10]\n");
        return 2;
    }
    if (strcmp(which, "tall") != 0) {
        measure(&wide);
    }
    if (strcmp(which, "wide") != 0) {
        measure(&tall);
    }
    return 0;
}
