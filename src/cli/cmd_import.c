/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refkeeper import: the cluster learns the refs of one repository on this machine, of a whole tree
 * of them, or which repositories there are from the list of another system.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "cli/bare_tree.h"
#include "cli/cli.h"
#include "cli/import_many.h"
#include "cli/import_refs.h"
#include "cli/site_list.h"
#include "cli/verbs.h"

#define LIST_BYTES_MAX (1024L * 1024 * 1024)

struct arguments {
    char *tree, *list, *format, *prefix, *storage, *root;
    struct import_many many;
};

/* ---- One ---- */

static void tell_conflict(void *context, const char *ref, const char *text)
{
    unsigned *said = context;

    if ((*said)++ < 20) {
        fprintf(stderr, "refkeeper import: %s: %s\n", ref, text);
    }
}

static int report(struct cli *cli, const struct import *im)
{
    static const char *const columns[] = { "path",      "refs",      "imported",
                                           "unchanged", "conflicts", "index" };
    struct output *o = output_open(cli->format, OUTPUT_RECORD, columns, 6);

    output_text(o, im->path);
    output_number(o, im->refs);
    output_number(o, im->created);
    output_number(o, im->unchanged);
    output_number(o, im->conflicts);
    output_number(o, im->index);
    output_end_row(o);
    if (output_close(o) != 0) {
        return EXIT_OTHER;
    }
    return im->conflicts > 0 ? EXIT_REFUSED : 0;
}

static int import_one(struct cli *cli, char **argv, bool is_force)
{
    unsigned said = 0;
    struct import im = { .path = argv[0],
                         .storage = argv[1],
                         .git_dir = argv[2],
                         .is_force = is_force,
                         .shows_progress = true,
                         .conflict = tell_conflict,
                         .context = &said };
    struct rk_error error;
    int code = 0;

    im.actor = cli_actor(cli);
    im.client = cli_client(cli, &code);
    if (im.client == NULL) {
        return code;
    }
    return import_run(&im, &error) == RK_OK ? report(cli, &im) : cli_fail(cli, &error);
}

/* ---- A tree ---- */

static int import_tree(struct cli *cli, struct arguments *a, const char *storage)
{
    struct errmsg why = ERRMSG_INIT;
    struct bare_tree tree;
    size_t count = 0;
    int code;

    if (bare_tree_read(&tree, a->tree, &why) != RK_OK) {
        return cli_fail_text(cli, RK_NOT_FOUND, "%s", why.text);
    }
    a->many.items = heap_zalloc((tree.count + 1) * sizeof *a->many.items);
    for (size_t i = 0; i < tree.count; i++) {
        if (a->prefix == NULL || strncmp(tree.paths[i], a->prefix, strlen(a->prefix)) == 0) {
            a->many.items[count++] = (struct import_item){ .path = tree.paths[i],
                                                           .place = bare_tree_place(a->tree,
                                                                                    tree.paths[i]),
                                                           .storage = storage };
        }
    }
    a->many.count = count;
    if (tree.skipped > 0) {
        fprintf(stderr,
                "refkeeper import: %zu folders could not be read or have no canonical "
                "path\n",
                tree.skipped);
    }
    code = import_many_run(&a->many);
    for (size_t i = 0; i < count; i++) {
        heap_free((void *)(uintptr_t)a->many.items[i].place);
    }
    heap_free(a->many.items);
    bare_tree_release(&tree);
    return code;
}

/* ---- A list ---- */

static enum rk_status read_file(const char *path, struct buffer *text, struct errmsg *why)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    char bytes[65536];
    size_t size;
    bool is_ok;

    if (file == NULL) {
        errmsg_set(why, "read %s: %s", path, strerror(errno));
        return RK_NOT_FOUND;
    }
    while ((size = fread(bytes, 1, sizeof bytes, file)) > 0 && text->size < LIST_BYTES_MAX) {
        buffer_put(text, bytes, size);
    }
    is_ok = ferror(file) == 0 && text->size < LIST_BYTES_MAX;
    if (file != stdin) {
        (void)fclose(file);
    }
    if (!is_ok) {
        errmsg_set(why, "read %s: it fails, or is too long", path);
    }
    return is_ok ? RK_OK : RK_IO;
}

