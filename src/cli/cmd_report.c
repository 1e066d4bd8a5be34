/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refkeeper report: what is unavailable, at risk or behind, as the node that answers knows it.
 *
 *   storage      down, draining, or silent for longer than STORAGE_HEARD_MS
 *   unavailable  the primary is down or silent: no push works.  Named with it: a replica that
 *                holds everything, to which `drain` would move it
 *   at-risk      fewer than two storages that are up hold everything
 *   behind       a copy that does not: by how many log indexes, "?" = nobody knows
 *
 * With --from-storage it tells the nodes what a storage holds, once: for storages without agent.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/heap.h"
#include "cli/cli.h"
#include "cli/copy.h"
#include "cli/placement.h"
#include "cli/verbs.h"

struct report {
    struct placement placement;
    struct output *output;
    uint64_t findings;
};

static void tell(struct report *r, const char *path, const char *finding, const char *storage,
                 const char *behind, const char *detail)
{
    output_text(r->output, path);
    output_text(r->output, finding);
    output_text(r->output, storage);
    output_text(r->output, behind);
    output_text(r->output, detail);
    output_end_row(r->output);
    r->findings++;
}

static void tell_storages(struct report *r)
{
    for (size_t i = 0; i < r->placement.count; i++) {
        const struct placed_storage *s = &r->placement.storages[i];

        if (strcmp(s->state, "active") != 0) {
            tell(r, NULL, "storage", s->name, NULL, s->state);
        } else if (!placement_is_up(s)) {
            tell(r, NULL, "storage", s->name, NULL, "silent");
        }
    }
}

static size_t count_copies(const struct report *r, const struct rk_reply *map)
{
    const char *primary = rk_reply_get_text(map, "primary");
    size_t count = 0;

    for (size_t i = 0; i < r->placement.count; i++) {
        const struct placed_storage *s = &r->placement.storages[i];
        /* A primary without agent is trusted: what was decided there was written there. */
        bool holds = placement_lists(map, "complete", s->name) ||
                     (s->silent_ms < 0 && strcmp(s->name, primary) == 0);

        count += holds && placement_is_up(s) ? 1 : 0;
    }
    return count;
}

static void tell_behind(struct report *r, const char *path, const struct rk_reply *map)
{
    const struct rk_reply *replicas = rk_reply_get(map, "replicas");
    const struct rk_reply *seen = rk_reply_get(map, "seen");
    uint64_t last_index = rk_reply_get_number(map, "last_index");
    const char *primary = rk_reply_get_text(map, "primary");

    for (size_t i = 0; replicas != NULL && seen != NULL && i < seen->count; i++) {
        const char *name = replicas->items[i]->text;
        const struct placed_storage *s = placement_find(&r->placement, name);
        char behind[24] = "?";

        if (placement_lists(map, "complete", name) ||
            (s != NULL && s->silent_ms < 0 && strcmp(name, primary) == 0)) {
            continue;
        }
        if (seen->items[i]->type == RK_REPLY_INTEGER) {
            snprintf(behind, sizeof behind, "%" PRIu64,
                     last_index - (uint64_t)seen->items[i]->integer);
        }
        tell(r, path, "behind", name, behind, strcmp(name, primary) == 0 ? "primary" : "replica");
    }
}

static int report_one(void *context, const char *path, const struct rk_reply *map)
{
    struct report *r = context;
    const char *primary = rk_reply_get_text(map, "primary");
    size_t copies = count_copies(r, map);
    char detail[200];

    if (!placement_is_up(placement_find(&r->placement, primary))) {
        const struct placed_storage *to = placement_choose(&r->placement, map);

        snprintf(detail, sizeof detail, "%s%.100s",
                 to == NULL ? "no live replica holds everything" : "everything is on ",
                 to == NULL ? "" : to->name);
        tell(r, path, "unavailable", primary, NULL, detail);
    }
    if (copies < 2) {
        snprintf(detail, sizeof detail, "%zu live complete %s", copies,
                 copies == 1 ? "copy" : "copies");
        tell(r, path, "at-risk", NULL, NULL, detail);
    }
    tell_behind(r, path, map);
    return 0;
}

static int print_report(struct cli *cli, struct rk_client *client, const char *prefix)
{
    static const char *const columns[] = { "path", "finding", "storage", "behind", "detail" };
    struct report r = { .findings = 0 };
    struct rk_page page = { .prefix = prefix };
    struct rk_error error;
    enum rk_status status = placement_read(&r.placement, client, &error);
    int code;

    if (status != RK_OK) {
        return cli_fail(cli, &error);
    }
    r.output = output_open(cli->format, OUTPUT_ROWS, columns, 5);
    tell_storages(&r);
    status = rk_repo_list(client, &page, report_one, &r, &error);
    code = output_close(r.output) != 0 ? EXIT_OTHER : r.findings > 0 ? EXIT_REFUSED : 0;
    placement_release(&r.placement);
    return status == RK_OK ? code : cli_fail(cli, &error);
}

