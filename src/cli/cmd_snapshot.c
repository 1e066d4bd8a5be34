/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeper snapshot ...: a copy of everything to put away, and a cluster founded from it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "cli/cli.h"
#include "cli/founding.h"
#include "cli/verbs.h"
#include "storage/storage.h"

#define COPY_BYTES (1024 * 1024)

static int fail(struct cli *cli, enum rk_status status, const struct errmsg *why)
{
    return cli_fail_text(cli, status, "%s",
                         why->text[0] == '\0' ? rk_status_text(status) : why->text);
}

/* The newest snapshot of a directory; a running node does not mind. */
static enum rk_status open_newest(const char *data_dir, struct snapshot_source **ret_source,
                                  struct errmsg *why)
{
    struct storage_options options = { .fs = fs_posix(),
                                       .data_dir = data_dir,
                                       .is_read_only = true };
    struct storage_recovered *r = heap_new(struct storage_recovered);
    struct storage *s = NULL;
    enum rk_status status = storage_open(&options, &s, r, why);

    storage_close(s);
    if (status == RK_OK && r->snapshot_last_index == 0) {
        errmsg_set(why, "%s holds no snapshot yet: SNAPSHOT.TAKE makes one", data_dir);
        status = RK_NOT_FOUND;
    }
    if (status == RK_OK) {
        status = snapshot_source_open(fs_posix(), data_dir, r->snapshot_last_index,
                                      r->snapshot_last_term, ret_source, why);
    }
    heap_free(r);
    return status;
}

static enum rk_status copy(struct snapshot_source *source, FILE *to, struct errmsg *why)
{
    uint64_t size = snapshot_source_bytes(source);
    struct buffer bytes = BUFFER_INIT;
    enum rk_status status = RK_OK;

    for (uint64_t at = 0; at < size && status == RK_OK; at += bytes.size) {
        uint64_t left = size - at;

        buffer_clear(&bytes);
        status = snapshot_source_read(source, at, left < COPY_BYTES ? (size_t)left : COPY_BYTES,
                                      &bytes, why);
        if (status == RK_OK && fwrite(bytes.data, 1, bytes.size, to) != bytes.size) {
            status = RK_IO;
        }
    }
    buffer_release(&bytes);
    if (status == RK_OK && (fflush(to) != 0 || fsync(fileno(to)) != 0)) {
        status = RK_IO;
    }
    return status;
}

/* ---- take: a request to nodes, the others work on files ---- */

static int take_at(struct cli *cli, struct rk_client *client, struct output *output)
{
    const char *request = "SNAPSHOT.TAKE";
    struct rk_reply *reply = NULL;
    struct rk_error error;

    if (rk_call(client, RK_CALL_READ, 1, &request, NULL, &reply, &error) != RK_OK) {
        return cli_fail(cli, &error);
    }
    output_text(output, rk_client_endpoint(client));
    output_text(output, reply->text);
    output_end_row(output);
    rk_reply_free(reply);
    return 0;
}

/* Each of "a:1,b:2"; goes on behind one that does not answer. */
static int take_at_all(struct cli *cli, char *list, struct output *output)
{
    struct rk_error error;
    int code = 0;

    for (char *item = list; item != NULL;) {
        char *comma = strchr(item, ',');
        struct rk_client *client;
        int failed;

        if (comma != NULL) {
            *comma++ = '\0';
        }
        client = cli_client_of(cli, item, &error);
        failed = client == NULL ? cli_fail(cli, &error) : take_at(cli, client, output);
        code = failed != 0 ? failed : code;
        rk_client_close(client);
        item = comma;
    }
    return code;
}

int cmd_snapshot_take(struct cli *cli, int argc, char **argv)
{
    static const char *const columns[] = { "node", "outcome" };
    bool takes_all = false;
    const struct flag flags[] = { { "all", FLAG_BOOL, &takes_all } };
    struct rk_client *client;
    struct output *output;
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, flags, 1, 0, 0) < 0) {
        return EXIT_USAGE;
    }
    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    output = output_open(cli->format, OUTPUT_ROWS, columns, 2);
    if (takes_all) {
        char *list = cli_member_endpoints(cli, client);

        code = take_at_all(cli, list, output);
        heap_free(list);
    } else {
        code = take_at(cli, client, output);
    }
    return output_close(output) != 0 ? EXIT_OTHER : code;
}

