/* SPDX-License-Identifier: Apache-2.0 */
/* Repositories: creating, moving, freezing, showing. */
#include "server/requests_repo.h"
#include "server/request.h"
#include "server/route.h"
#include "server/server.h"

/* ---- Writes ---- */

static enum rk_status check_create(struct request_scratch *scratch, struct request *r,
                                   struct failure *why)
{
    (void)scratch;
    for (uint32_t i = 0; i < r->item_count; i++) {
        if (slice_equal(r->items[i], r->storage)) {
            failure_set(why, RK_BADARG, "replicas: the primary is not named again");
            return RK_BADARG;
        }
    }
    return RK_OK;
}

static void encode_create(const struct request *r, struct buffer *out)
{
    struct command command = { .tag = COMMAND_CREATE_REPO };
    struct buffer replicas = BUFFER_INIT;

    for (uint32_t i = 0; i < r->item_count; i++) {
        buffer_put_string(&replicas, r->items[i]);
    }
    command.u.create_repo.path = r->path;
    command.u.create_repo.primary = r->storage;
    command.u.create_repo.replica_count = r->item_count;
    command.u.create_repo.replicas = buffer_slice(&replicas);
    command.u.create_repo.format = r->format;
    command.u.create_repo.head = r->head;
    request_encode_envelope(r, &command, out);
    buffer_release(&replicas);
}

/* Encodes one of the seed's commands, as it is or, with options, in an envelope. */
static void encode_seed(const struct request *r, struct buffer *plain, struct buffer *out)
{
    if (request_has_envelope(r)) {
        command_encode_envelope(out, &r->envelope, buffer_slice(plain));
    } else {
        buffer_put_slice(out, buffer_slice(plain));
    }
    buffer_release(plain);
}

static void encode_register(const struct request *r, struct buffer *out)
{
    struct buffer plain = BUFFER_INIT;

    command_encode_register_repo(&plain, r->path, r->storage);
    encode_seed(r, &plain, out);
}

static void encode_remove(const struct request *r, struct buffer *out)
{
    struct buffer plain = BUFFER_INIT;

    command_encode_remove_repo(&plain, r->path);
    encode_seed(r, &plain, out);
}

/* path new | PREFIX old/ new/ */
static enum rk_status parse_rename(struct arguments *a, struct request_scratch *scratch,
                                   struct request *r, struct failure *why)
{
    enum rk_status status;

    (void)scratch;
    why->text[0] = '\0';
    if (arguments_left(a) >= 3 && word_is(a->words[a->next], "PREFIX")) {
        r->is_prefix = true;
        a->next++;
    }
    if (arguments_left(a) < 2) {
        return RK_BADARG;
    }
    status = request_set_field(r, FIELD_PATH, arguments_take(a), why);
    return status == RK_OK ? request_set_field(r, FIELD_TO, arguments_take(a), why) : status;
}

static enum rk_status check_rename(struct request_scratch *scratch, struct request *r,
                                   struct failure *why)
{
    (void)scratch;
    if (r->is_prefix && (r->path.size == 0 || r->path.data[r->path.size - 1] != '/' ||
                         r->to.size == 0 || r->to.data[r->to.size - 1] != '/')) {
        failure_set(why, RK_BADARG, "both prefixes end with a slash");
        return RK_BADARG;
    }
    return RK_OK;
}

static void encode_rename(const struct request *r, struct buffer *out)
{
    struct command command = { .tag = COMMAND_RENAME_REPO };

    command.u.rename_repo.is_prefix = r->is_prefix;
    command.u.rename_repo.from = r->path;
    command.u.rename_repo.to = r->to;
    request_encode_envelope(r, &command, out);
}

static void encode_set_head(const struct request *r, struct buffer *out)
{
    struct command command = { .tag = COMMAND_SET_HEAD };

    command.u.set_head.path = r->path;
    command.u.set_head.refname = r->refname;
    request_encode_envelope(r, &command, out);
}

static void encode_freeze(const struct request *r, struct buffer *out)
{
    struct command command = { .tag = COMMAND_SET_STATE };

    command.u.set_state.path = r->path;
    command.u.set_state.state = REPOSITORY_FROZEN;
    command.u.set_state.reason = r->reason;
    request_encode_envelope(r, &command, out);
}

static void encode_thaw(const struct request *r, struct buffer *out)
{
    struct command command = { .tag = COMMAND_SET_STATE };

    command.u.set_state.path = r->path;
    command.u.set_state.state = REPOSITORY_RW;
    request_encode_envelope(r, &command, out);
}

/* ---- Reading ---- */

