/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refkeeper rebuild: an empty cluster learns everything from the storages' disks.
 *
 * The rule: a ref has the value that every copy of its repository has.  Where one copy has another
 * value, or none, nobody can tell from disk which is newer: a copy may lag behind, and as well may
 * be the only one that a forced push or a deletion reached.  Such a ref is named, left out, and
 * its repository frozen, unless --prefer says whose value counts.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "cli/bare_tree.h"
#include "cli/cli.h"
#include "cli/git_refs.h"
#include "cli/import_refs.h"
#include "cli/progress.h"
#include "cli/tracked_refs.h"
#include "cli/verbs.h"
#include "sys/clock.h"

#define STORAGES_MAX 32
#define GIT_MS (30 * 60 * 1000)

struct disk {
    char *name;
    const char *root;
    struct bare_tree tree;
    size_t at; /* next path */
};

/* One repository's copies. */
struct copies {
    const char *path;
    struct disk *disks[STORAGES_MAX];
    struct git_refs refs[STORAGES_MAX];
    size_t at[STORAGES_MAX]; /* next ref */
    size_t count;
    size_t preferred; /* its place here; count = none */
};

struct rebuild {
    struct cli *cli;
    struct rk_client *client;
    struct disk disks[STORAGES_MAX];
    size_t disk_count;
    const char *prefer;
    bool is_dry_run, is_resumed;
    struct tracked_refs tracked;
    struct output *output;
    uint64_t repositories, refs, left_out, decided, conflicts;
};

/* ---- Reading ---- */

/* The first path of all trees that was not done; NULL at the end. */
static const char *next_path(struct rebuild *r)
{
    const char *first = NULL;

    for (size_t i = 0; i < r->disk_count; i++) {
        const struct disk *d = &r->disks[i];

        if (d->at < d->tree.count && (first == NULL || strcmp(d->tree.paths[d->at], first) < 0)) {
            first = d->tree.paths[d->at];
        }
    }
    return first;
}

static enum rk_status read_copies(struct rebuild *r, struct copies *c, struct errmsg *why)
{
    enum rk_status status = RK_OK;

    for (size_t i = 0; i < r->disk_count && status == RK_OK; i++) {
        struct disk *d = &r->disks[i];
        char *place;

        if (d->at == d->tree.count || strcmp(d->tree.paths[d->at], c->path) != 0) {
            continue;
        }
        d->at++;
        place = bare_tree_place(d->root, c->path);
        c->disks[c->count] = d;
        status = git_refs_read(&c->refs[c->count++], place, clock_monotonic_ms() + GIT_MS, why);
        heap_free(place);
    }
    c->preferred = c->count;
    for (size_t i = 0; i < c->count; i++) {
        if (r->prefer != NULL && strcmp(c->disks[i]->name, r->prefer) == 0) {
            c->preferred = i;
        }
    }
    return status;
}

static void release_copies(struct copies *c)
{
    for (size_t i = 0; i < c->count; i++) {
        git_refs_release(&c->refs[i]);
    }
}

/* ---- Choosing ---- */

static const char *next_name(const struct copies *c)
{
    const char *first = NULL;

    for (size_t i = 0; i < c->count; i++) {
        const struct git_refs *refs = &c->refs[i];

        if (c->at[i] < refs->count &&
            (first == NULL || strcmp(refs->refs[c->at[i]].name, first) < 0)) {
            first = refs->refs[c->at[i]].name;
        }
    }
    return first;
}

/* What each copy has of that ref, NULL = none; moves on. */
static bool take_values(struct copies *c, const char *name, const char **values)
{
    bool is_agreed = true;

    for (size_t i = 0; i < c->count; i++) {
        const struct git_refs *refs = &c->refs[i];

        values[i] = NULL;
        if (c->at[i] < refs->count && strcmp(refs->refs[c->at[i]].name, name) == 0) {
            values[i] = refs->refs[c->at[i]++].oid;
        }
        is_agreed = is_agreed && values[i] != NULL && values[0] != NULL &&
                    strcmp(values[i], values[0]) == 0;
    }
    return is_agreed;
}

