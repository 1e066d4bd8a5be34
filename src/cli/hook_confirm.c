/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refkeeper hook post-receive: git lists what it tells the pusher is done; the disk must agree.
 * [githooks(5)]
 *
 * proc-receive has written the disk before it answered.  A difference means either that another
 * push was decided since, and then the cluster has moved on, too: nothing is wrong and nothing is
 * said; or that something else wrote, or that the disk lies: the cluster still has the value that
 * the disk lacks.  Nobody can refuse here any more: the pusher and the operator are told, and
 * `refkeeper resolve` repairs.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "base/limits.h"
#include "cli/git.h"
#include "cli/git_refs.h"
#include "cli/hook.h"
#include "cli/tracked_refs.h"
#include "cli/verbs.h"
#include "sys/clock.h"

#define CONFIRM_MS 30000
#define LINE_BYTES (2 * (RK_OID_TEXT_MAX + 1) + REFNAME_BYTES_MAX + 2)
#define TOLD_MAX 10
#define NAMED_MAX 32
#define CLUSTER_MS 5000
#define LOOKS 3 /* both sides change while they are looked at */
#define PAUSE_MS 100

struct told {
    char *line; /* "old new ref", cut into words */
    const char *new_oid, *name;
    bool is_missing; /* on disk */
};

struct confirm {
    struct told *refs;
    size_t count, capacity;
    struct hook_place place; /* opened when something is missing */
    struct tracked_refs tracked;
    bool is_open;
};

static void read_lines(struct confirm *c)
{
    char line[LINE_BYTES];

    while (fgets(line, sizeof line, stdin) != NULL) {
        char *new_oid = strchr(line, ' ');
        char *name = new_oid == NULL ? NULL : strchr(new_oid + 1, ' ');
        struct told *t;

        if (name == NULL) {
            continue;
        }
        line[strcspn(line, "\n")] = '\0';
        if (c->count == c->capacity) {
            c->capacity = c->capacity == 0 ? 16 : 2 * c->capacity;
            c->refs = heap_grow(c->refs, c->capacity * sizeof *c->refs);
        }
        t = &c->refs[c->count++];
        t->line = heap_copy_text(line, strlen(line));
        t->line[new_oid - line] = '\0';
        t->line[name - line] = '\0';
        t->new_oid = t->line + (new_oid + 1 - line);
        t->name = t->line + (name + 1 - line);
        t->is_missing = true; /* until it is seen */
    }
}

/* ---- The disk ---- */

/* Most pushes are of a few refs with a file each: no process is needed to read those. */
static bool is_in_file(const struct told *t)
{
    char oid[RK_OID_TEXT_MAX + 1];

    return git_read_loose(hook_git_dir(), t->name, oid) && strcmp(oid, t->new_oid) == 0;
}

/* Few refs are asked for by name: a repository may have very many. */
static enum rk_status read_disk(const struct confirm *c, struct git_refs *disk, struct errmsg *why)
{
    const char *names[NAMED_MAX + 1] = { NULL };
    size_t count = 0;

    for (size_t i = 0; i < c->count && c->count <= NAMED_MAX; i++) {
        if (c->refs[i].is_missing) {
            names[count++] = c->refs[i].name;
        }
    }
    return git_refs_read_some(disk, NULL, names, clock_monotonic_ms() + CONFIRM_MS, why);
}

static bool is_on_disk(const struct git_refs *disk, const char *ref, const char *oid)
{
    const char *found = git_refs_find(disk, ref);

    return found == NULL ? oid[strspn(oid, "0")] == '\0' : strcmp(found, oid) == 0;
}

static size_t count_missing(const struct confirm *c)
{
    size_t missing = 0;

    for (size_t i = 0; i < c->count; i++) {
        missing += c->refs[i].is_missing ? 1 : 0;
    }
    return missing;
}

/* Looks once more at those that are missing. */
static enum rk_status look(struct confirm *c, struct errmsg *why)
{
    struct git_refs disk = { .count = 0 };
    enum rk_status status = RK_OK;

