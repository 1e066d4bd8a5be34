/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refkeeper resolve: brings a storage's disk to what the cluster decided.
 *
 *   the cluster has a value, the objects are here   the disk gets it
 *   the cluster has a value, objects are missing    told; --revert takes the cluster back
 *   a push that died here meant to delete the ref   deleted
 *   only the disk has the ref                       told; --delete deletes it
 *
 * Every step is a compare-and-swap on the side it changes, so a push under way loses nothing.
 */
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "cli/cli.h"
#include "cli/git.h"
#include "cli/hook.h"
#include "cli/hook_journal.h"
#include "cli/process.h"
#include "cli/ref_compare.h"
#include "cli/verbs.h"
#include "sys/clock.h"

#define GIT_MS (10 * 60 * 1000)

struct difference {
    char *ref, *disk, *cluster; /* NULL = absent */
};

struct resolve {
    struct cli *cli;
    struct rk_client *client;
    const char *path, *git_dir;
    bool is_dry_run, deletes, reverts;
    struct difference *list;
    size_t count, capacity;
    size_t left; /* differences that stay */
};

static char *copy(const char *text)
{
    return text == NULL ? NULL : heap_copy_text(text, strlen(text));
}

static void add(void *context, const char *ref, const char *disk, const char *cluster)
{
    struct resolve *r = context;

    if (r->count == r->capacity) {
        r->capacity = r->capacity == 0 ? 64 : 2 * r->capacity;
        r->list = heap_grow(r->list, r->capacity * sizeof *r->list);
    }
    r->list[r->count++] = (struct difference){ copy(ref), copy(disk), copy(cluster) };
}

/* All objects reachable from it, up to what the refs here have. */
static bool has_objects(const struct resolve *r, const char *oid)
{
    const char *words[] = { "rev-list", "--objects", "--quiet", oid, "--not", "--all", NULL };
    int exit_code = 1;

    return git_run(r->git_dir, words, SLICE_NONE, clock_monotonic_ms() + GIT_MS, NULL, &exit_code,
                   NULL) == RK_OK &&
           exit_code == 0;
}

/* The disk gets the cluster's value, if it still has the one that was compared. */
static bool write_disk(const struct resolve *r, const struct difference *d, struct errmsg *why)
{
    const char *environment[] = { "LC_ALL=C", HOOK_TOKEN "=resolve", NULL };
    const char *zeros = d->disk != NULL && strlen(d->disk) == 64
                            ? "0000000000000000000000000000000000000000000000000000000000000000"
                            : "0000000000000000000000000000000000000000";
    const char *update[] = { "git",        "--git-dir", r->git_dir, "update-ref",
                             "--no-deref", d->ref,      d->cluster, d->disk == NULL ? "" : d->disk,
                             NULL };
    const char *delete[] = { "git",        "--git-dir",
                             r->git_dir,   "update-ref",
                             "--no-deref", "-d",
                             d->ref,       d->disk == NULL ? zeros : d->disk,
                             NULL };
    struct process p = { .argv = d->cluster == NULL ? delete : update,
                         .environment = environment,
                         .deadline_ms = clock_monotonic_ms() + GIT_MS };
    bool is_ok = process_run(&p, why) == RK_OK;

    if (is_ok && p.exit_code != 0) {
        errmsg_set(why, "%s", process_last_words(&p));
        is_ok = false;
    }
    process_release(&p);
    return is_ok;
}

/* The cluster goes back to the disk's value, if it still has the one that was compared. */
static bool write_cluster(const struct resolve *r, const struct difference *d, struct errmsg *why)
{
    struct rk_ref_change change = { .ref = d->ref, .old_oid = d->cluster, .new_oid = d->disk };
    struct rk_write write = { .actor = cli_actor(r->cli) };
    struct rk_error error;

    if (rk_ref_update(r->client, r->path, &change, &write, NULL, &error) != RK_OK) {
        errmsg_set(why, "%s", error.message);
        return false;
    }
    return true;
}

/* What is to be done, in a word for the table; NULL = nothing may be done. */
static const char *find_action(const struct resolve *r, const struct difference *d,
                               const char **ret_why)
{
    if (d->cluster == NULL) {
        *ret_why = "only on disk; --delete deletes it";
        return r->deletes || hook_journal_deletes(r->git_dir, d->ref) ? "delete" : NULL;
    }
    if (has_objects(r, d->cluster)) {
        return "update";
    }
    *ret_why = "objects are missing: fetch them from another storage, or --revert";
    return r->reverts ? "revert" : NULL;
}

static void resolve_one(struct resolve *r, const struct difference *d, struct output *output)
{
    struct errmsg why = ERRMSG_INIT;
    const char *reason = NULL;
    const char *action = find_action(r, d, &reason);
    bool is_done = false;

    if (action != NULL && !r->is_dry_run) {
        is_done = strcmp(action, "revert") == 0 ? write_cluster(r, d, &why)
                                                : write_disk(r, d, &why);
        reason = is_done ? NULL : why.text;
    }
    r->left += is_done ? 0 : 1;
    output_text(output, d->ref);
    output_text(output, d->cluster);
    output_text(output, d->disk);
    output_text(output, action == NULL ? "none" : action);
    output_text(output, is_done ? "done" : r->is_dry_run && action != NULL ? "would" : reason);
    output_end_row(output);
}

static int resolve_all(struct resolve *r)
{
    static const char *const columns[] = { "ref", "cluster", "disk", "action", "result" };
    struct output *output = output_open(r->cli->format, OUTPUT_ROWS, columns, 5);

    /* Deletions first: a name may become a folder. */
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < r->count; i++) {
            if ((r->list[i].cluster == NULL) == (pass == 0)) {
                resolve_one(r, &r->list[i], output);
            }
        }
    }
    if (r->left == 0 && !r->is_dry_run) {
        hook_journal_clear(r->git_dir);
    }
    if (output_close(output) != 0) {
        return EXIT_OTHER;
    }
    return r->left > 0 ? EXIT_REFUSED : 0;
}

int cmd_resolve(struct cli *cli, int argc, char **argv)
{
    struct resolve r = { .cli = cli };
    const struct flag flags[] = { { "dry-run", FLAG_BOOL, &r.is_dry_run },
                                  { "delete", FLAG_BOOL, &r.deletes },
                                  { "revert", FLAG_BOOL, &r.reverts } };
    struct ref_compare compare = { .each = add, .context = &r };
    struct rk_error error;
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, flags, 3, 2, 2) < 0) {
        return EXIT_USAGE;
    }
    r.client = compare.client = cli_client(cli, &code);
    if (r.client == NULL) {
        return code;
    }
    r.path = compare.path = argv[0];
    r.git_dir = compare.git_dir = argv[1];
    code = ref_compare_run(&compare, &error) == RK_OK ? resolve_all(&r) : cli_fail(cli, &error);
    for (size_t i = 0; i < r.count; i++) {
        heap_free(r.list[i].ref);
        heap_free(r.list[i].disk);
        heap_free(r.list[i].cluster);
    }
    heap_free(r.list);
    return code;
}
