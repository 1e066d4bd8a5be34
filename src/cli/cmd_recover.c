/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refkeeper recover: a majority is lost for good, and what is left shall go on.
 *
 * Of the directories given the one with the highest (last term, last index) is taken with its
 * whole log, also what was never known to be committed: it may have been acknowledged.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "cli/cli.h"
#include "cli/data_dir.h"
#include "cli/founding.h"
#include "cli/salvage.h"
#include "cli/verbs.h"

#define DIRECTORIES_MAX 16

static const char warning[] =
    "refkeeper recover: A NEW CLUSTER OF ONE NODE IS FOUNDED FROM WHAT IS LEFT OF THE OLD ONE.\n"
    "  What only the lost nodes had acknowledged is lost.  If a majority of the old nodes can\n"
    "  still be started, do that instead.  No old node may run beside the new cluster: clients\n"
    "  would see two.  Wipe the others and let them join by `refkeeper member add`.\n";

/* A running node holds its directory locked. */
static bool is_running(const char *path)
{
    struct fs *fs = fs_posix();
    fs_handle dir = -1;
    bool is_locked;

    if (fs->ops->open_dir(fs, path, false, &dir) != 0) {
        return false;
    }
    is_locked = fs->ops->lock(fs, dir) == EWOULDBLOCK;
    fs->ops->close(fs, dir);
    return is_locked;
}

static bool is_further(const struct data_dir *a, const struct data_dir *b)
{
    const struct storage_recovered *x = &a->recovered, *y = &b->recovered;

    return x->log_last_term != y->log_last_term ? x->log_last_term > y->log_last_term
                                                : x->log_last_index > y->log_last_index;
}

/* The one to go on from; NULL when none can be read. */
static struct data_dir *choose(struct data_dir *all, int count)
{
    struct data_dir *best = NULL;

    for (int i = 0; i < count; i++) {
        if (all[i].status == RK_OK && all[i].recovered.log_last_index > 0 &&
            (best == NULL || is_further(&all[i], best))) {
            best = &all[i];
        }
    }
    return best;
}

static void print_finding(struct output *o, const struct data_dir *d)
{
    struct buffer text = BUFFER_INIT;

    if (d->status != RK_OK) {
        output_text(o, d->why.text[0] == '\0' ? rk_status_text(d->status) : d->why.text);
    } else if (d->findings.size == 0) {
        output_text(o, "ok");
    } else {
        buffer_put_slice(&text, buffer_slice(&d->findings));
        buffer_put_u8(&text, '\0');
        output_text(o, (const char *)text.data);
    }
    buffer_release(&text);
}

static int print(struct cli *cli, const struct data_dir *all, int count,
                 const struct data_dir *best)
{
    static const char *const columns[] = { "directory",  "node",   "term",   "last_term",
                                           "last_index", "chosen", "finding" };
    struct output *o = output_open(cli->format, OUTPUT_ROWS, columns, 7);

    for (int i = 0; i < count; i++) {
        const struct data_dir *d = &all[i];

        output_text(o, d->path);
        output_text(o, d->recovered.state.node_name);
        output_number(o, d->recovered.state.current_term);
        output_number(o, d->recovered.log_last_term);
        output_number(o, d->recovered.log_last_index);
        output_text(o, d == best ? "yes" : "no");
        print_finding(o, d);
        output_end_row(o);
    }
    return output_close(o);
}

/* One cluster, at rest; 0, or the exit code after saying what is wrong. */
static int check(struct cli *cli, const struct data_dir *all, int count,
                 const struct data_dir *best)
{
    if (best == NULL) {
        return cli_fail_text(cli, RK_CORRUPT, "none of the directories can be read to its end");
    }
    for (int i = 0; i < count; i++) {
        if (is_running(all[i].path)) {
            return cli_fail_text(cli, RK_LOCKED, "%s is in use by a running node", all[i].path);
        }
        if (all[i].status == RK_OK &&
            memcmp(all[i].recovered.state.cluster_id, best->recovered.state.cluster_id,
                   CLUSTER_ID_BYTES) != 0) {
            return cli_fail_text(cli, RK_FOREIGN, "%s belongs to another cluster than %s",
                                 all[i].path, best->path);
        }
    }
    return 0;
}

static void default_identity(struct founding *f, const struct data_dir *best)
{
    raft_index index = 0;
    const struct membership *m = refdb_membership(best->db, &index);
    const struct member *old;

    if (f->name == NULL) {
        f->name = best->recovered.state.node_name;
    }
    old = m == NULL ? NULL : membership_find_name(m, f->name);
    if (f->peer_address == NULL && old != NULL) {
        f->peer_address = old->peer_address;
    }
}

static int write_it(struct cli *cli, struct founding *f, struct data_dir *best)
{
    struct errmsg why = ERRMSG_INIT;
    enum rk_status status;

    default_identity(f, best);
    if (f->peer_address == NULL) {
        return cli_usage_error(cli, "--peer: where others will reach %s is not known", f->name);
    }
    f->last_index = best->recovered.log_last_index;
    status = founding_write(f, best->db, &why);
    if (status != RK_OK) {
        return cli_fail_text(cli, status, "%s",
                             why.text[0] == '\0' ? rk_status_text(status) : why.text);
    }
    fprintf(
        stderr,
        "Done: start refkeeperd with --name %s --data-dir %s --join; it leads alone, from index "
        "%" PRIu64 " on.\n",
        f->name, f->to, f->meta.last_index);
    return 0;
}

int cmd_recover(struct cli *cli, int argc, char **argv)
{
    struct founding f = { .to = NULL };
    char *to = NULL, *name = NULL, *peer = NULL;
    bool accepts_loss = false;
    const struct flag flags[] = { { "to", FLAG_TEXT, &to },
                                  { "name", FLAG_TEXT, &name },
                                  { "peer", FLAG_TEXT, &peer },
                                  { "accept-loss", FLAG_BOOL, &accepts_loss } };
    int count = cli_parse(cli, argc, argv, flags, 4, 1, DIRECTORIES_MAX);
    struct data_dir *all, *best;
    uint64_t found;
    int code;

    if (count < 0) {
        return EXIT_USAGE;
    }
    if (to == NULL || to[0] != '/') {
        return cli_usage_error(cli, "--to: the absolute path of the new data directory is needed");
    }
    f.to = to;
    f.name = name;
    f.peer_address = peer;
    fputs(warning, stderr);
    all = heap_zalloc((size_t)count * sizeof *all);
    for (int i = 0; i < count; i++) {
        data_dir_read(&all[i], argv[i]);
        if (all[i].recovered.state.current_term > f.term_seen) {
            f.term_seen = all[i].recovered.state.current_term;
        }
    }
    best = choose(all, count);
    found = best == NULL ? 0 : salvage(best, all, count);
    if (found > 0) {
        fprintf(stderr,
                "%" PRIu64 " entries up to %" PRIu64 " were found in what damaged logs had set "
                "aside.\n",
                found, best->recovered.log_last_index);
    }
    code = print(cli, all, count, best) != 0 ? EXIT_OTHER : check(cli, all, count, best);
    if (code == 0 && !accepts_loss) {
        code = cli_fail_text(cli, RK_REFUSED, "nothing was done: give --accept-loss to do it");
    } else if (code == 0) {
        code = write_it(cli, &f, best);
    }
    for (int i = 0; i < count; i++) {
        data_dir_release(&all[i]);
    }
    heap_free(all);
    return code;
}
