/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeper log dump: every entry of a data directory, explained. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/explain.h"
#include "cli/verbs.h"
#include "storage/storage.h"

#define ITEMS_IN_TABLE 4

struct dump {
    struct output *output;
    raft_index to;
    uint32_t items_max;
    enum rk_status status; /* the first entry that cannot be decoded */
    raft_index bad_index;
};

static void put_time(struct output *o, int64_t wall_ms)
{
    char text[40];
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;

    if (wall_ms == 0 || gmtime_r(&seconds, &parts) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
        output_text(o, NULL);
    } else {
        output_text(o, text);
    }
}

static bool print(void *context, const struct entry *entry, uint64_t offset)
{
    struct dump *d = context;
    struct output *o = d->output;
    struct explanation e;
    enum rk_status status;
    char session[48] = "";

    if (entry->index > d->to) {
        return false;
    }
    status = explain_entry(entry, d->items_max, &e);
    if (status != RK_OK && d->status == RK_OK) {
        d->status = status;
        d->bad_index = entry->index;
    }
    if (e.session != 0) {
        snprintf(session, sizeof session, "%" PRIu64 ":%" PRIu64, e.session, e.sequence);
    }
    output_number(o, entry->index);
    output_number(o, entry->term);
    output_number(o, offset);
    output_number(o, entry_size(entry));
    output_text(o, e.kind);
    put_time(o, e.wall_ms);
    output_text(o, e.actor.size > 1 ? (const char *)e.actor.data : NULL);
    output_text(o, session[0] == '\0' ? NULL : session);
    output_text(o, status == RK_OK ? (const char *)e.text.data : "cannot be decoded");
    output_end_row(o);
    explanation_release(&e);
    return true;
}

int cmd_log_dump(struct cli *cli, int argc, char **argv)
{
    static const char *const columns[] = { "index", "term",  "offset",  "bytes", "kind",
                                           "time",  "actor", "session", "what" };
    struct storage_options options = { .fs = fs_posix(), .is_read_only = true };
    struct dump d = { .to = UINT64_MAX };
    uint64_t from = 0;
    const struct flag flags[] = { { "from", FLAG_NUMBER, &from }, { "to", FLAG_NUMBER, &d.to } };
    struct storage *storage = NULL;
    struct storage_recovered recovered;
    struct errmsg why = ERRMSG_INIT;
    enum rk_status status;

    if (cli_parse(cli, argc, argv, flags, 2, 1, 1) < 0) {
        return EXIT_USAGE;
    }
    options.data_dir = argv[0];
    status = storage_open(&options, &storage, &recovered, &why);
    if (status != RK_OK) {
        return cli_fail_text(cli, status, "%s", why.text);
    }
    d.items_max = cli->format == OUTPUT_TABLE ? ITEMS_IN_TABLE : UINT32_MAX;
    d.output = output_open(cli->format, OUTPUT_ROWS, columns, 9);
    status = storage_walk(storage,
                          from > recovered.log_first_index ? from : recovered.log_first_index,
                          print, &d, &why);
    storage_close(storage);
    if (output_close(d.output) != 0 && status == RK_OK) {
        return EXIT_OTHER;
    }
    if (status != RK_OK) {
        return cli_fail_text(cli, status, "%s", why.text);
    }
    if (d.status != RK_OK) {
        return cli_fail_text(cli, RK_CORRUPT, "entry %" PRIu64 " cannot be decoded: %s",
                             d.bad_index, rk_status_text(d.status));
    }
    return 0;
}
