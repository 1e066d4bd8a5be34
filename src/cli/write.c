/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/write.h"

#include <stddef.h>

const struct rk_write *write_flags_use(struct cli *cli, struct write_flags *flags)
{
    struct rk_write *w = &flags->write;

    w->actor = cli_actor(cli);
    w->storage = flags->storage;
    w->repository_id = flags->id;
    w->has_epoch = flags->epoch != NULL;
    if (flags->epoch != NULL && !parse_number(flags->epoch, &w->epoch)) {
        (void)cli_usage_error(cli, "--epoch: \"%s\" is not a number", flags->epoch);
        return NULL;
    }
    return w;
}

int write_report(struct cli *cli, enum rk_status status, const uint64_t *index,
                 const struct rk_error *error)
{
    static const char *const columns[] = { "index" };
    struct output *o;

    if (status != RK_OK) {
        return cli_fail(cli, error);
    }
    o = output_open(cli->format, OUTPUT_RECORD, columns, 1);
    output_number(o, *index);
    output_end_row(o);
    return output_close(o) != 0 ? EXIT_OTHER : 0;
}
