/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeper verify: are the refs on this disk what the cluster says? */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/ref_compare.h"
#include "cli/verbs.h"

static void tell(void *context, const char *ref, const char *disk, const char *cluster)
{
    struct output *output = context;

    output_text(output, ref);
    output_text(output, cluster);
    output_text(output, disk);
    output_end_row(output);
}

int cmd_verify(struct cli *cli, int argc, char **argv)
{
    static const char *const columns[] = { "ref", "cluster", "disk" };
    struct ref_compare compare = { .each = tell };
    bool is_stale = false;
    const struct flag flags[] = { { "stale", FLAG_BOOL, &is_stale } };
    struct rk_error error;
    struct output *output;
    enum rk_status status;
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, flags, 1, 2, 2) < 0) {
        return EXIT_USAGE;
    }
    compare.client = cli_client(cli, &code);
    if (compare.client == NULL) {
        return code;
    }
    compare.path = argv[0];
    compare.git_dir = argv[1];
    compare.read.consistency = is_stale ? RK_READ_STALE : RK_READ_LINEARIZABLE;
    output = output_open(cli->format, OUTPUT_ROWS, columns, 3);
    compare.context = output;
    status = ref_compare_run(&compare, &error);
    if (status != RK_OK) {
        (void)output_close_failed(output);
        return cli_fail(cli, &error);
    }
    code = output_close(output) != 0 ? EXIT_OTHER : 0;
    if (cli->format == OUTPUT_TABLE) {
        fprintf(stderr, "%s: %llu refs are the same, %llu differ\n", compare.path,
                (unsigned long long)compare.same, (unsigned long long)compare.different);
    }
    return code != 0 ? code : compare.different > 0 ? EXIT_REFUSED : 0;
}
