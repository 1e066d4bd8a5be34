/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of a repository.  REPLICA.REPORT, what a storage says it holds, is answered by this node
 * alone and kept by it alone (node/replicas.h): whoever reports, reports to every node.
 */
#include "server/request.h"
#include "server/requests_repo.h"
#include "server/server.h"

#define WORDS_PER_REPORT 3 /* path, id, digest */

static enum rk_status parse_reports(struct arguments *a, struct request_scratch *scratch,
                                    struct request *r, struct failure *why)
{
    (void)scratch;
    if (arguments_left(a) % WORDS_PER_REPORT != 0) {
        failure_set(why, RK_BADARG, "path, id and digest belong together");
        return RK_BADARG;
    }
    r->items = a->words + a->next;
    r->item_count = arguments_left(a);
    a->next = a->count;
    return RK_OK;
}

/* 32 hex digits, as REPO.SHOW writes a digest. */
static bool is_digest(struct slice text, const uint8_t digest[16])
{
    static const char digits[] = "0123456789abcdef";
    bool is_equal = text.size == 32;

    for (size_t i = 0; i < 16 && is_equal; i++) {
        is_equal = text.data[2 * i] == digits[digest[i] >> 4] &&
                   text.data[2 * i + 1] == digits[digest[i] & 15];
    }
    return is_equal;
}

static bool holds(const struct refdb_repository *repository, struct slice storage)
{
    for (size_t i = 0; i < repository->replica_count; i++) {
        if (slice_equal(repository->replicas[i], storage)) {
            return true;
        }
    }
    return false;
}

static void take_report(const struct node *n, struct slice storage, const struct slice *words,
                        struct sink *s)
{
    struct refdb_repository repository;
    uint64_t id = 0;
    enum rk_status status = number_parse(words[1], &id);
    bool is_complete;

    if (status == RK_OK) {
        status = refdb_find_repository(node_refdb(n), words[0], id, &repository);
    }
    if (status == RK_OK && !holds(&repository, storage)) {
        status = RK_NOTREPLICA;
    }
    if (status != RK_OK) {
        sink_status(s, status);
        return;
    }
    is_complete = is_digest(words[2], repository.digest);
    replicas_report(node_replicas(n), repository.id, storage,
                    is_complete ? repository.last_index : 0);
    sink_begin(s, SINK_ROW);
    sink_field(s, "code");
    sink_word(s, is_complete ? "COMPLETE" : "DIFFERENT");
    sink_end(s);
}

static void do_report(const struct request_context *c, const struct request *r, struct sink *s)
{
    struct refdb_storage storage;

    if (refdb_find_storage(node_refdb(c->node), r->storage, &storage) != RK_OK) {
        sink_status(s, RK_NOSTORAGE);
        return;
    }
    replicas_heard(node_replicas(c->node), r->storage, node_now_ms(c->node));
    sink_field(s, "results");
    sink_begin(s, SINK_LIST);
    for (uint32_t i = 0; i < r->item_count; i += WORDS_PER_REPORT) {
        take_report(c->node, r->storage, r->items + i, s);
    }
    sink_end(s);
}

static void encode_remove(const struct request *r, struct buffer *out)
{
    struct command command = { .tag = COMMAND_REMOVE_REPLICA };

    command.u.remove_replica.path = r->path;
    command.u.remove_replica.storage = r->storage;
    request_encode_envelope(r, &command, out);
}

const struct request_type requests_replica[] = {
    {
        .name = "REPLICA.REMOVE",
        .kind = REQUEST_WRITE,
        .scope = SERVER_MAY_WRITE,
        .arguments = "path storage [write options]",
        .summary = "Forgets that a storage holds the repository; refused for its primary",
        .positions = { FIELD_PATH, FIELD_STORAGE },
        .position_count = 2,
        .options = FIELDS_WRITE,
        .encode = encode_remove,
        .reply = reply_index,
    },
    {
        .name = "REPLICA.REPORT",
        .kind = REQUEST_LOCAL,
        .scope = SERVER_MAY_WRITE,
        .arguments = "storage [path id digest ...]",
        .summary = "A storage lives, and says what it holds",
        .positions = { FIELD_STORAGE },
        .position_count = 1,
        .parse = parse_reports,
        .local = do_report,
    },
    { .name = NULL },
};
