/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same random transactions through `git update-ref --stdin` and through an atomic batch:
 * both accept or both refuse, and the refs are equal afterwards.
 *
 * Left out on purpose, because we differ: a ref that does not exist, deleted without an old
 * value, is NOREF here and nothing to do for git.
 */
#include "unit/refdb/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/rng.h"

#define REPO "r.git"
#define VALUES 4
#define NAMES 14
#define ITEMS_MAX 5
#define TRANSACTIONS 250

static const char *const names[NAMES] = {
    "refs/heads/a",     "refs/heads/a/b", "refs/heads/a/b/c", "refs/heads/a-b", "refs/heads/a.b",
    "refs/heads/b",     "refs/heads/b/x", "refs/heads/b/x/y", "refs/tags/v1",   "refs/tags/v1/rc",
    "refs/heads/c/d/e", "refs/heads/c/d", "refs/heads/c",     "refs/notes/n",
};

struct git {
    char directory[64];
    char oids[VALUES + 1][OID_HEX_BYTES_MAX + 1]; /* [0] = zeros */
    unsigned current[NAMES];
    struct fixture *fixture;
};

/* Runs a command in the repository; its output, cut to the buffer.  The exit status. */
static int run(const struct git *g, const char *command, char *output, size_t size)
{
    char line[4096];
    FILE *pipe;
    size_t length;

    (void)snprintf(line, sizeof line,
                   "cd %s && GIT_CONFIG_NOSYSTEM=1 HOME=%s GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=e "
                   "GIT_COMMITTER_NAME=n GIT_COMMITTER_EMAIL=e %s 2>/dev/null",
                   g->directory, g->directory, command);
    pipe = popen(line, "r");
    assert_non_null(pipe);
    length = fread(output, 1, size - 1, pipe);
    output[length] = '\0';
    return pclose(pipe);
}

static bool git_is_there(void)
{
    return system("git --version >/dev/null 2>&1") == 0;
}

static void make_repository(struct git *g)
{
    char output[256], command[256];

    (void)snprintf(g->directory, sizeof g->directory, "/tmp/refdb-git-XXXXXX");
    assert_non_null(mkdtemp(g->directory));
    assert_int_equal(run(g, "git init -q --bare .", output, sizeof output), 0);
    memset(g->oids[0], '0', 40);
    for (unsigned i = 1; i <= VALUES; i++) {
        (void)snprintf(command, sizeof command,
                       "git commit-tree -m c%u $(git hash-object -w -t tree /dev/null)", i);
        assert_int_equal(run(g, command, output, sizeof output), 0);
        memcpy(g->oids[i], output, 40);
    }
}

static void remove_repository(const struct git *g)
{
    char output[16], command[128];

    (void)snprintf(command, sizeof command, "rm -rf %s", g->directory);
    (void)run(g, command, output, sizeof output);
}

/* ---- One transaction ---- */

struct item {
    unsigned name, new_value; /* 0 = delete */
    int old;                  /* -1 any, 0 absent */
};

static void choose(const struct git *g, struct rng *rng, struct item *item)
{
    item->name = (unsigned)rng_below(rng, NAMES);
    item->new_value = rng_below(rng, 3) == 0 ? 0 : 1 + (unsigned)rng_below(rng, VALUES);
    item->old = (int)g->current[item->name];
    if (rng_below(rng, 3) == 0) {
        item->old = (int)rng_below(rng, VALUES + 2) - 1;
    }
    if (item->new_value == 0 && item->old <= 0) { /* what git's input cannot say */
        item->old = 1 + (int)rng_below(rng, VALUES);
    }
}

static void put_line(const struct git *g, const struct item *item, struct buffer *script)
{
    if (item->new_value == 0) {
        buffer_printf(script, "delete %s %s\n", names[item->name], g->oids[item->old]);
    } else if (item->old < 0) {
        buffer_printf(script, "update %s %s\n", names[item->name], g->oids[item->new_value]);
    } else {
        buffer_printf(script, "update %s %s %s\n", names[item->name], g->oids[item->new_value],
                      g->oids[item->old]);
    }
}

