/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refkeeper import: the cluster learns the refs of a repository on this machine.
 *
 * Idempotent: what is there already with the same value is left alone, so that an import that was
 * cut short is simply started again.  A ref with another value in the cluster is a conflict and
 * kept, unless --force; refs only the cluster has are kept.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "cli/cli.h"
#include "cli/git.h"
#include "cli/git_refs.h"
#include "cli/progress.h"
#include "cli/verbs.h"
#include "sys/clock.h"

#define GIT_MS (30 * 60 * 1000)
#define CHUNK_REFS 5000

struct import {
    struct cli *cli;
    struct rk_client *client;
    const char *path, *storage, *git_dir;
    bool is_force;
    struct git_refs disk;
    struct git_refs cluster; /* names and ids owned one by one, sorted as the server sends them */
    size_t cluster_capacity;
    struct rk_write write;
    uint64_t created, unchanged, conflicts;
    uint64_t index;
};

/* ---- The repository itself ---- */

static char *ask_git(const struct import *im, const char *one, const char *two)
{
    const char *words[] = { one, two, NULL, NULL };

    if (strcmp(one, "symbolic-ref") == 0) {
        words[1] = "-q";
        words[2] = two;
    }
    return git_line(im->git_dir, words, clock_monotonic_ms() + GIT_MS);
}

/* Creates it, or adopts the one of that path; HEAD follows the disk. */
static int prepare_repository(struct import *im)
{
    char *head = ask_git(im, "symbolic-ref", "HEAD");
    char *format = ask_git(im, "rev-parse", "--show-object-format");
    struct rk_repo_spec spec = { .path = im->path, .primary = im->storage };
    struct rk_error error;
    enum rk_status status;

    spec.format = format[0] == '\0' ? NULL : format;
    spec.head = head[0] == '\0' ? NULL : head;
    status = rk_repo_create(im->client, &spec, &im->write, &im->index, &error);
    if (status == RK_EXISTS) {
        status = spec.head == NULL ? RK_OK
                                   : rk_repo_set_head(im->client, im->path, spec.head, &im->write,
                                                      &im->index, &error);
    }
    heap_free(head);
    heap_free(format);
    return status == RK_OK ? 0 : cli_fail(im->cli, &error);
}

static int keep(void *context, const char *ref, const char *oid)
{
    struct import *im = context;
    struct git_refs *known = &im->cluster;

    if (known->count == im->cluster_capacity) {
        im->cluster_capacity = im->cluster_capacity == 0 ? 1024 : 2 * im->cluster_capacity;
        known->refs = heap_grow(known->refs, im->cluster_capacity * sizeof *known->refs);
    }
    known->refs[known->count++] = (struct git_ref){ heap_copy_text(ref, strlen(ref)),
                                                    heap_copy_text(oid, strlen(oid)) };
    return 0;
}

static void release(struct import *im)
{
    for (size_t i = 0; i < im->cluster.count; i++) {
        heap_free((void *)(uintptr_t)im->cluster.refs[i].name);
        heap_free((void *)(uintptr_t)im->cluster.refs[i].oid);
    }
    git_refs_release(&im->cluster);
    git_refs_release(&im->disk);
}

/* ---- Refs ---- */

static void tell_conflict(struct import *im, const char *ref, const char *text)
{
    im->conflicts++;
    if (im->conflicts <= 20) {
        fprintf(stderr, "refkeeper import: %s: %s\n", ref, text);
    }
}

/* One request of independent changes. */
static int send_chunk(struct import *im, struct rk_ref_change *changes, size_t *count)
{
    struct rk_ref_results *results = NULL;
    struct rk_error error;
    enum rk_status status;

    if (*count == 0) {
        return 0;
    }
    status = rk_ref_txn(im->client, im->path, false, changes, *count, &im->write, &results, &error);
    if (status != RK_OK && results == NULL) {
        return cli_fail(im->cli, &error);
    }
    for (size_t i = 0; i < *count; i++) {
        if (rk_ref_results_get(results, i, &error) == RK_OK) {
            im->created++;
        } else {
            tell_conflict(im, changes[i].ref, error.message);
        }
    }
    im->index = rk_ref_results_index(results);
    rk_ref_results_free(results);
    *count = 0;
    return 0;
}

static int import_refs(struct import *im)
{
    struct rk_ref_change *changes = heap_alloc(CHUNK_REFS * sizeof *changes);
    struct progress progress;
    size_t count = 0;
    int code = 0;

    progress_start(&progress, im->path, im->disk.count);
    for (size_t i = 0; i < im->disk.count && code == 0; i++) {
        const struct git_ref *ref = &im->disk.refs[i];
        const char *known = git_refs_find(&im->cluster, ref->name);

        if (known != NULL && strcmp(known, ref->oid) == 0) {
            im->unchanged++;
        } else if (known != NULL && !im->is_force) {
            char text[160];

            snprintf(text, sizeof text, "the cluster has %s, the disk %s", known, ref->oid);
            tell_conflict(im, ref->name, text);
        } else {
            changes[count++] = (struct rk_ref_change){ ref->name, known == NULL ? RK_ABSENT : known,
                                                       ref->oid };
        }
        if (count == CHUNK_REFS) {
            code = send_chunk(im, changes, &count);
        }
        progress_set(&progress, i);
    }
    if (code == 0) {
        code = send_chunk(im, changes, &count);
    }
    progress_end(&progress);
    heap_free(changes);
    return code;
}

static int report(struct import *im)
{
    static const char *const columns[] = { "path",      "refs",      "imported",
                                           "unchanged", "conflicts", "index" };
    struct output *o = output_open(im->cli->format, OUTPUT_RECORD, columns, 6);

    output_text(o, im->path);
    output_number(o, im->disk.count);
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

int cmd_import(struct cli *cli, int argc, char **argv)
{
    struct import im = { .cli = cli };
    const struct flag flags[] = { { "force", FLAG_BOOL, &im.is_force } };
    struct errmsg why = ERRMSG_INIT;
    struct rk_error error;
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, flags, 1, 3, 3) < 0) {
        return EXIT_USAGE;
    }
    im.path = argv[0];
    im.storage = argv[1];
    im.git_dir = argv[2];
    im.write.actor = cli_actor(cli);
    im.client = cli_client(cli, &code);
    if (im.client == NULL) {
        return code;
    }
    if (git_refs_read(&im.disk, im.git_dir, clock_monotonic_ms() + GIT_MS, &why) != RK_OK) {
        code = cli_fail_text(cli, RK_NOT_FOUND, "read %s: %s", im.git_dir, why.text);
    } else {
        code = prepare_repository(&im);
    }
    if (code == 0 &&
        rk_ref_list(im.client, im.path, NULL, NULL, keep, &im, NULL, NULL, &error) != RK_OK) {
        code = cli_fail(cli, &error);
    }
    if (code == 0) {
        code = import_refs(&im);
    }
    if (code == 0) {
        code = report(&im);
    }
    release(&im);
    return code;
}
