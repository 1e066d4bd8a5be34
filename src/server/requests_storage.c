/* SPDX-License-Identifier: Apache-2.0 */
/* Storages, and which of them is primary of what. */
#include "model/refname.h"
#include "server/request.h"
#include "server/requests_repo.h"
#include "server/server.h"

#define STORAGE_FIELDS                                                                             \
    (FIELD_BIT(FIELD_HTTP) | FIELD_BIT(FIELD_SSH) | FIELD_BIT(FIELD_ZONE) | FIELD_BIT(FIELD_STATE))

const char *storage_state_word(enum storage_state state)
{
    static const char *const words[] = {
        [STORAGE_ACTIVE] = "active",
        [STORAGE_DRAINING] = "draining",
        [STORAGE_DOWN] = "down",
    };

    return words[state];
}

/* An address is put into headers and shell lines by others: printable, without spaces. */
static bool address_is_plain(struct slice address)
{
    for (size_t i = 0; i < address.size; i++) {
        if (address.data[i] <= ' ' || address.data[i] >= 0x7f) {
            return false;
        }
    }
    return true;
}

static enum rk_status check_set(struct request_scratch *scratch, struct request *r,
                                struct failure *why)
{
    (void)scratch;
    if (!address_is_plain(r->http_address) || !address_is_plain(r->ssh_address) ||
        !address_is_plain(r->zone)) {
        failure_set(why, RK_BADARG, "addresses and zones are printable ASCII without spaces");
        return RK_BADARG;
    }
    return RK_OK;
}

static void encode_set(const struct request *r, struct buffer *out)
{
    struct command command = { .tag = COMMAND_SET_STORAGE };
    unsigned set = 0;

    set |= (r->given & FIELD_BIT(FIELD_HTTP)) != 0 ? SET_STORAGE_HTTP : 0;
    set |= (r->given & FIELD_BIT(FIELD_SSH)) != 0 ? SET_STORAGE_SSH : 0;
    set |= (r->given & FIELD_BIT(FIELD_ZONE)) != 0 ? SET_STORAGE_ZONE : 0;
    set |= (r->given & FIELD_BIT(FIELD_STATE)) != 0 ? SET_STORAGE_STATE : 0;
    command.u.set_storage.name = r->storage;
    command.u.set_storage.fields = set;
    command.u.set_storage.http_address = r->http_address;
    command.u.set_storage.ssh_address = r->ssh_address;
    command.u.set_storage.zone = r->zone;
    command.u.set_storage.state = r->storage_state;
    request_encode_envelope(r, &command, out);
}

static void encode_remove(const struct request *r, struct buffer *out)
{
    struct command command = { .tag = COMMAND_REMOVE_STORAGE };

    command.u.remove_storage.name = r->storage;
    request_encode_envelope(r, &command, out);
}

static void put_storage(const struct node *n, const struct refdb_storage *storage, struct sink *s)
{
    time_ms silent_ms = replicas_silent_ms(node_replicas(n), storage->name, node_now_ms(n));

    sink_field(s, "name");
    sink_text(s, storage->name);
    sink_field(s, "http");
    sink_text(s, storage->http_address);
    sink_field(s, "ssh");
    sink_text(s, storage->ssh_address);
    sink_field(s, "zone");
    sink_text(s, storage->zone);
    sink_field(s, "state");
    sink_c_text(s, storage_state_word(storage->state));
    sink_field(s, "primaries");
    sink_number(s, storage->primary_count);
    sink_field(s, "replicas");
    sink_number(s, storage->replica_count);
    sink_field(s, "last_index");
    sink_number(s, storage->last_index);
    sink_field(s, "silent_ms");
    if (silent_ms < 0) {
        sink_nil(s);
    } else {
        sink_number(s, (uint64_t)silent_ms);
    }
}

static void read_storages(const struct node *n, const struct request *r, struct sink *s)
{
    const struct refdb *db = node_refdb(n);
    struct refdb_storage storage;
    struct slice after = SLICE_NONE;

    (void)r;
    sink_field(s, "storages");
    sink_begin(s, SINK_LIST);
    while (refdb_next_storage(db, after, &storage)) {
        sink_begin(s, SINK_MAP);
        put_storage(n, &storage, s);
        sink_end(s);
        after = storage.name;
    }
    sink_end(s);
}

/* ---- PRIMARY.SET ---- */

/* storage path [path ...]: paths end at the first word that is an option. */
static enum rk_status parse_primary(struct arguments *a, struct request_scratch *scratch,
                                    struct request *r, struct failure *why)
{
    static const char *const options[] = { "FORCE", "REQID", "EPOCH", "BY", "ID", "ACTOR" };
    struct slice *paths;
    uint32_t count = 0;

