/* SPDX-License-Identifier: Apache-2.0 */
#include "node/replicas.h"

#include <string.h>

#include "base/assert.h"
#include "base/heap.h"
#include "base/limits.h"
#include "sys/entropy.h"

#define SLOTS_MIN 1024 /* a power of two */

struct report {
    uint64_t repository_id; /* 0 = free */
    raft_index seen_index;
    uint64_t digest;  /* half of the last one: enough to tell it from the next */
    uint32_t storage; /* in `storages` */
};

struct heard_storage {
    uint8_t *name;
    size_t name_bytes;
    time_ms heard_ms;
};

struct replicas {
    struct report *slots; /* open addressing */
    size_t slot_count, count;
    struct heard_storage *storages; /* a handful: looked through in order */
    uint32_t storage_count;
    uint64_t generation;
    uint64_t withdrawn;
};

struct replicas *replicas_new(void)
{
    struct replicas *r = heap_new(struct replicas);

    *r = (struct replicas){ .slot_count = SLOTS_MIN };
    r->slots = heap_zalloc(r->slot_count * sizeof *r->slots);
    r->generation = entropy_u64() >> 16; /* a positive integer for everybody */
    return r;
}

void replicas_free(struct replicas *r)
{
    if (r == NULL) {
        return;
    }
    for (uint32_t i = 0; i < r->storage_count; i++) {
        heap_free(r->storages[i].name);
    }
    heap_free(r->storages);
    heap_free(r->slots);
    heap_free(r);
}

/* storage_count when it never reported. */
static uint32_t find_storage(const struct replicas *r, struct slice name)
{
    uint32_t i = 0;

    while (i < r->storage_count &&
           !slice_equal(slice_of(r->storages[i].name, r->storages[i].name_bytes), name)) {
        i++;
    }
    return i;
}

/* Names outside the registry were refused before, so their number is that of storages. */
static uint32_t take_storage(struct replicas *r, struct slice name)
{
    uint32_t i = find_storage(r, name);

    if (i == r->storage_count) {
        r->storages = heap_grow(r->storages, (i + 1) * sizeof *r->storages);
        r->storages[i] = (struct heard_storage){ heap_copy(name.data, name.size), name.size, 0 };
        r->storage_count++;
    }
    return i;
}

static struct report *find_slot(const struct replicas *r, uint64_t id, uint32_t storage)
{
    uint64_t hash = (id * 0x9e3779b97f4a7c15ULL) ^ (storage * 0xc2b2ae3d27d4eb4fULL);
    size_t i = (size_t)(hash ^ hash >> 29) & (r->slot_count - 1);

    while (r->slots[i].repository_id != 0 &&
           (r->slots[i].repository_id != id || r->slots[i].storage != storage)) {
        i = (i + 1) & (r->slot_count - 1);
    }
    return &r->slots[i];
}

static void grow(struct replicas *r)
{
    struct report *old = r->slots;
    size_t old_count = r->slot_count;

    r->slot_count = 2 * old_count;
    r->slots = heap_zalloc(r->slot_count * sizeof *r->slots);
    for (size_t i = 0; i < old_count; i++) {
        if (old[i].repository_id != 0) {
            *find_slot(r, old[i].repository_id, old[i].storage) = old[i];
        }
    }
    heap_free(old);
}

void replicas_report(struct replicas *r, uint64_t repository_id, struct slice storage,
                     const uint8_t digest[16], raft_index complete_index)
{
    uint64_t half = get_be64(digest + 8);
    uint32_t number = take_storage(r, storage);
    struct report *slot = find_slot(r, repository_id, number);

    PRE(repository_id != 0);
    if (slot->repository_id == 0) {
        if (r->count == REPLICA_REPORTS_MAX) {
            memset(r->slots, 0, r->slot_count * sizeof *r->slots);
            r->count = 0;
            r->generation++;
        } else if (2 * (r->count + 1) > r->slot_count) {
            grow(r);
        }
        slot = find_slot(r, repository_id, number);
        r->count++;
    }
    if (complete_index == 0 && slot->repository_id != 0 && slot->digest == half) {
        return; /* as it was */
    }
    if (complete_index < slot->seen_index) {
        r->withdrawn++;
    }
    *slot = (struct report){ repository_id, complete_index, half, number };
}

raft_index replicas_seen(const struct replicas *r, uint64_t repository_id, struct slice storage)
{
    uint32_t number = find_storage(r, storage);

    return number == r->storage_count ? 0 : find_slot(r, repository_id, number)->seen_index;
}

void replicas_heard(struct replicas *r, struct slice storage, time_ms now_ms)
{
    uint32_t number = take_storage(r, storage); /* may move the array */

    r->storages[number].heard_ms = now_ms;
}

time_ms replicas_silent_ms(const struct replicas *r, struct slice storage, time_ms now_ms)
{
    uint32_t number = find_storage(r, storage);

    return number == r->storage_count || r->storages[number].heard_ms == 0
               ? -1
               : now_ms - r->storages[number].heard_ms;
}

bool replicas_is_heard(const struct replicas *r, struct slice storage, time_ms now_ms)
{
    time_ms silent_ms = replicas_silent_ms(r, storage, now_ms);

    return silent_ms >= 0 && silent_ms <= STORAGE_HEARD_MS;
}

size_t replicas_count(const struct replicas *r)
{
    return r->count;
}

uint64_t replicas_generation(const struct replicas *r)
{
    return r->generation;
}

uint64_t replicas_withdrawn(const struct replicas *r)
{
    return r->withdrawn;
}