/* False when nobody says which storage is the primary. */
static bool fill_item(const struct arguments *a, const struct site_repository *from,
                      struct import_item *item)
{
    *item = (struct import_item){ .path = from->path, .behind = from->behind };
    item->primary = from->primary != NULL   ? from->primary
                    : a->storage != NULL    ? a->storage
                    : from->copy_count == 1 ? from->copies[0].storage
                                            : NULL;
    for (size_t i = 0; i < from->copy_count && item->primary != NULL; i++) {
        if (strcmp(from->copies[i].storage, item->primary) != 0) {
            item->replicas[item->replica_count++] = from->copies[i].storage;
        }
    }
    if (a->root != NULL) {
        item->place = bare_tree_place(a->root, from->place == NULL ? from->path : from->place);
        item->storage = a->storage;
    }
    return item->primary != NULL;
}

static int import_items(struct cli *cli, struct arguments *a, const struct site_list *list)
{
    int code = 0;

    a->many.items = heap_zalloc((list->count + 1) * sizeof *a->many.items);
    for (size_t i = 0; i < list->count && code == 0; i++) {
        a->many.count = i + 1;
        if (!fill_item(a, &list->items[i], &a->many.items[i])) {
            code = cli_fail_text(cli, RK_BADARG,
                                 "%s: nothing says which storage is its primary; "
                                 "give --storage",
                                 list->items[i].path);
        }
    }
    if (code == 0) {
        code = import_many_run(&a->many);
    }
    for (size_t i = 0; i < a->many.count; i++) {
        heap_free((void *)(uintptr_t)a->many.items[i].place);
    }
    heap_free(a->many.items);
    return code;
}

static int import_list(struct cli *cli, struct arguments *a)
{
    struct buffer text = BUFFER_INIT;
    struct errmsg why = ERRMSG_INIT;
    struct site_list list = { 0 };
    enum rk_status status = read_file(a->list, &text, &why);
    int code;

    if (status == RK_OK) {
        status = site_list_parse(&list, a->format == NULL ? "praefect" : a->format,
                                 buffer_slice(&text), &why);
    }
    code = status == RK_OK ? import_items(cli, a, &list)
                           : cli_fail_text(cli, status, "%s: %s", a->list, why.text);
    site_list_release(&list);
    buffer_release(&text);
    return code;
}

int cmd_import(struct cli *cli, int argc, char **argv)
{
    struct arguments a = { .many = { .cli = cli } };
    const struct flag flags[] = { { "force", FLAG_BOOL, &a.many.is_force },
                                  { "dry-run", FLAG_BOOL, &a.many.is_dry_run },
                                  { "jobs", FLAG_NUMBER, &a.many.jobs },
                                  { "tree", FLAG_TEXT, &a.tree },
                                  { "prefix", FLAG_TEXT, &a.prefix },
                                  { "list", FLAG_TEXT, &a.list },
                                  { "format", FLAG_TEXT, &a.format },
                                  { "storage", FLAG_TEXT, &a.storage },
                                  { "root", FLAG_TEXT, &a.root } };
    int count = cli_parse(cli, argc, argv, flags, sizeof flags / sizeof flags[0], 0, 3);

    if (count < 0) {
        return EXIT_USAGE;
    }
    if (a.tree != NULL && a.list == NULL && count == 1) {
        return import_tree(cli, &a, argv[0]);
    }
    if (a.list != NULL && a.tree == NULL && count == 0 && (a.root == NULL || a.storage != NULL)) {
        return import_list(cli, &a);
    }
    if (a.tree == NULL && a.list == NULL && count == 3 && !a.many.is_dry_run) {
        return import_one(cli, argv, a.many.is_force);
    }
    return cli_usage_error(cli,
                           "PATH STORAGE GIT_DIR, or --tree ROOT STORAGE, or --list FILE (with "
                           "--root also --storage)");
}