    for (size_t i = 0; i < c->count; i++) {
        c->refs[i].is_missing = c->refs[i].is_missing && !is_in_file(&c->refs[i]);
    }
    if (count_missing(c) > 0) {
        status = read_disk(c, &disk, why);
    }
    for (size_t i = 0; i < c->count && status == RK_OK; i++) {
        struct told *t = &c->refs[i];

        t->is_missing = t->is_missing && !is_on_disk(&disk, t->name, t->new_oid);
    }
    git_refs_release(&disk);
    return status;
}

/* ---- The cluster ---- */

/* Whether it still has what git told the pusher; what it does not decide about is git's alone. */
static bool is_decided(const struct confirm *c, const struct told *t)
{
    char oid[RK_OID_TEXT_MAX + 1];
    struct rk_error error;
    enum rk_status status;

    if (!tracked_refs_has(&c->tracked, t->name)) {
        return false;
    }
    status = rk_ref_get(c->place.client, c->place.path, t->name, NULL, oid, &error);
    if (status == RK_NOREF) {
        return t->new_oid[strspn(t->new_oid, "0")] == '\0';
    }
    return status != RK_OK || strcmp(oid, t->new_oid) == 0;
}

static bool open_cluster(struct confirm *c, struct cli *cli)
{
    struct errmsg why = ERRMSG_INIT;
    struct rk_error error;

    if (!c->is_open) {
        hook_place_release(&c->place);
        c->is_open = hook_place_open(&c->place, cli, CLUSTER_MS, &why) == RK_OK &&
                     tracked_refs_read(&c->tracked, c->place.client, false, &error) == RK_OK;
    }
    return c->is_open;
}

/* Leaves those that another decision did not change since.  Without an answer all are left. */
static void drop_changed(struct confirm *c, struct cli *cli)
{
    if (!open_cluster(c, cli)) {
        return;
    }
    for (size_t i = 0, asked = 0; i < c->count && asked < NAMED_MAX; i++) {
        struct told *t = &c->refs[i];

        if (t->is_missing) {
            t->is_missing = is_decided(c, t);
            asked++;
        }
    }
}

static int confirm(struct confirm *c, struct cli *cli)
{
    struct errmsg why = ERRMSG_INIT;
    size_t told = 0;

    for (int i = 0; i < LOOKS; i++) {
        if (i > 0) {
            (void)poll(NULL, 0, PAUSE_MS);
        }
        if (look(c, &why) != RK_OK) {
            return cli_fail_text(cli, RK_IO, "look whether the push is on disk: %s", why.text);
        }
        if (count_missing(c) == 0) {
            return 0;
        }
        drop_changed(c, cli);
    }
    for (size_t i = 0; i < c->count && told < TOLD_MAX; i++) {
        if (c->refs[i].is_missing) {
            fprintf(stderr, "refkeeper: %s is not at %s on this storage's disk\n", c->refs[i].name,
                    c->refs[i].new_oid);
            told++;
        }
    }
    if (count_missing(c) == 0) {
        return 0;
    }
    fprintf(stderr,
            "refkeeper: %zu refs were accepted and are not on disk; the operator should run "
            "`refkeeper resolve`\n",
            count_missing(c));
    return EXIT_REFUSED;
}

static void release(struct confirm *c)
{
    for (size_t i = 0; i < c->count; i++) {
        heap_free(c->refs[i].line);
    }
    heap_free(c->refs);
    hook_place_release(&c->place);
    tracked_refs_release(&c->tracked);
}

int cmd_hook_post_receive(struct cli *cli, int argc, char **argv)
{
    struct confirm c = { .refs = NULL };
    int code;

    if (cli_parse(cli, argc, argv, NULL, 0, 0, 0) < 0) {
        return EXIT_USAGE;
    }
    read_lines(&c);
    code = confirm(&c, cli);
    release(&c);
    return code;
}
