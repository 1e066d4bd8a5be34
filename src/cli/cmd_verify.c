/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refkeeper verify: are the refs on this disk what the cluster says?
 *
 * Both sides are in byte order, so one walk finds every difference.  A push may be under way:
 * each difference is looked at once more before it is told.
 */
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
#define LOOKS_MAX 200

struct verify {
    struct cli *cli;
    struct rk_client *client;
    const char *path, *git_dir;
    struct rk_read read;
    struct git_refs disk;
    size_t at; /* next ref of the disk */
    uint64_t same, different;
    uint64_t settled; /* differed when read, not when looked at again */
    struct output *output;
    struct progress progress;
};

/*
 * Asks both sides once more.  Many differences are no push under way: after LOOKS_MAX they are
 * told as they were read.
 */
static bool is_still_different(const struct verify *v, const char *ref)
{
    const char *words[] = { "rev-parse", "--verify", "-q", ref, NULL };
    char cluster[RK_OID_TEXT_MAX + 1] = "";
    struct rk_error error;
    bool is_different;
    char *disk;

    if (v->different + v->settled > LOOKS_MAX) {
        return true;
    }
    if (rk_ref_get(v->client, v->path, ref, &v->read, cluster, &error) != RK_OK &&
        error.status != RK_NOREF) {
        return true;
    }
    disk = git_line(v->git_dir, words, clock_monotonic_ms() + GIT_MS);
    is_different = strcmp(disk, cluster) != 0;
    heap_free(disk);
    return is_different;
}

static void tell(struct verify *v, const char *ref, const char *disk, const char *cluster)
{
    if (!is_still_different(v, ref)) {
        v->settled++;
        return;
    }
    v->different++;
    output_text(v->output, ref);
    output_text(v->output, cluster);
    output_text(v->output, disk);
    output_end_row(v->output);
}

/* One ref of the cluster: everything on disk before it is only there. */
static int step(void *context, const char *ref, const char *oid)
{
    struct verify *v = context;
    const struct git_ref *disk = NULL;
    int order = 1;

    while (v->at < v->disk.count) {
        disk = &v->disk.refs[v->at];
        order = strcmp(disk->name, ref);
        if (order >= 0) {
            break;
        }
        tell(v, disk->name, disk->oid, NULL);
        v->at++;
    }
    if (v->at == v->disk.count || order > 0) {
        tell(v, ref, NULL, oid);
        return 0;
    }
    if (strcmp(disk->oid, oid) != 0) {
        tell(v, ref, disk->oid, oid);
    } else {
        v->same++;
    }
    v->at++;
    progress_set(&v->progress, v->at);
    return 0;
}

static int compare(struct verify *v)
{
    static const char *const columns[] = { "ref", "cluster", "disk" };
    struct rk_error error;
    enum rk_status status;
    int code;

    v->output = output_open(v->cli->format, OUTPUT_ROWS, columns, 3);
    progress_start(&v->progress, v->path, v->disk.count);
    status = rk_ref_list(v->client, v->path, NULL, &v->read, step, v, NULL, NULL, &error);
    for (; status == RK_OK && v->at < v->disk.count; v->at++) {
        tell(v, v->disk.refs[v->at].name, v->disk.refs[v->at].oid, NULL);
    }
    progress_end(&v->progress);
    code = output_close(v->output) != 0 ? EXIT_OTHER : 0;
    if (status != RK_OK) {
        return cli_fail(v->cli, &error);
    }
    if (v->cli->format == OUTPUT_TABLE) {
        fprintf(stderr, "%s: %llu refs are the same, %llu differ\n", v->path,
                (unsigned long long)(v->same + v->settled), (unsigned long long)v->different);
    }
    return code != 0 ? code : v->different > 0 ? EXIT_REFUSED : 0;
}

int cmd_verify(struct cli *cli, int argc, char **argv)
{
    struct verify v = { .cli = cli };
    bool is_stale = false;
    const struct flag flags[] = { { "stale", FLAG_BOOL, &is_stale } };
    struct errmsg why = ERRMSG_INIT;
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, flags, 1, 2, 2) < 0) {
        return EXIT_USAGE;
    }
    v.path = argv[0];
    v.git_dir = argv[1];
    v.read.consistency = is_stale ? RK_READ_STALE : RK_READ_LINEARIZABLE;
    v.client = cli_client(cli, &code);
    if (v.client == NULL) {
        return code;
    }
    if (git_refs_read(&v.disk, v.git_dir, clock_monotonic_ms() + GIT_MS, &why) != RK_OK) {
        code = cli_fail_text(cli, RK_NOT_FOUND, "read %s: %s", v.git_dir, why.text);
    } else {
        code = compare(&v);
    }
    git_refs_release(&v.disk);
    return code;
}