const char *repository_state_word(enum repository_state state)
{
    static const char *const words[] = {
        [REPOSITORY_RW] = "rw",
        [REPOSITORY_RO] = "ro",
        [REPOSITORY_FROZEN] = "frozen",
    };

    return words[state];
}

/* For each replica the last index as of which it held everything; nil = nobody knows. */
static void put_seen(const struct node *n, const struct refdb_repository *repository,
                     struct sink *s)
{
    sink_field(s, "seen");
    sink_begin(s, SINK_LIST);
    for (size_t i = 0; i < repository->replica_count; i++) {
        raft_index seen_index = replicas_seen(node_replicas(n), repository->id,
                                              repository->replicas[i]);

        if (seen_index == 0) {
            sink_nil(s);
        } else {
            sink_number(s, seen_index);
        }
    }
    sink_end(s);
}

static void put_repository(const struct node *n, const struct refdb_repository *repository,
                           struct sink *s)
{
    sink_field(s, "path");
    sink_text(s, repository->path);
    sink_field(s, "id");
    sink_id(s, repository->id);
    sink_field(s, "state");
    sink_c_text(s, repository_state_word(repository->state));
    sink_field(s, "reason");
    sink_text(s, repository->reason);
    sink_field(s, "primary");
    sink_text(s, repository->primary);
    sink_field(s, "epoch");
    sink_number(s, repository->primary_epoch);
    sink_field(s, "replicas");
    sink_begin(s, SINK_LIST);
    for (size_t i = 0; i < repository->replica_count; i++) {
        sink_text(s, repository->replicas[i]);
    }
    sink_end(s);
    sink_field(s, "complete");
    sink_begin(s, SINK_LIST);
    for (size_t i = 0; i < repository->replica_count; i++) {
        if (route_is_complete(n, repository, repository->replicas[i])) {
            sink_text(s, repository->replicas[i]);
        }
    }
    sink_end(s);
    put_seen(n, repository, s);
    sink_field(s, "format");
    sink_c_text(s, object_format_name(repository->format));
    sink_field(s, "head");
    sink_text(s, repository->head);
    sink_field(s, "refs");
    sink_number(s, repository->ref_count);
    sink_field(s, "last_index");
    sink_number(s, repository->last_index);
    sink_field(s, "digest");
    sink_hex(s, repository->digest, sizeof(repository->digest));
}

static void read_show(const struct node *n, const struct request *r, struct sink *s)
{
    const struct refdb *db = node_refdb(n);
    struct refdb_repository repository;
    enum rk_status status = refdb_find_repository(db, r->path, r->envelope.repository_id,
                                                  &repository);
    struct failure f;

    if (status != RK_OK) {
        failure_set(&f, status, NULL);
        if (status == RK_RENAMED) {
            failure_add_text(&f, "path", repository.path);
        }
        sink_failure(s, &f);
        return;
    }
    sink_begin(s, SINK_MAP);
    put_repository(n, &repository, s);
    sink_field(s, "filter");
    sink_ref_filter(s, db);
    if (!s->is_json) {
        sink_field(s, "applied_index");
        sink_number(s, refdb_applied_index(db));
    }
    sink_end(s);
}

static bool is_on_storage(const struct refdb_repository *repository, struct slice storage)
{
    for (size_t i = 0; i < repository->replica_count; i++) {
        if (slice_equal(repository->replicas[i], storage)) {
            return true;
        }
    }
    return slice_equal(repository->primary, storage);
}

/*
 * One page.  With STORAGE most repositories may be passed over, so the walk is bounded by
 * those looked at, too: such a page may be short, or empty, and still have a next.
 */
static void put_repositories(const struct node *n, const struct request *r, struct sink *s,
                             struct buffer *ret_last)
{
    const struct refdb *db = node_refdb(n);
    struct refdb_repository repository;
    bool is_inclusive = slice_compare(r->prefix, r->after) > 0;
    struct slice from = is_inclusive ? r->prefix : r->after;
    bool filters = (r->given & FIELD_BIT(FIELD_IN_STORAGE)) != 0;
    uint64_t count = 0;
    uint64_t looked = 0;

    sink_field(s, "repos");
    sink_begin(s, SINK_LIST);
    while (refdb_next_repository(db, from, is_inclusive, &repository) &&
           slice_has_prefix(repository.path, r->prefix)) {
        if (count == r->limit || looked++ == LIST_LIMIT_MAX) {
            sink_end(s);
            return;
        }
        buffer_clear(ret_last);
        buffer_put_slice(ret_last, repository.path);
        if (!filters || is_on_storage(&repository, r->storage)) {
            count++;
            sink_begin(s, SINK_MAP);
            put_repository(n, &repository, s);
            sink_end(s);
        }
        from = repository.path;
        is_inclusive = false;
    }
    buffer_clear(ret_last);
    sink_end(s);
}

