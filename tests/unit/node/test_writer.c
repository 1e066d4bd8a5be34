/* SPDX-License-Identifier: Apache-2.0 */
/* The log writer on a disk without space: what waits, what does not, and that all of it is done
 * once there is some. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <errno.h>

#include "base/heap.h"
#include "node/writer.h"
#include "support/loop.h"
#include "support/store.h"
#include "support/tmpdir.h"

/* The real file system, but for what takes space. */
static atomic_bool is_full;

static int allocate(struct fs *fs, fs_handle file, uint64_t offset, uint64_t size)
{
    return atomic_load(&is_full) ? ENOSPC : fs_posix()->ops->allocate(fs, file, offset, size);
}

static int open_file(struct fs *fs, fs_handle dir, const char *name, unsigned flags,
                     fs_handle *ret_file)
{
    bool takes_space = (flags & FS_CREATE) != 0 && atomic_load(&is_full);

    return takes_space ? ENOSPC : fs_posix()->ops->open(fs, dir, name, flags, ret_file);
}

struct writing {
    struct fs_ops ops;
    struct fs fs;
    struct store t;
    struct event_base *base;
    struct writer *w;
    uint64_t generation; /* as reported */
    raft_index last_index;
    bool is_installed;
};

static void on_report(void *context, const struct writer_report *report)
{
    struct writing *c = context;

    assert_int_equal(report->failed, RK_OK);
    c->generation = report->state_generation == 0 ? c->generation : report->state_generation;
    c->last_index = report->last_index == 0 ? c->last_index : report->last_index;
    c->is_installed |= report->is_installed;
}

static int setup(void **state)
{
    struct writing *c = heap_new(struct writing);

    atomic_store(&is_full, false);
    c->ops = *fs_posix()->ops;
    c->ops.allocate = allocate;
    c->ops.open = open_file;
    c->fs.ops = &c->ops;
    c->t = (struct store)STORE_INIT(&c->fs, tmpdir_make());
    assert_int_equal(store_open(&c->t), RK_OK);
    assert_int_equal(store_set_term(&c->t, 1, 1), RK_OK);
    c->base = event_base_new();
    c->w = writer_start(c->base, c->t.s, on_report, c);
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    struct writing *c = *state;

    writer_stop(c->w);
    event_base_free(c->base);
    store_release(&c->t);
    tmpdir_remove((char *)(uintptr_t)c->t.data_dir);
    heap_free(c);
    return 0;
}

/* ---- Orders ---- */

static void append(struct writing *c, raft_index index)
{
    static const uint8_t entry[ENTRY_HEADER_BYTES + 20];
    struct buffer bytes = BUFFER_INIT;
    size_t offset = 0;
    struct batch *b;

    buffer_put(&bytes, entry, sizeof entry);
    b = batch_seal(&bytes, &offset, 1, 1, index);
    writer_append(c->w, b);
    batch_unref(b);
}

static void vote(struct writing *c, raft_term term, node_id candidate, uint64_t generation)
{
    struct persistent_state *state = heap_copy(&c->t.recovered.state, sizeof *state);

    state->current_term = term;
    state->voted_for = candidate;
    writer_save_state(c->w, state, generation);
    heap_free(state);
}

static bool has_voted(void *argument)
{
    return ((struct writing *)argument)->generation == 9;
}

static bool has_appended(void *argument)
{
    return ((struct writing *)argument)->last_index == 2;
}

static bool has_installed(void *argument)
{
    return ((struct writing *)argument)->is_installed;
}

/* ---- What waits and what does not ---- */

static void term_and_vote_do_not_wait_for_space(void **state)
{
    struct writing *c = *state;

    atomic_store(&is_full, true);
    append(c, 1);
    writer_truncate(c->w, 2);
    vote(c, 2, 0, 8);
    append(c, 2);
    vote(c, 3, 2, 9);
    writer_hand_over(c->w);
    assert_true(loop_until(c->base, has_voted, c));
    assert_int_equal(c->last_index, 0); /* entries of the earlier term still wait */
    atomic_store(&is_full, false);
    assert_true(loop_until(c->base, has_appended, c)); /* without a further order */
    writer_stop(c->w);
    c->w = NULL;
    assert_int_equal(storage_get_state(c->t.s)->current_term, 3);
    assert_int_equal(storage_get_state(c->t.s)->voted_for, 2);
    assert_int_equal(storage_last_index(c->t.s), 2);
}

static void an_installation_waits_for_space(void **state)
{
    struct writing *c = *state;

    atomic_store(&is_full, true);
    writer_install(c->w, 7, 1, false);
    vote(c, 2, 2, 9);
    writer_hand_over(c->w);
    assert_true(loop_until(c->base, has_voted, c));
    assert_false(c->is_installed);
    atomic_store(&is_full, false);
    assert_true(loop_until(c->base, has_installed, c));
    assert_int_equal(storage_first_index(c->t.s), 8);
}

/* It was never acknowledged, so the process need not stay for it. */
static void a_stop_does_not_wait_for_space(void **state)
{
    struct writing *c = *state;

    atomic_store(&is_full, true);
    append(c, 1);
    vote(c, 2, 3, 9);
    writer_stop(c->w);
    c->w = NULL;
    assert_int_equal(storage_last_index(c->t.s), 0);
    assert_int_equal(storage_get_state(c->t.s)->voted_for, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(term_and_vote_do_not_wait_for_space, setup, teardown),
        cmocka_unit_test_setup_teardown(an_installation_waits_for_space, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stop_does_not_wait_for_space, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
