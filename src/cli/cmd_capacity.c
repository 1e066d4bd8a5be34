/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refkeeper capacity: what a node needs for what there is, and for more of the same kind.
 *
 * From the gauges alone: what the state takes in memory, what the newest snapshot took of it, and
 * the ratios that bench/refdb shows for every shape of refs (docs/PERFORMANCE.md).  test_scale
 * holds the outcome against real nodes.
 */
#include "base/limits.h"
#include "cli/cli.h"
#include "cli/verbs.h"

#define PROCESS_BYTES (6 * 1024.0 * 1024) /* of a node that holds nothing */
#define RESIDENT_PER_STATE 1.06           /* what the allocator adds */
#define WHILE_SNAPSHOT 1.20               /* at the most, of the state, while one is written */
#define FILE_PER_STATE 0.77               /* while there is no snapshot to look at */
#define BOUNDED_BYTES ((double)(EVENTS_BYTES_DEFAULT + RECENT_BYTES_MAX)) /* when they are full */
#define REFS_PER_SECOND 1000000.0                                         /* loaded, at the least */
#define REPOSITORIES_PER_SECOND 1000000.0
#define REPOSITORY_BYTES 260.0 /* of one without refs, beside its names: block, entries, indexes */
#define REF_BYTES 42.0         /* when there is none yet */
#define REFS_MIN 1000          /* with fewer, an average says nothing */
#define REF_OVERHEAD 8.0       /* beside name and object id, of such few */
#define PER_CONTENT_MAX 3.0    /* more is memory kept from what was removed */

struct load {
    double repositories, refs, state_bytes;
    double repository_content, ref_content; /* bytes: paths; names, object ids, actors */
    double file_per_state;
};

/* What a ref takes on the average, from what all of them take. */
static double each_ref_takes(const struct load *now, double of_refs)
{
    double content = now->refs > 0 ? now->ref_content / now->refs : 0;

    if (now->refs == 0) {
        return REF_BYTES;
    }
    if (now->refs < REFS_MIN || of_refs <= 0) {
        return content + REF_OVERHEAD;
    }
    return of_refs / now->refs < PER_CONTENT_MAX * content ? of_refs / now->refs
                                                           : PER_CONTENT_MAX * content;
}

/* `now`, grown: what a ref and a repository take on the average stays. */
static struct load grown(const struct load *now, double repositories, double refs)
{
    double count = now->repositories;
    double each_repository = REPOSITORY_BYTES + (count > 0 ? now->repository_content / count : 40);
    double each_ref = each_ref_takes(now, now->state_bytes - count * each_repository);
    struct load then = *now;

    then.repositories = repositories;
    then.refs = refs;
    then.file_per_state = now->refs < REFS_MIN ? FILE_PER_STATE : now->file_per_state;
    then.state_bytes += (repositories - count) * each_repository;
    then.state_bytes += (refs - now->refs) * each_ref;
    if (then.state_bytes < 0) {
        then.state_bytes = 0;
    }
    return then;
}

static void put_row(struct output *o, const char *when, const struct load *l)
{
    double resident = PROCESS_BYTES + RESIDENT_PER_STATE * l->state_bytes;

    output_text(o, when);
    output_number(o, (uint64_t)l->repositories);
    output_number(o, (uint64_t)l->refs);
    output_number(o, (uint64_t)l->state_bytes);
    output_number(o, (uint64_t)resident);
    output_number(o, (uint64_t)(resident + BOUNDED_BYTES + (WHILE_SNAPSHOT - 1) * l->state_bytes));
    output_number(o, (uint64_t)(l->file_per_state * l->state_bytes));
    output_real(o, l->refs / REFS_PER_SECOND + l->repositories / REPOSITORIES_PER_SECOND);
    output_end_row(o);
}

static int project(struct cli *cli, const struct rk_reply *map, uint64_t refs,
                   uint64_t repositories)
{
    static const char *const columns[] = { "when",           "repositories", "refs",
                                           "state_bytes",    "memory_bytes", "memory_peak_bytes",
                                           "snapshot_bytes", "load_seconds" };
    struct output *o = output_open(cli->format, OUTPUT_ROWS, columns, 8);
    struct load now = { (double)rk_reply_get_number(map, "repositories"),
                        (double)rk_reply_get_number(map, "refs"),
                        (double)rk_reply_get_number(map, "state_bytes"),
                        (double)rk_reply_get_number(map, "repository_bytes"),
                        (double)rk_reply_get_number(map, "ref_bytes"),
                        FILE_PER_STATE };
    double of_state = (double)rk_reply_get_number(map, "snapshot_state_bytes");

    if (of_state > 0) {
        now.file_per_state = (double)rk_reply_get_number(map, "snapshot_bytes") / of_state;
    }
    put_row(o, "now", &now);
    if (refs != 0 || repositories != 0) {
        double per_repository = now.repositories > 0 ? now.refs / now.repositories : 0;
        double to_repositories = repositories != 0 ? (double)repositories : now.repositories;
        double to_refs = refs != 0 ? (double)refs : to_repositories * per_repository;
        struct load then = grown(&now, to_repositories, to_refs);

        put_row(o, "then", &then);
    }
    return output_close(o) != 0 ? EXIT_OTHER : 0;
}

int cmd_capacity(struct cli *cli, int argc, char **argv)
{
    uint64_t refs = 0, repositories = 0;
    const struct flag flags[] = { { "refs", FLAG_NUMBER, &refs },
                                  { "repositories", FLAG_NUMBER, &repositories } };
    struct rk_error error;
    struct rk_reply *map = NULL;
    struct rk_client *client;
    int code = 0;

    if (cli_parse(cli, argc, argv, flags, 2, 0, 0) < 0) {
        return EXIT_USAGE;
    }
    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    if (rk_cluster_status(client, &map, &error) != RK_OK) {
        return cli_fail(cli, &error);
    }
    code = project(cli, map, refs, repositories);
    rk_reply_free(map);
    return code;
}