/* ---- --from-storage ---- */

struct telling {
    struct cli *cli;
    struct rk_client *client;
    struct tracked_refs tracked;
    const char *storage, *root;
    struct output *output;
    struct buffer words; /* path NUL id NUL digest NUL ... */
    int argc;
    size_t wrong;
};

static void put_word(struct telling *t, const char *word)
{
    buffer_put(&t->words, word, strlen(word) + 1);
    t->argc++;
}

static int look_one(void *context, const char *path, const struct rk_reply *map)
{
    struct telling *t = context;
    struct buffer place = BUFFER_INIT;
    struct copy_state state = { .ref_count = 0 };
    struct errmsg why = ERRMSG_INIT;
    char id[24], digest[2 * COPY_DIGEST_BYTES + 1];
    bool is_there, is_equal;

    buffer_printf(&place, "%s/%s", t->root, path);
    buffer_put_u8(&place, '\0');
    is_there = copy_read((const char *)place.data, &t->tracked, &state, &why) == RK_OK;
    is_equal = is_there && copy_is_equal(&state, &t->tracked, t->client, path,
                                         rk_reply_get_text(map, "digest"));
    buffer_release(&place);
    snprintf(id, sizeof id, "%" PRIu64, rk_reply_get_number(map, "id"));
    copy_format_digest(state.digest, digest);
    put_word(t, path);
    put_word(t, id);
    put_word(t, digest);
    output_text(t->output, path);
    output_text(t->output, is_equal ? "complete" : is_there ? "different" : "absent");
    output_end_row(t->output);
    t->wrong += is_equal ? 0 : 1;
    copy_state_release(&state);
    return 0;
}

static enum rk_status tell_node(struct telling *t, const char *endpoint, struct rk_error *error)
{
    struct rk_client *client = cli_client_of(t->cli, endpoint, error);
    const char **argv = heap_alloc(((size_t)t->argc + 1) * sizeof *argv);
    const char *word = (const char *)t->words.data;
    struct rk_reply *reply = NULL;
    enum rk_status status;

    for (int i = 0; i < t->argc; i++) {
        argv[i] = word;
        word += strlen(word) + 1;
    }
    status = client == NULL ? error->status
                            : rk_call(client, RK_CALL_READ, t->argc, argv, NULL, &reply, error);
    rk_reply_free(reply);
    rk_client_close(client);
    heap_free(argv);
    return status;
}

/* Each node keeps what it was told for itself.  0 when one of them was told. */
static int tell_nodes(struct telling *t)
{
    char *list = heap_copy_text(t->cli->endpoints, strlen(t->cli->endpoints));
    struct rk_error error;
    int code = EXIT_OTHER;

    for (char *item = list; item != NULL;) {
        char *comma = strchr(item, ',');

        if (comma != NULL) {
            *comma++ = '\0';
        }
        if (tell_node(t, item, &error) == RK_OK) {
            code = 0;
        } else {
            fprintf(stderr, "refkeeper report: %s\n", error.message);
        }
        item = comma;
    }
    heap_free(list);
    return code;
}

static int tell_storage(struct cli *cli, struct rk_client *client, const char *storage,
                        const char *root)
{
    static const char *const columns[] = { "path", "copy" };
    struct telling t = {
        .cli = cli, .client = client, .storage = storage, .root = root, .words = BUFFER_INIT
    };
    struct rk_page page = { .storage = storage };
    struct rk_error error;
    int code = 0;

    put_word(&t, "REPLICA.REPORT");
    put_word(&t, storage);
    t.output = output_open(cli->format, OUTPUT_ROWS, columns, 2);
    if (tracked_refs_read(&t.tracked, client, false, &error) != RK_OK ||
        rk_repo_list(client, &page, look_one, &t, &error) != RK_OK) {
        code = cli_fail(cli, &error);
    }
    if (code == 0) {
        code = tell_nodes(&t);
    }
    buffer_release(&t.words);
    tracked_refs_release(&t.tracked);
    if (output_close(t.output) != 0) {
        return EXIT_OTHER;
    }
    return code == 0 && t.wrong > 0 ? EXIT_REFUSED : code;
}

int cmd_report(struct cli *cli, int argc, char **argv)
{
    char *storage = NULL, *root = NULL, *prefix = NULL;
    const struct flag flags[] = { { "prefix", FLAG_TEXT, &prefix },
                                  { "from-storage", FLAG_TEXT, &storage },
                                  { "root", FLAG_TEXT, &root } };
    struct rk_client *client;
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, flags, 3, 0, 0) < 0) {
        return EXIT_USAGE;
    }
    if ((storage == NULL) != (root == NULL)) {
        return cli_usage_error(cli, "--from-storage and --root belong together");
    }
    if (storage != NULL && cli->endpoints == NULL) {
        return cli_usage_error(cli, "--from-storage needs --endpoints, of all nodes");
    }
    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    return storage == NULL ? print_report(cli, client, prefix)
                           : tell_storage(cli, client, storage, root);
}