static void tell(struct rebuild *r, const struct copies *c, const char *name,
                 const char *const *values, const char *taken)
{
    for (size_t i = 0; i < c->count; i++) {
        output_text(r->output, c->path);
        output_text(r->output, name);
        output_text(r->output, c->disks[i]->name);
        output_text(r->output, values[i]);
        output_text(r->output, taken);
        output_end_row(r->output);
    }
}

/* The refs that are taken, in order; names and ids are borrowed from the copies. */
static uint64_t choose(struct rebuild *r, struct copies *c, struct git_refs *chosen)
{
    uint64_t left_out = 0;
    size_t capacity = 0;
    const char *name;

    while ((name = next_name(c)) != NULL) {
        const char *values[STORAGES_MAX];
        bool is_agreed = take_values(c, name, values);
        const char *value = is_agreed                 ? values[0]
                            : c->preferred < c->count ? values[c->preferred]
                                                      : NULL;

        if (!tracked_refs_has(&r->tracked, name)) { /* of one storage, not of all */
            continue;
        }
        if (!is_agreed) {
            tell(r, c, name, values, c->preferred < c->count ? r->prefer : NULL);
            left_out += c->preferred == c->count ? 1 : 0;
            r->decided += c->preferred < c->count ? 1 : 0;
        }
        if (value == NULL) {
            continue;
        }
        if (chosen->count == capacity) {
            capacity = capacity == 0 ? 256 : 2 * capacity;
            chosen->refs = heap_grow(chosen->refs, capacity * sizeof *chosen->refs);
        }
        chosen->refs[chosen->count++] = (struct git_ref){ name, value };
    }
    return left_out;
}

/* ---- Writing ---- */

static enum rk_status write_one(struct rebuild *r, const struct copies *c,
                                const struct git_refs *chosen, uint64_t left_out,
                                struct rk_error *error)
{
    size_t first = c->preferred < c->count ? c->preferred : 0;
    char *place = bare_tree_place(c->disks[first]->root, c->path);
    struct import im = { .client = r->client,
                         .path = c->path,
                         .storage = c->disks[first]->name,
                         .git_dir = place,
                         .given = chosen,
                         .actor = cli_actor(r->cli) };
    struct rk_write write = { .actor = im.actor };
    enum rk_status status = import_run(&im, error);
    enum rk_registered what;
    uint64_t index;
    char reason[96];

    for (size_t i = 0; i < c->count && status == RK_OK; i++) {
        status = rk_repo_register(r->client, c->path, c->disks[i]->name, &write, &what, &index,
                                  error);
    }
    if (status == RK_OK && left_out > 0) {
        snprintf(reason, sizeof reason, "rebuild: the copies differ in %" PRIu64 " refs", left_out);
        status = rk_repo_freeze(r->client, c->path, reason, &write, &index, error);
    }
    r->conflicts += im.conflicts;
    heap_free(place);
    return status;
}

static enum rk_status rebuild_one(struct rebuild *r, const char *path, struct rk_error *error)
{
    struct copies c = { .path = path };
    struct git_refs chosen = { .text = BUFFER_INIT };
    struct errmsg why = ERRMSG_INIT;
    enum rk_status status = read_copies(r, &c, &why);
    uint64_t left_out;

    if (status != RK_OK) {
        *error = (struct rk_error){ .status = status };
        snprintf(error->message, sizeof error->message, "read %s: %s", path, why.text);
    } else {
        left_out = choose(r, &c, &chosen);
        r->repositories++;
        r->refs += chosen.count;
        r->left_out += left_out;
        if (!r->is_dry_run) {
            status = write_one(r, &c, &chosen, left_out, error);
        }
    }
    git_refs_release(&chosen);
    release_copies(&c);
    return status;
}

/* ---- The verb ---- */

static int stop_at_first(void *context, const char *path, const struct rk_reply *map)
{
    (void)map;
    *(bool *)context = true;
    (void)path;
    return 1;
}

