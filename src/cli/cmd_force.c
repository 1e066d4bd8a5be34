/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refkeeper force-authoritative: what one storage has becomes what the cluster says.
 *
 * For a repository whose complete copies are all lost.  Reads the storage's refs by git ls-remote,
 * names every ref that changes in the cluster, makes the storage the primary by force, with the
 * reason in the log, and takes the refs over by compare-and-swap.  Updates that only lost copies
 * had are given up: refused while the primary or a complete copy lives, unless --yes-lose-data.
 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/heap.h"
#include "cli/cli.h"
#include "cli/git.h"
#include "cli/placement.h"
#include "cli/tracked_refs.h"
#include "cli/url.h"
#include "cli/verbs.h"
#include "sys/clock.h"

#define GIT_MS (10 * 60 * 1000)
#define CHUNK_REFS 10000

struct change {
    char *ref;
    char *cluster, *storage; /* NULL = absent */
};

struct force {
    struct cli *cli;
    struct rk_client *client;
    const char *path, *storage, *reason;
    char *url;
    bool is_dry_run, loses_data;
    struct tracked_refs tracked;
    struct buffer text;    /* of ls-remote, cut into words */
    struct change *theirs; /* the storage's refs, in order */
    size_t their_count, at;
    struct change *list;
    size_t count, capacity;
};

static char *copy(const char *text)
{
    return text == NULL ? NULL : heap_copy_text(text, strlen(text));
}

/* ---- What the storage has ---- */

static bool is_ref(const struct force *f, const char *name)
{
    size_t size = strlen(name);

    return strncmp(name, "refs/", 5) == 0 && tracked_refs_has(&f->tracked, name) &&
           (size < 3 || strcmp(name + size - 3, "^{}") != 0);
}

/* Lines "oid TAB ref", in byte order of refs. */
static int read_storage(struct force *f)
{
    const char *words[] = { "ls-remote", "--quiet", f->url, NULL };
    struct errmsg why = ERRMSG_INIT;
    size_t capacity = 0;
    char *line;

    if (git_run(NULL, words, SLICE_NONE, clock_monotonic_ms() + GIT_MS, &f->text, NULL, &why) !=
        RK_OK) {
        return cli_fail_text(f->cli, RK_IO, "read %s: %s", f->url, why.text);
    }
    buffer_put_u8(&f->text, '\0');
    line = (char *)f->text.data;
    while (*line != '\0') {
        char *name = strchr(line, '\t');
        char *end = line + strcspn(line, "\n");

        if (*end == '\n') {
            *end++ = '\0';
        }
        if (name != NULL) {
            *name++ = '\0';
        }
        if (name != NULL && is_ref(f, name)) {
            if (f->their_count == capacity) {
                capacity = capacity == 0 ? 1024 : 2 * capacity;
                f->theirs = heap_grow(f->theirs, capacity * sizeof *f->theirs);
            }
            f->theirs[f->their_count++] = (struct change){ name, NULL, line };
        }
        line = end;
    }
    return 0;
}

/* ---- What differs ---- */

static void add(struct force *f, const char *ref, const char *cluster, const char *storage)
{
    if (f->count == f->capacity) {
        f->capacity = f->capacity == 0 ? 64 : 2 * f->capacity;
        f->list = heap_grow(f->list, f->capacity * sizeof *f->list);
    }
    f->list[f->count++] = (struct change){ copy(ref), copy(cluster), copy(storage) };
}

static void pass_over(struct force *f, const char *ref)
{
    for (; f->at < f->their_count; f->at++) {
        if (ref != NULL && strcmp(f->theirs[f->at].ref, ref) >= 0) {
            return;
        }
        add(f, f->theirs[f->at].ref, NULL, f->theirs[f->at].storage);
    }
}

static int compare_one(void *context, const char *ref, const char *oid)
{
    struct force *f = context;

    if (!tracked_refs_has(&f->tracked, ref)) {
        return 0; /* from before the filter */
    }
    pass_over(f, ref);
    if (f->at == f->their_count || strcmp(f->theirs[f->at].ref, ref) != 0) {
        add(f, ref, oid, NULL);
        return 0;
    }
    if (strcmp(f->theirs[f->at].storage, oid) != 0) {
        add(f, ref, oid, f->theirs[f->at].storage);
    }
    f->at++;
    return 0;
}

static int compare(struct force *f)
{
    struct rk_error error;

    if (rk_ref_list(f->client, f->path, NULL, NULL, compare_one, f, NULL, NULL, &error) != RK_OK) {
        return cli_fail(f->cli, &error);
    }
    pass_over(f, NULL);
    return 0;
}

static int print(const struct force *f)
{
    static const char *const columns[] = { "ref", "cluster", "storage", "outcome" };
    struct output *o = output_open(f->cli->format, OUTPUT_ROWS, columns, 4);
    const char *would = f->is_dry_run ? "would " : "";

    for (size_t i = 0; i < f->count; i++) {
        const struct change *c = &f->list[i];
        char text[64];

        snprintf(text, sizeof text, "%s%s", would,
                 c->storage == NULL   ? "be lost"
                 : c->cluster == NULL ? "appear"
                                      : "go back");
        output_text(o, c->ref);
        output_text(o, c->cluster);
        output_text(o, c->storage);
        output_text(o, text);
        output_end_row(o);
    }
    return output_close(o) != 0 ? EXIT_OTHER : 0;
}

/* ---- Taking it over ---- */

