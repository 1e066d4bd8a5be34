/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of a repository.  REPLICA.REPORT, what a storage says it holds, is answered by this node
 * alone and kept by it alone (node/replicas.h): whoever reports, reports to every node.
 */
#include <string.h>

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

static int digit_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* 32 hex digits, as REPO.SHOW writes a digest. */
static enum rk_status parse_digest(struct slice text, uint8_t ret_digest[16])
{
    if (text.size != 32) {
        return RK_BADARG;
    }
    for (size_t i = 0; i < 16; i++) {
        int high = digit_value(text.data[2 * i]), low = digit_value(text.data[2 * i + 1]);

        if (high < 0 || low < 0) {
            return RK_BADARG;
        }
        ret_digest[i] = (uint8_t)(high << 4 | low);
    }
    return RK_OK;
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
    uint8_t digest[16];
    enum rk_status status = number_parse(words[1], &id);
    bool is_complete;

    if (status == RK_OK) {
        status = parse_digest(words[2], digest);
    }
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
    is_complete = memcmp(digest, repository.digest, sizeof(digest)) == 0;
    replicas_report(node_replicas(n), repository.id, storage, digest,
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
