/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A second thread dumps the frozen view while this one goes on applying.  The dump must be
 * that of the freeze, and ThreadSanitizer must find nothing to say:
 *
 *   ../configure CFLAGS='-O1 -g -fsanitize=thread' --disable-hardening
 */
#include "unit/refdb/fixture.h"

#include <pthread.h>
#include <stdio.h>

#include "base/rng.h"

#define ROUNDS 6
#define REPOS 40
#define REFS 20000

struct dump_work {
    struct refdb_view *view;
    struct buffer out;
    int is_done; /* atomic */
};

static void *dump_frozen(void *argument)
{
    struct dump_work *work = argument;
    size_t size;

    do {
        size = work->out.size;
        refdb_dump_next(work->view, &work->out);
    } while (work->out.size > size);
    __atomic_store_n(&work->is_done, 1, __ATOMIC_RELEASE);
    return NULL;
}

static const char *repo_name(unsigned n, char text[32])
{
    snprintf(text, 32, "g%u/p%u.git", n % 7, n);
    return text;
}

static void change_something(struct fixture *f, struct rng *rng)
{
    char path[32], other[32], ref[48];
    unsigned n = (unsigned)rng_below(rng, REPOS), what = (unsigned)rng_below(rng, 400);
    struct ref_update u;

    (void)repo_name(n, path);
    if (what == 0) {
        (void)remove_repo(f, path);
    } else if (what == 1) {
        (void)register_repo(f, path, "s4");
    } else if (what == 2) {
        (void)rename_repo(f, path, repo_name((unsigned)rng_below(rng, 2 * REPOS), other), false);
    } else if (what == 3) {
        (void)set_primary(f, "s4", path);
    } else if (what == 4) {
        (void)open_session(f);
    } else {
        snprintf(ref, sizeof ref, "refs/changes/%02u/%u", (unsigned)rng_below(rng, 100),
                 (unsigned)rng_below(rng, REFS / 100));
        f->envelope.actor = TEXT(what % 2 == 0 ? "alice" : ref);
        u = update_of(ref, -1, (unsigned)rng_below(rng, 5));
        (void)ref_batch(f, path, &u, 1, true);
    }
}

static void a_dump_in_another_thread_is_that_of_the_freeze(void **state)
{
    struct fixture *f = *state;
    struct rng rng = { 7 };
    char path[32];

    for (unsigned i = 0; i < REPOS; i++) {
        assert_int_equal(register_repo(f, repo_name(i, path), i % 2 == 0 ? "s1" : "s2"), RK_OK);
    }
    for (unsigned i = 0; i < 2 * REFS; i++) {
        change_something(f, &rng);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct buffer before = dump_of(f->db);
        struct dump_work work = { .view = refdb_freeze(f->db), .out = BUFFER_INIT };
        unsigned changes = 0;
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, dump_frozen, &work), 0);
        while (!__atomic_load_n(&work.is_done, __ATOMIC_ACQUIRE) || changes < 3000) {
            change_something(f, &rng);
            changes++;
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        refdb_thaw(f->db, work.view);
        assert_int_equal(before.size, work.out.size);
        assert_memory_equal(before.data, work.out.data, before.size);
        buffer_release(&before);
        buffer_release(&work.out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_dump_in_another_thread_is_that_of_the_freeze,
                                        fixture_setup, fixture_teardown),
    };

    return cmocka_run_group_tests_name("refdb/dump_thread", tests, NULL, NULL);
}