int cmd_snapshot_save(struct cli *cli, int argc, char **argv)
{
    static const char *const columns[] = { "file", "bytes" };
    struct errmsg why = ERRMSG_INIT;
    struct snapshot_source *source = NULL;
    struct snapshot_id id;
    struct output *o;
    enum rk_status status;
    char path[4096];
    FILE *file;

    if (cli_parse(cli, argc, argv, NULL, 0, 2, 2) < 0) {
        return EXIT_USAGE;
    }
    status = open_newest(argv[0], &source, &why);
    if (status != RK_OK) {
        return fail(cli, status, &why);
    }
    id = snapshot_source_id(source);
    snprintf(path, sizeof path, "%s/raft-snapshot-%" PRIu64 "-%" PRIu64 ".dat", argv[1],
             id.last_index, id.last_term);
    file = fopen(path, "wbxe");
    if (file == NULL) {
        snapshot_source_close(source);
        return cli_fail_text(cli, RK_IO, "%s cannot be made, or is there already", path);
    }
    status = copy(source, file, &why);
    if (fclose(file) != 0 && status == RK_OK) {
        status = RK_IO;
    }
    if (status != RK_OK) {
        (void)remove(path);
        snapshot_source_close(source);
        return fail(cli, status, &why);
    }
    o = output_open(cli->format, OUTPUT_RECORD, columns, 2);
    output_text(o, path);
    output_number(o, snapshot_source_bytes(source));
    output_end_row(o);
    snapshot_source_close(source);
    return output_close(o) != 0 ? EXIT_OTHER : 0;
}

static void put_hex(struct output *o, const uint8_t *bytes, size_t size)
{
    char text[65];

    for (size_t i = 0; i < size && i < 32; i++) {
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
    output_text(o, text);
}

int cmd_snapshot_status(struct cli *cli, int argc, char **argv)
{
    static const char *const columns[] = { "index",        "term", "cluster_id", "members",
                                           "repositories", "refs", "digest" };
    struct errmsg why = ERRMSG_INIT;
    struct refdb_gauges gauges;
    struct snapshot_meta meta;
    struct refdb *db = NULL;
    uint8_t digest[16];
    struct output *o;
    enum rk_status status;

    if (cli_parse(cli, argc, argv, NULL, 0, 1, 1) < 0) {
        return EXIT_USAGE;
    }
    status = founding_load(argv[0], &meta, &db, &why);
    if (status != RK_OK) {
        return fail(cli, status, &why);
    }
    refdb_get_gauges(db, &gauges);
    refdb_digest(db, digest);
    o = output_open(cli->format, OUTPUT_RECORD, columns, 7);
    output_number(o, meta.last_index);
    output_number(o, meta.last_term);
    put_hex(o, meta.cluster_id, sizeof meta.cluster_id);
    output_number(o, meta.membership.count);
    output_number(o, gauges.repositories);
    output_number(o, gauges.refs);
    put_hex(o, digest, sizeof digest);
    output_end_row(o);
    refdb_free(db);
    return output_close(o) != 0 ? EXIT_OTHER : 0;
}

int cmd_snapshot_restore(struct cli *cli, int argc, char **argv)
{
    struct errmsg why = ERRMSG_INIT;
    struct snapshot_meta meta;
    struct refdb *db = NULL;
    char *to = NULL, *name = NULL, *peer = NULL;
    const struct flag flags[] = { { "to", FLAG_TEXT, &to },
                                  { "name", FLAG_TEXT, &name },
                                  { "peer", FLAG_TEXT, &peer } };
    struct founding f = { .to = NULL };
    enum rk_status status;

    if (cli_parse(cli, argc, argv, flags, 3, 1, 1) < 0) {
        return EXIT_USAGE;
    }
    if (to == NULL || to[0] != '/' || name == NULL || peer == NULL) {
        return cli_usage_error(cli, "--to (an absolute path), --name and --peer are needed");
    }
    status = founding_load(argv[0], &meta, &db, &why);
    if (status != RK_OK) {
        return fail(cli, status, &why);
    }
    f = (struct founding){ .to = to,
                           .name = name,
                           .peer_address = peer,
                           .last_index = meta.last_index,
                           .term_seen = meta.last_term };
    status = founding_write(&f, db, &why);
    refdb_free(db);
    if (status != RK_OK) {
        return fail(cli, status, &why);
    }
    fprintf(
        stderr,
        "Done: start refkeeperd with --name %s --data-dir %s --join; it leads alone, from index "
        "%" PRIu64 " on.\n",
        name, to, f.meta.last_index);
    return 0;
}