/* [applied index, AFTER of the next page or nil, [map, map ...]] */
static void read_repos(const struct node *n, const struct request *r, struct sink *s)
{
    struct sink_page page;

    sink_begin(s, SINK_RECORD);
    if (!s->is_json) {
        sink_number(s, refdb_applied_index(node_refdb(n)));
    }
    sink_page_begin(s, &page);
    put_repositories(n, r, s, &page.last);
    sink_page_end(s, &page);
    sink_end(s);
}

const struct request_type requests_repo[] = {
    {
        .name = "REPO.CREATE",
        .kind = REQUEST_WRITE,
        .scope = SERVER_MAY_WRITE,
        .arguments = "path primary [REPLICAS n storage..] [FORMAT sha1|sha256] [HEAD ref] "
                     "[write options]",
        .summary = "Creates a repository; refused when it exists",
        .positions = { FIELD_PATH, FIELD_STORAGE },
        .position_count = 2,
        .options = FIELDS_WRITE | FIELD_BIT(FIELD_REPLICAS) | FIELD_BIT(FIELD_FORMAT) |
                   FIELD_BIT(FIELD_HEAD),
        .check = check_create,
        .encode = encode_create,
        .reply = reply_index,
    },
    {
        .name = "REPO.REGISTER",
        .kind = REQUEST_WRITE,
        .scope = SERVER_MAY_WRITE,
        .arguments = "path storage [write options]",
        .summary = "Creates the repository with this primary, or adds the storage as replica",
        .positions = { FIELD_PATH, FIELD_STORAGE },
        .position_count = 2,
        .options = FIELDS_WRITE,
        .encode = encode_register,
        .reply = reply_registered,
    },
    {
        .name = "REPO.REMOVE",
        .kind = REQUEST_WRITE,
        .scope = SERVER_MAY_WRITE,
        .arguments = "path [write options]",
        .summary = "Removes the repository and its refs",
        .positions = { FIELD_PATH },
        .position_count = 1,
        .options = FIELDS_WRITE,
        .encode = encode_remove,
        .reply = reply_index,
    },
    {
        .name = "REPO.RENAME",
        .kind = REQUEST_WRITE,
        .scope = SERVER_MAY_WRITE,
        .arguments = "(path new | PREFIX old/ new/) [write options]",
        .summary = "Gives a repository, or all below a prefix, a new path",
        .options = FIELDS_WRITE,
        .parse = parse_rename,
        .check = check_rename,
        .encode = encode_rename,
        .reply = reply_index,
    },
    {
        .name = "REPO.SETHEAD",
        .kind = REQUEST_WRITE,
        .scope = SERVER_MAY_WRITE,
        .arguments = "path ref [write options]",
        .summary = "Points HEAD at a ref, which need not exist",
        .positions = { FIELD_PATH, FIELD_REF },
        .position_count = 2,
        .options = FIELDS_WRITE,
        .encode = encode_set_head,
        .reply = reply_index,
    },
    {
        .name = "REPO.FREEZE",
        .kind = REQUEST_WRITE,
        .scope = SERVER_MAY_WRITE,
        .arguments = "path reason [write options]",
        .summary = "Refuses changes of its refs until it is thawed",
        .positions = { FIELD_PATH, FIELD_REASON_TEXT },
        .position_count = 2,
        .options = FIELDS_WRITE,
        .encode = encode_freeze,
        .reply = reply_index,
    },
    {
        .name = "REPO.THAW",
        .kind = REQUEST_WRITE,
        .scope = SERVER_MAY_WRITE,
        .arguments = "path [write options]",
        .summary = "Ends a freeze",
        .positions = { FIELD_PATH },
        .position_count = 1,
        .options = FIELDS_WRITE,
        .encode = encode_thaw,
        .reply = reply_index,
    },
    {
        .name = "REPO.SHOW",
        .kind = REQUEST_READ,
        .scope = SERVER_MAY_READ,
        .arguments = "path [ID repository-id] [STALE|MININDEX n]",
        .summary = "All that is known of a repository but its refs",
        .positions = { FIELD_PATH },
        .position_count = 1,
        .options = FIELDS_READ | FIELD_BIT(FIELD_ID),
        .read_node = read_show,
    },
    {
        .name = "REPO.LIST",
        .kind = REQUEST_READ,
        .scope = SERVER_MAY_READ,
        .arguments = "[PREFIX p] [STORAGE s] [AFTER path] [LIMIT n] [STALE|MININDEX n]",
        .summary = "A page of repositories, in order of their paths",
        .options = FIELDS_PAGE | FIELD_BIT(FIELD_IN_STORAGE),
        .read_node = read_repos,
    },
    { .name = NULL },
};