/* Deletions first: they are in the way of names that become folders. */
static int take_over(const struct force *f, bool takes_deletions)
{
    struct rk_ref_change *changes = heap_alloc((CHUNK_REFS + 1) * sizeof *changes);
    struct rk_write write = { .actor = cli_actor(f->cli), .storage = f->storage };
    size_t count = 0;
    int code = 0;

    for (size_t i = 0; i < f->count && code == 0; i++) {
        const struct change *c = &f->list[i];
        struct rk_ref_results *results = NULL;
        struct rk_error error;

        if ((c->storage == NULL) == takes_deletions) {
            changes[count++] = (struct rk_ref_change){ c->ref,
                                                       c->cluster == NULL ? RK_ABSENT : c->cluster,
                                                       c->storage };
        }
        if (count > 0 && (count == CHUNK_REFS || i + 1 == f->count)) {
            if (rk_ref_txn(f->client, f->path, false, changes, count, &write, &results, &error) !=
                RK_OK) {
                code = cli_fail(f->cli, &error);
            }
            rk_ref_results_free(results);
            count = 0;
        }
    }
    heap_free(changes);
    return code;
}

static int make_primary(const struct force *f)
{
    struct rk_write write = { .actor = cli_actor(f->cli) };
    struct rk_reply *results = NULL;
    struct rk_error error;
    enum rk_status status = rk_primary_set(f->client, f->storage, &f->path, 1, f->reason, &write,
                                           &results, &error);

    if (status == RK_OK && results->items[0]->type == RK_REPLY_ERROR) {
        status = rk_reply_error(results->items[0], &error);
    }
    rk_reply_free(results);
    return status == RK_OK ? 0 : cli_fail(f->cli, &error);
}

/* While a complete copy or the primary lives, nothing need be lost. */
static int check_need(struct force *f, const struct placement *p)
{
    struct rk_reply *map = NULL;
    struct rk_error error;
    const struct placed_storage *other;
    char name[128] = "";

    if (rk_repo_show(f->client, f->path, &map, &error) != RK_OK) {
        return cli_fail(f->cli, &error);
    }
    other = placement_choose(p, map);
    if (other == NULL) {
        other = placement_find(p, rk_reply_get_text(map, "primary"));
        other = placement_is_up(other) ? other : NULL;
    }
    if (other != NULL && strcmp(other->name, f->storage) != 0) {
        snprintf(name, sizeof name, "%.127s", other->name);
    }
    rk_reply_free(map);
    if (name[0] == '\0' || f->loses_data || f->is_dry_run) {
        return 0;
    }
    return cli_fail_text(
        f->cli, RK_STALE,
        "storage %s lives and may hold everything of %s: drain it, set it down, or "
        "say --yes-lose-data",
        name, f->path);
}

/* As agents find it: the storage's http address and the path. */
static int find_url(struct force *f, const char *given)
{
    struct rk_reply *maps = NULL;
    struct rk_error error;
    struct buffer url = BUFFER_INIT;

    if (given != NULL) {
        f->url = copy(given);
        return 0;
    }
    if (rk_storage_list(f->client, &maps, &error) != RK_OK) {
        return cli_fail(f->cli, &error);
    }
    for (size_t i = 0; i < maps->count; i++) {
        const char *http = rk_reply_get_text(maps->items[i], "http");

        if (strcmp(rk_reply_get_text(maps->items[i], "name"), f->storage) == 0) {
            buffer_printf(&url, "%s%s/", url_is_one(http) ? "" : "http://", http);
            url_put_path(&url, f->path);
        }
    }
    rk_reply_free(maps);
    f->url = heap_copy_text(url.data, url.size);
    buffer_release(&url);
    return f->url[0] != '\0'
               ? 0
               : cli_fail_text(f->cli, RK_NOSTORAGE, "no such storage: %s", f->storage);
}

static int force(struct force *f, const char *url)
{
    struct placement p = { NULL, 0 };
    struct rk_error error;
    int code = find_url(f, url);

    if (code == 0 && placement_read(&p, f->client, &error) != RK_OK) {
        code = cli_fail(f->cli, &error);
    }
    code = code != 0 ? code : check_need(f, &p);
    placement_release(&p);
    if (code == 0 && tracked_refs_read(&f->tracked, f->client, false, &error) != RK_OK) {
        code = cli_fail(f->cli, &error);
    }
    code = code != 0 ? code : read_storage(f);
    code = code != 0 ? code : compare(f);
    if (code == 0 && !f->is_dry_run) {
        code = make_primary(f);
        code = code != 0 ? code : take_over(f, true);
        code = code != 0 ? code : take_over(f, false);
    }
    return code != 0 ? code : print(f);
}

int cmd_force_authoritative(struct cli *cli, int argc, char **argv)
{
    struct force f = { .cli = cli, .text = BUFFER_INIT };
    char *reason = NULL, *url = NULL;
    const struct flag flags[] = { { "reason", FLAG_TEXT, &reason },
                                  { "url", FLAG_TEXT, &url },
                                  { "dry-run", FLAG_BOOL, &f.is_dry_run },
                                  { "yes-lose-data", FLAG_BOOL, &f.loses_data } };
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, flags, 4, 2, 2) < 0) {
        return EXIT_USAGE;
    }
    if (reason == NULL) {
        return cli_usage_error(cli, "--reason is needed: it stays in the log");
    }
    f.path = argv[0];
    f.storage = argv[1];
    f.reason = reason;
    f.client = cli_client(cli, &code);
    if (f.client == NULL) {
        return code;
    }
    code = force(&f, url);
    for (size_t i = 0; i < f.count; i++) {
        heap_free(f.list[i].ref);
        heap_free(f.list[i].cluster);
        heap_free(f.list[i].storage);
    }
    heap_free(f.list);
    heap_free(f.theirs);
    heap_free(f.url);
    buffer_release(&f.text);
    tracked_refs_release(&f.tracked);
    return code;
}
