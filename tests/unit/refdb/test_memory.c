/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The k-th allocation fails, for every k of a life of the state: commands of each kind, a dump
 * while more of them are applied, a load.  A process whose memory ends either says so and aborts,
 * which a cluster survives, or goes on and comes to the same state as one whose memory did not end.
 */
#include "unit/refdb/fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/heap.h"
#include "support/failing_allocation.h"
#include "support/ref_set.h"

#define REFS 240
#define REFS_SMALL 12
#define EXIT_SAME 0
#define EXIT_OTHER_STATE 10

/* ---- The life ---- */

static void fill(struct fixture *f, const struct ref_set *set)
{
    char path[REF_SET_TEXT_MAX], name[REF_SET_TEXT_MAX], actor[REF_SET_TEXT_MAX];

    for (uint64_t n = 0; n < set->ref_count; n++) {
        struct ref_update u = { .old_value = OLD_ABSENT };

        (void)ref_set_path(set, ref_set_repository_of(set, n), path);
        if (n % set->refs_per_repository == 0) {
            (void)register_repo(f, path, n % 2 == 0 ? "s1" : "s2");
            (void)register_repo(f, path, "s3");
        }
        f->envelope = (struct envelope){ .flags = 0 };
        f->envelope.actor = ref_set_actor(set, n, actor);
        u.refname = ref_set_name(set, n, name);
        u.new_oid = ref_set_oid(set, n, 0);
        (void)ref_batch(f, path, &u, 1, n % 3 == 0);
    }
}

static void change(struct fixture *f, const struct ref_set *set, unsigned round)
{
    char path[REF_SET_TEXT_MAX], other[REF_SET_TEXT_MAX];
    uint64_t repository = round % ref_set_repository_count(set);

    (void)ref_set_path(set, repository, path);
    (void)snprintf(other, sizeof other, "moved/%u.git", round);
    (void)ref_update(f, path, "refs/heads/more", -1, round + 1);
    (void)ref_update(f, path, "refs/heads/main", -1, 0);
    (void)set_primary(f, "s3", path);
    (void)set_state(f, path, REPOSITORY_RO, "because");
    (void)open_session(f);
    f->envelope = (struct envelope){ .flags = ENVELOPE_HAS_SESSION, .sequence = 1 };
    f->envelope.session = f->result.index;
    struct ref_update u = update_of("refs/heads/again", 0, round + 1);
    (void)ref_batch(f, path, &u, 1, true);
    if (round % 2 == 0) {
        (void)rename_repo(f, path, other, false);
    } else {
        (void)remove_repo(f, path);
    }
}

static void dump_all(struct refdb *db, struct buffer *out)
{
    struct refdb_view *view = refdb_freeze(db);
    size_t size;

    do {
        size = out->size;
        refdb_dump_next(view, out);
    } while (out->size > size);
    refdb_thaw(db, view);
}

/* Everything at once; the dump of what was loaded at the end. */
static struct buffer live(void)
{
    struct ref_set set = ref_set_of(REF_SHAPE_SMALL, REFS, REFS_SMALL, 3);
    struct buffer during = BUFFER_INIT, dump = BUFFER_INIT, last = BUFFER_INIT;
    struct fixture f = { .db = refdb_new() };
    struct refdb_view *view;
    struct refdb *loaded;
    unsigned round = 0;
    size_t size;

    fill(&f, &set);
    view = refdb_freeze(f.db);
    do {
        size = during.size;
        change(&f, &set, round++);
        refdb_dump_next(view, &during);
    } while (during.size > size || round < 12);
    refdb_thaw(f.db, view);
    dump_all(f.db, &dump);
    loaded = load_of(buffer_slice(&dump), 1000);
    if (loaded != NULL) {
        dump_all(loaded, &last);
        buffer_put_slice(&last, buffer_slice(&during));
    }
    refdb_free(loaded);
    refdb_free(f.db);
    buffer_release(&f.command);
    buffer_release(&during);
    buffer_release(&dump);
    return last;
}

/* ---- The sweep ---- */

static bool is_equal(const struct buffer *a, const struct buffer *b)
{
    return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

/* A life of a process of its own; its wait status.  What it says goes into `said`. */
static int live_apart(uint64_t k, const struct buffer *expected, char said[128])
{
    const struct rlimit no_core = { 0, 0 };
    int ends[2], status = 0;
    ssize_t size;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    (void)fflush(stdout);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct buffer last;

        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)signal(SIGABRT, SIG_DFL);
        (void)dup2(ends[1], STDERR_FILENO);
        allocation_fail(k);
        last = live();
        _exit(is_equal(&last, expected) ? EXIT_SAME : EXIT_OTHER_STATE);
    }
    (void)close(ends[1]);
    size = read(ends[0], said, 127);
    said[size > 0 ? size : 0] = '\0';
    (void)close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void exhausted_memory_ends_a_process_or_changes_nothing(void **state)
{
    struct buffer expected;
    uint64_t total, aborted = 0, survived = 0;
    char said[128];

    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* an abort is a finding there */
#endif
    allocation_fail(0);
    expected = live();
    total = allocation_count();
    assert_true(expected.size > 1000);
    for (uint64_t k = 1; k <= total; k++) {
        int status = live_apart(k, &expected, said);

        if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SAME) {
            survived++;
        } else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT &&
                   strncmp(said, "refkeeper: out of memory", 24) == 0) {
            aborted++;
        } else {
            fail_msg("allocation %llu of %llu: wait status %x, said \"%s\"", (unsigned long long)k,
                     (unsigned long long)total, (unsigned)status, said);
        }
    }
    print_message("%llu allocations failed in turn: %llu processes said so and ended, %llu came to "
                  "the same state\n",
                  (unsigned long long)total, (unsigned long long)aborted,
                  (unsigned long long)survived);
    assert_true(aborted > total / 2);
    buffer_release(&expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exhausted_memory_ends_a_process_or_changes_nothing),
    };

    return cmocka_run_group_tests_name("refdb/memory", tests, NULL, NULL);
}
