/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeper ref ...: refs. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/ref_stdin.h"
#include "cli/verbs.h"
#include "cli/write.h"

/* --stale, --min-index: how fresh. */
struct read_flags {
    bool is_stale;
    uint64_t min_index;
    struct rk_read read;
};

#define READ_FLAGS(r)                                                                              \
    { "stale", FLAG_BOOL, &(r).is_stale },                                                         \
    {                                                                                              \
        "min-index", FLAG_NUMBER, &(r).min_index                                                   \
    }

static const struct rk_read *read_flags_use(struct read_flags *r)
{
    r->read.consistency = r->is_stale         ? RK_READ_STALE
                          : r->min_index != 0 ? RK_READ_MIN_INDEX
                                              : RK_READ_LINEARIZABLE;
    r->read.min_index = r->min_index;
    return &r->read;
}

int cmd_ref_get(struct cli *cli, int argc, char **argv)
{
    static const char *const columns[] = { "oid", "ref" };
    struct read_flags r = { .is_stale = false };
    const struct flag flags[] = { READ_FLAGS(r) };
    char oid[RK_OID_TEXT_MAX + 1];
    struct rk_error error;
    struct rk_client *client;
    struct output *o;
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, flags, 2, 2, 2) < 0) {
        return EXIT_USAGE;
    }
    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    if (rk_ref_get(client, argv[0], argv[1], read_flags_use(&r), oid, &error) != RK_OK) {
        return cli_fail(cli, &error);
    }
    o = output_open(cli->format, OUTPUT_RECORD, columns, cli->format == OUTPUT_VALUE ? 1 : 2);
    output_text(o, oid);
    if (cli->format != OUTPUT_VALUE) {
        output_text(o, argv[1]);
    }
    output_end_row(o);
    return output_close(o) != 0 ? EXIT_OTHER : 0;
}

static int list_one(void *context, const char *ref, const char *oid)
{
    output_text(context, oid);
    output_text(context, ref);
    output_end_row(context);
    return 0;
}

int cmd_ref_list(struct cli *cli, int argc, char **argv)
{
    static const char *const columns[] = { "oid", "ref" };
    struct read_flags r = { .is_stale = false };
    struct rk_page page = { 0 };
    char *prefix = NULL, *after = NULL;
    uint64_t limit = 0;
    const struct flag flags[] = { READ_FLAGS(r),
                                  { "prefix", FLAG_TEXT, &prefix },
                                  { "after", FLAG_TEXT, &after },
                                  { "page", FLAG_NUMBER, &limit } };
    struct rk_error error;
    struct rk_client *client;
    struct output *o;
    enum rk_status status;
    int code = EXIT_USAGE;
    int is_torn = 0;

    if (cli_parse(cli, argc, argv, flags, 5, 1, 1) < 0) {
        return EXIT_USAGE;
    }
    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    page.prefix = prefix;
    page.after = after;
    page.limit = limit;
    o = output_open(cli->format, OUTPUT_ROWS, columns, 2);
    status = rk_ref_list(client, argv[0], &page, read_flags_use(&r), list_one, o, NULL, &is_torn,
                         &error);
    if (status != RK_OK) {
        (void)output_close_failed(o);
        return cli_fail(cli, &error);
    }
    code = output_close(o) != 0 ? EXIT_OTHER : 0;
    if (is_torn) {
        fprintf(stderr,
                "refkeeper ref list: %s changed while it was read; the pages are of "
                "different moments\n",
                argv[0]);
    }
    return code;
}

/* Exactly one of the three ways to say what the ref is at now. */
static bool choose_old(struct cli *cli, char *old_oid, bool is_create, bool is_force,
                       const char **ret_old)
{
    if ((old_oid != NULL) + is_create + is_force != 1) {
        (void)cli_usage_error(cli, "say what the ref is at now: --old OID%s or --force",
                              strcmp(cli->verb->name, "ref update") == 0 ? ", --create" : "");
        return false;
    }
    *ret_old = is_force ? NULL : is_create ? RK_ABSENT : old_oid;
    return true;
}

static int change_ref(struct cli *cli, struct write_flags *w, const char *path,
                      const struct rk_ref_change *change)
{
    struct rk_error error;
    uint64_t index = 0;
    int code = EXIT_USAGE;
    const struct rk_write *write = write_flags_use(cli, w);
    struct rk_client *client = write == NULL ? NULL : cli_client(cli, &code);

    if (client == NULL) {
        return code;
    }
    return write_report(cli, rk_ref_update(client, path, change, write, &index, &error), &index,
                        &error);
}

int cmd_ref_update(struct cli *cli, int argc, char **argv)
{
    bool is_stdin = false, is_nul = false, is_create = false, is_force = false;
    char *old_oid = NULL;
    struct write_flags w = { .storage = NULL };
    const struct flag flags[] = {
        { "stdin", FLAG_BOOL, &is_stdin },   { "z", FLAG_BOOL, &is_nul },
        { "create", FLAG_BOOL, &is_create }, { "force", FLAG_BOOL, &is_force },
        { "old", FLAG_TEXT, &old_oid },      WRITE_FLAGS(w)
    };
    struct rk_ref_change change = { 0 };
    int count = cli_parse(cli, argc, argv, flags, 8, 1, 3);

    if (count < 0) {
        return EXIT_USAGE;
    }
    if (is_stdin) {
        const struct rk_write *write = write_flags_use(cli, &w);

        if (count != 1 || is_create || is_force || old_oid != NULL) {
            return cli_usage_error(cli, "--stdin takes the path alone");
        }
        return write == NULL ? EXIT_USAGE : ref_stdin_run(cli, argv[0], is_nul, write);
    }
    if (count != 3) {
        return cli_usage_error(cli, "too few arguments: PATH REF NEW are needed");
    }
    if (!choose_old(cli, old_oid, is_create, is_force, &change.old_oid)) {
        return EXIT_USAGE;
    }
    change.ref = argv[1];
    change.new_oid = argv[2];
    return change_ref(cli, &w, argv[0], &change);
}

int cmd_ref_delete(struct cli *cli, int argc, char **argv)
{
    bool is_force = false;
    char *old_oid = NULL;
    struct write_flags w = { .storage = NULL };
    const struct flag flags[] = { { "force", FLAG_BOOL, &is_force },
                                  { "old", FLAG_TEXT, &old_oid },
                                  WRITE_FLAGS(w) };
    struct rk_ref_change change = { 0 };

    if (cli_parse(cli, argc, argv, flags, 5, 2, 2) < 0 ||
        !choose_old(cli, old_oid, false, is_force, &change.old_oid)) {
        return EXIT_USAGE;
    }
    change.ref = argv[1];
    return change_ref(cli, &w, argv[0], &change);
}