static struct ref_update to_update(const struct git *g, const struct item *item)
{
    struct ref_update u = update_of(names[item->name], item->old, item->new_value);

    if (item->old > 0) {
        assert_int_equal(oid_parse(TEXT(g->oids[item->old]), &u.old_oid), RK_OK);
    }
    if (item->new_value > 0) {
        assert_int_equal(oid_parse(TEXT(g->oids[item->new_value]), &u.new_oid), RK_OK);
    }
    return u;
}

/* All refs, as "oid name" lines. */
static void compare_refs(struct git *g)
{
    struct buffer ours = BUFFER_INIT;
    struct refdb_ref_cursor cursor;
    char output[8192], hex[OID_HEX_BYTES_MAX + 1];
    struct refdb_ref ref;

    assert_int_equal(refdb_seek_refs(g->fixture->db, TEXT(REPO), SLICE_NONE, &cursor), RK_OK);
    memset(g->current, 0, sizeof g->current);
    while (refdb_next_ref(&cursor, &ref)) {
        oid_format(&ref.oid, hex);
        buffer_printf(&ours, "%s %.*s\n", hex, (int)ref.name.size, (const char *)ref.name.data);
        for (unsigned i = 0; i < NAMES; i++) {
            for (unsigned v = 1; v <= VALUES && slice_equal(ref.name, TEXT(names[i])); v++) {
                g->current[i] = strcmp(hex, g->oids[v]) == 0 ? v : g->current[i];
            }
        }
    }
    assert_int_equal(
        run(g, "git for-each-ref --format='%(objectname) %(refname)'", output, sizeof output), 0);
    assert_slice(buffer_slice(&ours), output);
    buffer_release(&ours);
}

static void one_transaction(struct git *g, struct rng *rng, unsigned *accepted)
{
    struct buffer script = BUFFER_INIT;
    struct ref_update updates[ITEMS_MAX];
    unsigned count = 1 + (unsigned)rng_below(rng, ITEMS_MAX);
    char command[2048], output[64];
    enum rk_status status;
    struct item item;
    bool is_accepted;

    for (unsigned i = 0; i < count; i++) {
        choose(g, rng, &item);
        put_line(g, &item, &script);
        updates[i] = to_update(g, &item);
    }
    (void)snprintf(command, sizeof command, "printf '%.*s' | git update-ref --stdin",
                   (int)script.size, (const char *)script.data);
    is_accepted = run(g, command, output, sizeof output) == 0;
    status = ref_batch(g->fixture, REPO, updates, count, true);
    if (is_accepted != (status == RK_OK)) {
        fail_msg("git %s, we say %s:\n%.*s", is_accepted ? "accepts" : "refuses",
                 rk_status_word(status), (int)script.size, (const char *)script.data);
    }
    *accepted += is_accepted;
    buffer_release(&script);
    compare_refs(g);
}

static void transactions_end_as_with_git(void **state)
{
    struct git g = { .fixture = *state };
    const char *text = getenv("RK_SEED");
    struct rng rng = { text == NULL ? 1 : strtoull(text, NULL, 10) };
    unsigned accepted = 0;

    if (!git_is_there()) {
        skip();
    }
    print_message("RK_SEED=%llu tests/unit/refdb/test_git\n", (unsigned long long)rng.state);
    assert_int_equal(register_repo(g.fixture, REPO, "s1"), RK_OK);
    make_repository(&g);
    for (unsigned i = 0; i < TRANSACTIONS; i++) {
        one_transaction(&g, &rng, &accepted);
    }
    assert_in_range(accepted, TRANSACTIONS / 20, TRANSACTIONS - TRANSACTIONS / 20);
    remove_repository(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(transactions_end_as_with_git, fixture_setup,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests_name("refdb/git", tests, NULL, NULL);
}