/* False after saying what is wrong. */
static bool is_empty(struct rebuild *r, int *ret_code)
{
    struct rk_page page = { .limit = 1 };
    struct rk_error error;
    bool is_used = false;
    enum rk_status status = rk_repo_list(r->client, &page, stop_at_first, &is_used, &error);

    if (!is_used && status != RK_OK) {
        *ret_code = cli_fail(r->cli, &error);
        return false;
    }
    if (is_used && !r->is_resumed) {
        *ret_code = cli_fail_text(
            r->cli, RK_EXISTS,
            "the cluster holds repositories: a rebuild is "
            "for an empty one (--resume goes on with one that was cut short)");
        return false;
    }
    return true;
}

static int run(struct rebuild *r)
{
    static const char *const columns[] = { "path", "ref", "storage", "value", "taken" };
    struct progress progress;
    struct rk_error error;
    enum rk_status status = RK_OK;
    size_t total = 0;
    const char *path;
    int code = 0;

    if (!r->is_dry_run && !is_empty(r, &code)) {
        return code;
    }
    if (tracked_refs_read(&r->tracked, r->client, false, &error) != RK_OK) {
        return cli_fail(r->cli, &error);
    }
    for (size_t i = 0; i < r->disk_count; i++) {
        total = r->disks[i].tree.count > total ? r->disks[i].tree.count : total;
    }
    r->output = output_open(r->cli->format, OUTPUT_ROWS, columns, 5);
    progress_start(&progress, "rebuild", total);
    while (status == RK_OK && (path = next_path(r)) != NULL) {
        status = rebuild_one(r, path, &error);
        progress_set(&progress, r->repositories);
    }
    progress_end(&progress);
    if (output_close(r->output) != 0) {
        return EXIT_OTHER;
    }
    fprintf(stderr,
            "%" PRIu64 " repositories, %" PRIu64 " refs taken; copies differ: %" PRIu64
            " left out, %" PRIu64 " as --prefer says; %" PRIu64 " not as in the cluster\n",
            r->repositories, r->refs, r->left_out, r->decided, r->conflicts);
    if (status != RK_OK) {
        return cli_fail(r->cli, &error);
    }
    return r->left_out + r->conflicts > 0 ? EXIT_REFUSED : 0;
}

/* STORAGE=ROOT */
static int read_disk(struct rebuild *r, char *word)
{
    char *equals = strchr(word, '=');
    struct errmsg why = ERRMSG_INIT;
    struct disk *d = &r->disks[r->disk_count];

    if (equals == NULL || r->disk_count == STORAGES_MAX) {
        return cli_usage_error(r->cli, "STORAGE=ROOT was expected, at most %d times", STORAGES_MAX);
    }
    *equals = '\0';
    *d = (struct disk){ .name = word, .root = equals + 1 };
    if (bare_tree_read(&d->tree, d->root, &why) != RK_OK) {
        return cli_fail_text(r->cli, RK_NOT_FOUND, "%s", why.text);
    }
    r->disk_count++;
    return 0;
}

int cmd_rebuild(struct cli *cli, int argc, char **argv)
{
    struct rebuild r = { .cli = cli };
    char *prefer = NULL;
    const struct flag flags[] = { { "prefer", FLAG_TEXT, &prefer },
                                  { "resume", FLAG_BOOL, &r.is_resumed },
                                  { "dry-run", FLAG_BOOL, &r.is_dry_run } };
    int count = cli_parse(cli, argc, argv, flags, 3, 1, STORAGES_MAX);
    int code = 0;

    if (count < 0) {
        return EXIT_USAGE;
    }
    r.prefer = prefer;
    for (int i = 0; i < count && code == 0; i++) {
        code = read_disk(&r, argv[i]);
    }
    if (code == 0) {
        r.client = cli_client(cli, &code);
    }
    if (code == 0 && r.client != NULL) {
        code = run(&r);
    }
    for (size_t i = 0; i < r.disk_count; i++) {
        bare_tree_release(&r.disks[i].tree);
    }
    tracked_refs_release(&r.tracked);
    return code;
}
