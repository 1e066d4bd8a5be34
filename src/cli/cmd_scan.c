/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refkeeper scan: a storage's disk against what the cluster says it holds.
 *
 *   on disk   in the cluster        said
 *   yes       no                    untracked
 *   yes       not on this storage   stray
 *   no        on this storage       missing
 *   yes       on this storage       nothing, or with --refs: differs, by so many refs
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "cli/bare_tree.h"
#include "cli/cli.h"
#include "cli/import_many.h"
#include "cli/ref_compare.h"
#include "cli/verbs.h"

struct scan {
    struct cli *cli;
    struct rk_client *client;
    const char *storage, *root;
    struct bare_tree tree;
    struct import_item *untracked;
    size_t untracked_count;
    bool *is_known; /* per path of the tree: on this storage */
    bool compares;
    struct output *output;
    uint64_t findings;
};

static void tell(struct scan *s, const char *path, const char *state, uint64_t refs)
{
    output_text(s->output, path);
    output_text(s->output, state);
    output_number(s->output, refs);
    output_end_row(s->output);
    s->findings++;
}

/* A repository the cluster says is here. */
static int check_one(void *context, const char *path, const struct rk_reply *map)
{
    struct scan *s = context;

    if (!bare_tree_has(&s->tree, path)) {
        tell(s, path, "missing", rk_reply_get_number(map, "refs"));
        return 0;
    }
    for (size_t low = 0, high = s->tree.count; low < high;) {
        size_t middle = (low + high) / 2;
        int order = strcmp(path, s->tree.paths[middle]);

        if (order == 0) {
            s->is_known[middle] = true;
            break;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return 0;
}

static void count_difference(void *context, const char *ref, const char *disk, const char *cluster)
{
    (void)context;
    (void)ref;
    (void)disk;
    (void)cluster;
}

static enum rk_status compare_refs(struct scan *s, const char *path, struct rk_error *error)
{
    char *place = bare_tree_place(s->root, path);
    struct ref_compare compare = {
        .client = s->client, .path = path, .git_dir = place, .each = count_difference
    };
    enum rk_status status = ref_compare_run(&compare, error);

    if (status == RK_OK && compare.different > 0) {
        tell(s, path, "differs", compare.different);
    }
    heap_free(place);
    return status;
}

/* What is on disk and not known to be on this storage. */
static enum rk_status check_disk(struct scan *s, struct rk_error *error)
{
    enum rk_status status = RK_OK;

    for (size_t i = 0; i < s->tree.count && status == RK_OK; i++) {
        const char *path = s->tree.paths[i];
        struct rk_reply *map = NULL;

        if (s->is_known[i]) {
            status = s->compares ? compare_refs(s, path, error) : RK_OK;
            continue;
        }
        status = rk_repo_show(s->client, path, &map, error);
        if (status == RK_OK) {
            tell(s, path, "stray", rk_reply_get_number(map, "refs"));
        } else if (status == RK_NOREPO || status == RK_REMOVED) {
            status = RK_OK;
            tell(s, path, "untracked", 0);
            s->untracked[s->untracked_count++] = (struct import_item){
                .path = path, .place = bare_tree_place(s->root, path), .storage = s->storage
            };
        }
        rk_reply_free(map);
    }
    return status;
}

static int adopt(struct scan *s)
{
    struct import_many many = { .cli = s->cli, .items = s->untracked, .count = s->untracked_count };

    return s->untracked_count == 0 ? 0 : import_many_run(&many);
}

static int scan(struct scan *s, bool adopts)
{
    static const char *const columns[] = { "path", "state", "refs" };
    struct rk_page page = { .storage = s->storage };
    struct rk_error error;
    enum rk_status status;
    int code;

    s->is_known = heap_zalloc((s->tree.count + 1) * sizeof *s->is_known);
    s->untracked = heap_zalloc((s->tree.count + 1) * sizeof *s->untracked);
    s->output = output_open(s->cli->format, OUTPUT_ROWS, columns, 3);
    status = rk_repo_list(s->client, &page, check_one, s, &error);
    if (status == RK_OK) {
        status = check_disk(s, &error);
    }
    code = output_close(s->output) != 0 ? EXIT_OTHER : s->findings > 0 ? EXIT_REFUSED : 0;
    if (status != RK_OK) {
        code = cli_fail(s->cli, &error);
    } else if (adopts) {
        code = adopt(s);
    }
    for (size_t i = 0; i < s->untracked_count; i++) {
        heap_free((void *)(uintptr_t)s->untracked[i].place);
    }
    heap_free(s->untracked);
    heap_free(s->is_known);
    return code;
}

int cmd_scan(struct cli *cli, int argc, char **argv)
{
    struct scan s = { .cli = cli };
    bool adopts = false, is_dry_run = false;
    const struct flag flags[] = { { "refs", FLAG_BOOL, &s.compares },
                                  { "adopt", FLAG_BOOL, &adopts },
                                  { "dry-run", FLAG_BOOL, &is_dry_run } };
    struct errmsg why = ERRMSG_INIT;
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, flags, 3, 2, 2) < 0) {
        return EXIT_USAGE;
    }
    if (adopts && is_dry_run) {
        return cli_usage_error(cli, "--adopt and --dry-run exclude each other");
    }
    s.storage = argv[0];
    s.root = argv[1];
    s.client = cli_client(cli, &code);
    if (s.client == NULL) {
        return code;
    }
    if (bare_tree_read(&s.tree, s.root, &why) != RK_OK) {
        return cli_fail_text(cli, RK_NOT_FOUND, "%s", why.text);
    }
    code = scan(&s, adopts);
    bare_tree_release(&s.tree);
    return code;
}
