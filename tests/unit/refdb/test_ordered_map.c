/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map against a sorted array: random keys of all lengths, from a few bytes to the longest,
 * with much and with little in common; frozen copies; the builder.
 */
#include "unit/refdb/fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/rng.h"
#include "refdb/ordered_map.h"

#define KEYS 1500
#define STEPS 60000

struct pair {
    uint8_t key[MAP_KEY_BYTES_MAX], value[300];
    size_t key_size, value_size;
    bool is_there;
};

struct world {
    struct rng rng;
    struct node_pool pool;
    struct ordered_map map;
    struct pair pairs[KEYS]; /* sorted, keys fixed */
    uint64_t count;
};

static int by_key(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;

    return slice_compare(slice_of(x->key, x->key_size), slice_of(y->key, y->key_size));
}

static struct slice key_of(const struct pair *p)
{
    return slice_of(p->key, p->key_size);
}

/* Short and long runs of few letters: prefixes of each other, long common starts. */
static void make_key(struct rng *rng, struct pair *p)
{
    static const size_t lengths[] = { 2, 5, 20, 60, 130, 300, MAP_KEY_BYTES_MAX };
    size_t length = 1 + rng_below(rng, lengths[rng_below(rng, 7)]), i = 0;

    while (i < length) {
        uint8_t letter = (uint8_t)("ab/\xff"[rng_below(rng, 4)]);
        size_t run = 1 + rng_below(rng, rng_below(rng, 3) == 0 ? 200 : 3);

        while (i < length && run-- > 0) {
            p->key[i++] = letter;
        }
    }
    p->key_size = length;
}

static struct world *world_new(uint64_t seed)
{
    struct world *w = heap_new(struct world);

    rng_init(&w->rng, seed);
    node_pool_init(&w->pool);
    for (unsigned i = 0; i < KEYS; i++) {
        make_key(&w->rng, &w->pairs[i]);
    }
    qsort(w->pairs, KEYS, sizeof w->pairs[0], by_key);
    for (unsigned i = 1, kept = 0; i < KEYS; i++) { /* the same key again is not used */
        if (by_key(&w->pairs[kept], &w->pairs[i]) == 0) {
            w->pairs[i].key_size = 0;
        } else {
            kept = i;
        }
    }
    return w;
}

static void world_free(struct world *w)
{
    map_clear(&w->pool, &w->map);
    node_pool_release(&w->pool); /* asserts that nothing is left */
    heap_free(w);
}

static void change(struct world *w, unsigned remove_share)
{
    struct pair *p = &w->pairs[rng_below(&w->rng, KEYS)];

    if (p->key_size == 0) {
        return;
    }
    if (rng_below(&w->rng, 100) < remove_share) {
        assert_int_equal(map_remove(&w->pool, &w->map, key_of(p)), p->is_there);
        p->is_there = false;
    } else {
        p->value_size = rng_below(&w->rng, rng_below(&w->rng, 8) == 0 ? sizeof p->value : 30);
        memset(p->value, (int)rng_below(&w->rng, 256), p->value_size);
        map_put(&w->pool, &w->map, key_of(p), slice_of(p->value, p->value_size));
        p->is_there = true;
    }
}

static void compare(const struct world *w, const struct ordered_map *map)
{
    struct map_cursor cursor;
    struct slice key, value;
    uint64_t count = 0;

    map_seek(map, SLICE_NONE, &cursor);
    for (unsigned i = 0; i < KEYS; i++) {
        const struct pair *p = &w->pairs[i];

        if (!p->is_there) {
            if (p->key_size > 0) {
                assert_false(map_find(map, key_of(p), &value));
            }
            continue;
        }
        count++;
        assert_true(map_next(&cursor, &key, &value));
        assert_true(slice_equal(key, key_of(p)));
        assert_true(slice_equal(value, slice_of(p->value, p->value_size)));
        assert_true(map_find(map, key_of(p), &value));
        assert_true(slice_equal(value, slice_of(p->value, p->value_size)));
    }
    assert_false(map_next(&cursor, &key, &value));
    assert_int_equal(map->count, count);
}

/* From a random key, there or not, to a few behind it. */
static void compare_seek(struct world *w)
{
    unsigned from = (unsigned)rng_below(&w->rng, KEYS);
    struct map_cursor cursor;
    struct slice key, value;

    if (w->pairs[from].key_size == 0) {
        return;
    }
    map_seek(&w->map, key_of(&w->pairs[from]), &cursor);
    for (unsigned i = from; i < KEYS && i < from + 20; i++) {
        if (w->pairs[i].is_there) {
            assert_true(map_next(&cursor, &key, &value));
            assert_true(slice_equal(key, key_of(&w->pairs[i])));
        }
    }
}

static void random_changes_agree_with_a_sorted_array(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct world *w = world_new(seed);

        for (unsigned i = 0; i < STEPS; i++) {
            change(w, i / 8000 % 2 == 0 ? 20 : 80); /* grow and shrink in turn */
            compare_seek(w);
            if (i % 4000 == 0) {
                compare(w, &w->map);
            }
        }
        compare(w, &w->map);
        world_free(w);
    }
}

static void a_frozen_copy_stays_as_it_was(void **state)
{
    struct world *w = world_new(9), *kept = heap_new(struct world);

    (void)state;
    for (unsigned round = 0; round < 30; round++) {
        struct ordered_map frozen;

        for (unsigned i = 0; i < 500; i++) {
            change(w, 40);
        }
        memcpy(kept, w, sizeof *w);
        frozen = w->map;
        node_pool_freeze(&w->pool);
        for (unsigned i = 0; i < 1500; i++) {
            change(w, round % 2 == 0 ? 30 : 70);
        }
        compare(kept, &frozen);
        compare(w, &w->map);
        node_pool_thaw(&w->pool);
        node_pool_sweep(&w->pool, round % 3 == 0 ? 5 : SIZE_MAX);
    }
    heap_free(kept);
    world_free(w);
}

static void a_built_map_is_like_one_that_grew(void **state)
{
    struct map_builder *builder = heap_new(struct map_builder);

    (void)state;
    for (unsigned count = 0; count <= KEYS; count = count * 2 + 1) {
        struct world *w = world_new(count + 1);

        map_builder_init(builder);
        for (unsigned i = 0; i < count; i++) {
            struct pair *p = &w->pairs[i];

            if (p->key_size > 0) {
                p->is_there = true;
                assert_true(map_builder_add(&w->pool, builder, key_of(p), SLICE_NONE));
                assert_false(map_builder_add(&w->pool, builder, key_of(p), SLICE_NONE));
            }
        }
        map_builder_finish(&w->pool, builder, &w->map);
        compare(w, &w->map);
        for (unsigned i = 0; i < 3000; i++) {
            change(w, 60);
        }
        compare(w, &w->map);
        world_free(w);
    }
    heap_free(builder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_agree_with_a_sorted_array),
        cmocka_unit_test(a_frozen_copy_stays_as_it_was),
        cmocka_unit_test(a_built_map_is_like_one_that_grew),
    };

    return cmocka_run_group_tests_name("refdb/ordered_map", tests, NULL, NULL);
}