    why->text[0] = '\0';
    if (arguments_left(a) == 0) {
        return RK_BADARG;
    }
    paths = request_scratch_items(scratch, arguments_left(a));
    while (arguments_left(a) > 0) {
        bool is_option = false;

        for (size_t i = 0; count > 0 && i < sizeof(options) / sizeof(options[0]); i++) {
            is_option = is_option || word_is(a->words[a->next], options[i]);
        }
        if (is_option) {
            break;
        }
        paths[count++] = arguments_take(a);
    }
    r->items = paths;
    r->item_count = count;
    return RK_OK;
}

static enum rk_status check_primary(struct request_scratch *scratch, struct request *r,
                                    struct failure *why)
{
    (void)scratch;
    if (r->item_count == 0) {
        failure_set(why, RK_BADARG, "paths: missing");
        return RK_BADARG;
    }
    if (r->item_count > BATCH_ITEMS_MAX) {
        failure_set(why, RK_TOOLARGE, "at most %d paths", BATCH_ITEMS_MAX);
        return RK_TOOLARGE;
    }
    for (uint32_t i = 0; i < r->item_count; i++) {
        if (!repository_path_is_valid(r->items[i])) {
            failure_set(why, RK_BADARG, "not a canonical repository path");
            failure_add_number(why, "item", i);
            return RK_BADARG;
        }
    }
    return RK_OK;
}

/*
 * Without FORCE each path carries the index as of which this node saw the storage hold all of
 * the repository; whether that is recent enough is judged when the move is applied.
 */
static void put_moves(const struct node *n, const struct request *r, struct buffer *moves)
{
    for (uint32_t i = 0; i < r->item_count; i++) {
        struct refdb_repository repository;
        raft_index seen_index = 0;

        if (refdb_find_repository(node_refdb(n), r->items[i], 0, &repository) == RK_OK) {
            seen_index = replicas_seen(node_replicas(n), repository.id, r->storage);
        }
        command_put_move(moves, r->items[i], seen_index);
    }
}

static void encode_primary(const struct node *n, const struct request *r, struct buffer *out)
{
    struct command move = { .tag = COMMAND_MOVE_PRIMARY };
    struct buffer moves = BUFFER_INIT, plain = BUFFER_INIT;

    if ((r->given & FIELD_BIT(FIELD_FORCE)) != 0) {
        command_encode_set_primary(&plain, r->storage, r->items, r->item_count);
        command_encode_envelope(out, &r->envelope, buffer_slice(&plain));
    } else {
        put_moves(n, r, &moves);
        move.u.move_primary.storage = r->storage;
        move.u.move_primary.count = r->item_count;
        move.u.move_primary.moves = buffer_slice(&moves);
        request_encode_envelope(r, &move, out);
    }
    buffer_release(&moves);
    buffer_release(&plain);
}

const struct request_type requests_storage[] = {
    {
        .name = "PRIMARY.SET",
        .kind = REQUEST_WRITE,
        .scope = SERVER_MAY_ADMIN,
        .arguments = "storage path [path ...] [FORCE reason] [write options]",
        .summary = "Makes a storage the primary of repositories",
        .positions = { FIELD_STORAGE },
        .position_count = 1,
        .options = FIELDS_WRITE | FIELD_BIT(FIELD_FORCE),
        .parse = parse_primary,
        .check = check_primary,
        .encode_node = encode_primary,
        .reply = reply_paths,
    },
    {
        .name = "STORAGE.SET",
        .kind = REQUEST_WRITE,
        .scope = SERVER_MAY_ADMIN,
        .arguments = "name [HTTP address] [SSH address] [ZONE zone] "
                     "[STATE active|draining|down] [write options]",
        .summary = "Adds a storage or changes what is given of it",
        .positions = { FIELD_STORAGE },
        .position_count = 1,
        .options = FIELDS_WRITE | STORAGE_FIELDS,
        .check = check_set,
        .encode = encode_set,
        .reply = reply_index,
    },
    {
        .name = "STORAGE.LIST",
        .kind = REQUEST_READ,
        .scope = SERVER_MAY_READ,
        .arguments = "[STALE|MININDEX n]",
        .summary = "All storages, in order of their names",
        .options = FIELDS_READ,
        .read_node = read_storages,
    },
    {
        .name = "STORAGE.REMOVE",
        .kind = REQUEST_WRITE,
        .scope = SERVER_MAY_ADMIN,
        .arguments = "name [write options]",
        .summary = "Forgets a storage that holds no repository",
        .positions = { FIELD_STORAGE },
        .position_count = 1,
        .options = FIELDS_WRITE,
        .encode = encode_remove,
        .reply = reply_index,
    },
    { .name = NULL },
};
