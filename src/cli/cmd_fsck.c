/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refkeeper fsck: are these data directories sound, and do they agree?
 *
 * Alone, a directory is sound when nothing in its files is damaged, not even what the next start
 * would repair by itself; when they recover, every entry decodes and applies, and terms never
 * fall.  Two agree when at every index up to the highest one where both have an entry of the same
 * term, entries and states are the same [thesis 3.5]; what lies above may differ: it was not
 * committed everywhere.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "cli/cli.h"
#include "cli/data_dir.h"
#include "cli/verbs.h"

#define DIRECTORIES_MAX 16

/* A marked index came from a snapshot alone: nothing is known of the entry itself. */
static bool has_entry(const struct data_dir *d, raft_index index)
{
    return index >= d->recovered.log_first_index;
}

/* The highest index where both hold the same term; 0 = none. */
static raft_index find_common(const struct data_dir *a, const struct data_dir *b)
{
    raft_index last_a = a->first + a->count;
    raft_index last_b = b->first + b->count;

    for (raft_index i = last_a < last_b ? last_a : last_b; i > 0; i--) {
        const struct data_mark *x = data_dir_mark(a, i);
        const struct data_mark *y = data_dir_mark(b, i);

        if (x != NULL && y != NULL && x->term == y->term) {
            return i;
        }
        if (i < a->first || i < b->first) {
            break;
        }
    }
    return 0;
}

static bool is_state_known(const struct data_dir *d, raft_index index)
{
    return index >= d->recovered.snapshot_last_index;
}

/* True when they agree; else says where they part. */
static bool agree(const struct data_dir *a, const struct data_dir *b, struct errmsg *why)
{
    raft_index common = find_common(a, b);

    if (memcmp(a->recovered.state.cluster_id, b->recovered.state.cluster_id, CLUSTER_ID_BYTES) !=
        0) {
        errmsg_set(why, "belongs to another cluster than %s", a->path);
        return false;
    }
    for (raft_index i = a->first > b->first ? a->first : b->first; i <= common; i++) {
        const struct data_mark *x = data_dir_mark(a, i);
        const struct data_mark *y = data_dir_mark(b, i);

        if (x->term != y->term) {
            errmsg_set(why,
                       "index %" PRIu64 " has term %" PRIu64 ", in %s term %" PRIu64
                       ", and yet they meet again at index %" PRIu64,
                       i, y->term, a->path, x->term, common);
            return false;
        }
        if (has_entry(a, i) && has_entry(b, i) && x->crc != y->crc) {
            errmsg_set(why,
                       "index %" PRIu64 " of term %" PRIu64 " holds another command than in %s", i,
                       x->term, a->path);
            return false;
        }
        if (is_state_known(a, i) && is_state_known(b, i) &&
            memcmp(x->digest, y->digest, sizeof x->digest) != 0) {
            errmsg_set(why, "after index %" PRIu64 " the state differs from %s", i, a->path);
            return false;
        }
    }
    return true;
}

static void put_digest(struct output *o, const struct data_dir *d)
{
    uint8_t digest[16];
    char text[33];

    if (d->db == NULL) {
        output_text(o, NULL);
        return;
    }
    refdb_digest(d->db, digest);
    for (int i = 0; i < 16; i++) {
        snprintf(text + (ptrdiff_t)2 * i, 3, "%02x", digest[i]);
    }
    output_text(o, text);
}

static void print(struct output *o, const struct data_dir *d, const char *finding)
{
    const struct storage_recovered *r = &d->recovered;
    struct refdb_gauges gauges = { 0 };

    if (d->db != NULL) {
        refdb_get_gauges(d->db, &gauges);
    }
    output_text(o, d->path);
    output_text(o, r->state.node_name);
    output_number(o, r->state.current_term);
    output_number(o, r->snapshot_last_index);
    output_number(o, r->log_first_index);
    output_number(o, r->log_last_index);
    output_number(o, r->torn_bytes);
    output_number(o, gauges.repositories);
    output_number(o, gauges.refs);
    put_digest(o, d);
    output_text(o, finding);
    output_end_row(o);
}

/* What is wrong with the directory as a whole, and each damaged place. */
static void print_findings(struct output *o, struct data_dir *d, const char *whole)
{
    struct buffer text = BUFFER_INIT;

    buffer_printf(&text, "%s%s", whole, d->findings.size > 0 && whole[0] != '\0' ? "; " : "");
    buffer_put_slice(&text, buffer_slice(&d->findings));
    buffer_put_u8(&text, '\0');
    print(o, d, (const char *)text.data);
    buffer_release(&text);
}

/* Compares with those before it.  Returns the exit code of this directory. */
static int judge(struct output *o, struct data_dir *all, int at)
{
    struct data_dir *d = &all[at];
    struct errmsg why = ERRMSG_INIT;

    if (d->status != RK_OK) {
        print_findings(o, d, d->why.text[0] == '\0' ? rk_status_text(d->status) : d->why.text);
        return d->status == RK_CORRUPT || d->status == RK_FOREIGN ? EXIT_CORRUPT
                                                                  : rk_status_exit_code(d->status);
    }
    for (int i = 0; i < at; i++) {
        if (all[i].status == RK_OK && !agree(&all[i], d, &why)) {
            print_findings(o, d, why.text);
            return EXIT_REFUSED;
        }
    }
    if (d->findings.size > 0) {
        print_findings(o, d, "");
        return EXIT_REFUSED;
    }
    print(o, d, "ok");
    return 0;
}

int cmd_fsck(struct cli *cli, int argc, char **argv)
{
    static const char *const columns[] = { "directory", "node",   "term",   "snapshot",
                                           "first",     "last",   "torn",   "repositories",
                                           "refs",      "digest", "finding" };
    struct data_dir *all;
    struct output *o;
    int count = cli_parse(cli, argc, argv, NULL, 0, 1, DIRECTORIES_MAX);
    int worst = 0;

    if (count < 0) {
        return EXIT_USAGE;
    }
    all = heap_zalloc((size_t)count * sizeof *all);
    o = output_open(cli->format, OUTPUT_ROWS, columns, 11);
    for (int i = 0; i < count; i++) {
        int code;

        data_dir_read(&all[i], argv[i]);
        code = judge(o, all, i);
        worst = code > worst ? code : worst;
    }
    for (int i = 0; i < count; i++) {
        data_dir_release(&all[i]);
    }
    heap_free(all);
    return output_close(o) != 0 && worst == 0 ? EXIT_OTHER : worst;
}
