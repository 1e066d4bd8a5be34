/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stock Redis clients ask of any server when they connect.  Nothing here touches the
 * state; each is answered at once.
 */
#include <ctype.h>

#include "base/heap.h"
#include "server/client.h"
#include "server/request.h"
#include "server/server.h"

#define CLIENT_NAME_BYTES_MAX 128

/* Everything behind the name goes to r->items. */
static enum rk_status take_words(struct arguments *a, struct request_scratch *scratch,
                                 struct request *r, struct failure *why)
{
    (void)scratch;
    (void)why;
    r->items = a->words + a->next;
    r->item_count = arguments_left(a);
    a->next = a->count;
    return RK_OK;
}

static bool word_at(const struct request *r, uint32_t i, const char *upper)
{
    return i < r->item_count && word_is(r->items[i], upper);
}

/* An error in the words that stock clients know. */
static void put_error(struct sink *s, enum rk_status status, const char *word, const char *text)
{
    struct failure f;

    failure_set(&f, status, "%s", text);
    f.word = word;
    sink_failure(s, &f);
}

static void put_usage(struct sink *s, const struct request *r)
{
    struct failure f;

    failure_set(&f, RK_BADARG, "usage: %s %s", r->type->name, r->type->arguments);
    sink_failure(s, &f);
}

static void do_ping(const struct request_context *c, const struct request *r, struct sink *s)
{
    (void)c;
    if (r->item_count > 1) {
        put_usage(s, r);
    } else if (r->item_count == 1) {
        sink_text(s, r->items[0]);
    } else {
        sink_word(s, "PONG");
    }
}

static void do_echo(const struct request_context *c, const struct request *r, struct sink *s)
{
    (void)c;
    if (r->item_count == 1) {
        sink_text(s, r->items[0]);
    } else {
        put_usage(s, r);
    }
}

static void do_quit(const struct request_context *c, const struct request *r, struct sink *s)
{
    (void)r;
    c->client->wants_to_close = true;
    sink_word(s, "OK");
}

/* False when it answered with an error. */
static bool authenticate(const struct request_context *c, struct slice user, struct slice password,
                         struct sink *s)
{
    if (!server_has_authentication(c->server)) {
        put_error(s, RK_BADARG, "ERR", "AUTH is not needed: no password is set on this server");
        return false;
    }
    if (!server_authenticate(c->server, c->client, user, password)) {
        put_error(s, RK_NOAUTH, "WRONGPASS", "invalid user name or password");
        return false;
    }
    return true;
}

static void do_auth(const struct request_context *c, const struct request *r, struct sink *s)
{
    struct slice user = slice_of_text("default");

    if (r->item_count != 1 && r->item_count != 2) {
        put_usage(s, r);
        return;
    }
    if (r->item_count == 2) {
        user = r->items[0];
    }
    if (authenticate(c, user, r->items[r->item_count - 1], s)) {
        sink_word(s, "OK");
    }
}

/* ---- CLIENT ---- */

static bool client_name_is_valid(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] <= ' ' || name.data[i] >= 0x7f) {
            return false;
        }
    }
    return name.size <= CLIENT_NAME_BYTES_MAX;
}

/* False when it answered with an error. */
static bool set_client_name(struct client *client, struct slice name, struct sink *s)
{
    if (!client_name_is_valid(name)) {
        put_error(s, RK_BADARG, NULL, "a client name is printable ASCII without spaces");
        return false;
    }
    heap_free(client->name);
    client->name = name.size == 0 ? NULL : heap_copy_text(name.data, name.size);
    return true;
}

static void do_client(const struct request_context *c, const struct request *r, struct sink *s)
{
    if (word_at(r, 0, "ID") && r->item_count == 1) {
        sink_number(s, c->client->id);
    } else if (word_at(r, 0, "GETNAME") && r->item_count == 1) {
        if (c->client->name == NULL) {
            sink_nil(s);
        } else {
            sink_c_text(s, c->client->name);
        }
    } else if (word_at(r, 0, "SETNAME") && r->item_count == 2) {
        if (set_client_name(c->client, r->items[1], s)) {
            sink_word(s, "OK");
        }
    } else if (word_at(r, 0, "SETINFO") && r->item_count == 3) {
        sink_word(s, "OK");
    } else {
        put_error(s, RK_UNSUPPORTED, NULL, "CLIENT knows ID, GETNAME, SETNAME and SETINFO");
    }
}

/* ---- HELLO ---- */

static void put_hello(const struct request_context *c, struct sink *s)
{
    sink_begin(s, SINK_MAP);
    sink_field(s, "server");
    sink_c_text(s, "refkeeper");
    sink_field(s, "version");
    sink_c_text(s, PACKAGE_VERSION);
    sink_field(s, "proto");
    sink_number(s, 2);
    sink_field(s, "id");
    sink_number(s, c->client->id);
    sink_field(s, "mode");
    sink_c_text(s, "standalone");
    sink_field(s, "role");
    sink_c_text(s, "master");
    sink_field(s, "modules");
    sink_begin(s, SINK_LIST);
    sink_end(s);
    sink_end(s);
}

/* HELLO [2 [AUTH user password] [SETNAME name]] */
static void do_hello(const struct request_context *c, const struct request *r, struct sink *s)
{
    uint64_t version = 2;
    uint32_t i = 1;

    if (r->item_count > 0 && (number_parse(r->items[0], &version) != RK_OK || version != 2)) {
        put_error(s, RK_UNSUPPORTED, "NOPROTO", "this server speaks protocol version 2");
        return;
    }
    while (i < r->item_count) {
        if (word_at(r, i, "AUTH") && i + 2 < r->item_count) {
            if (!authenticate(c, r->items[i + 1], r->items[i + 2], s)) {
                return;
            }
            i += 3;
        } else if (word_at(r, i, "SETNAME") && i + 1 < r->item_count) {
            if (!set_client_name(c->client, r->items[i + 1], s)) {
                return;
            }
            i += 2;
        } else {
            put_usage(s, r);
            return;
        }
    }
    if (!c->client->is_known) {
        put_error(s, RK_NOAUTH, NULL, "HELLO needs AUTH user password on this server");
        return;
    }
    put_hello(c, s);
}

/* ---- COMMAND ---- */

static void put_lower(struct sink *s, const char *name)
{
    char lower[32];
    size_t size = 0;

    for (; name[size] != '\0' && size < sizeof(lower); size++) {
        lower[size] = (char)tolower((unsigned char)name[size]);
    }
    sink_text(s, slice_of(lower, size));
}

/* [name, arity, [flag], first key, last key, step]; our requests have no keys */
static void put_command(struct sink *s, const struct request_type *type)
{
    static const char *const flags[] = {
        [REQUEST_LOCAL] = "fast",   [REQUEST_READ] = "readonly",   [REQUEST_WRITE] = "write",
        [REQUEST_CHANGE] = "admin", [REQUEST_EVENTS] = "readonly",
    };

    sink_begin(s, SINK_LIST);
    put_lower(s, type->name);
    if (type->options == 0 && type->parse == NULL) {
        sink_number(s, type->position_count + 1U);
    } else {
        sink_negative(s, type->position_count + 1U); /* at least */
    }
    sink_begin(s, SINK_LIST);
    sink_word(s, flags[type->kind]);
    sink_end(s);
    sink_number(s, 0);
    sink_number(s, 0);
    sink_number(s, 0);
    sink_end(s);
}

static void put_docs(struct sink *s, const struct request_type *type)
{
    put_lower(s, type->name);
    sink_begin(s, SINK_MAP);
    sink_field(s, "summary");
    sink_c_text(s, type->summary);
    sink_field(s, "since");
    sink_c_text(s, "0.1.0");
    sink_field(s, "group");
    sink_c_text(s, "refkeeper");
    sink_field(s, "syntax");
    sink_c_text(s, type->arguments);
    sink_end(s);
}

static void put_name(struct sink *s, const struct request_type *type)
{
    put_lower(s, type->name);
}

/* Those named from word `first` on, else all. */
static void put_commands(const struct request *r, uint32_t first, struct sink *s,
                         void (*put)(struct sink *s, const struct request_type *type))
{
    const struct request_type *type;

    sink_begin(s, SINK_LIST);
    for (uint32_t i = first; i < r->item_count; i++) {
        type = request_type_find(r->items[i]);
        if (type != NULL) {
            put(s, type);
        } else if (put == put_command) {
            sink_nil(s);
        }
    }
    for (unsigned i = 0; r->item_count <= first && (type = request_type_at(i)) != NULL; i++) {
        put(s, type);
    }
    sink_end(s);
}

static void do_command(const struct request_context *c, const struct request *r, struct sink *s)
{
    unsigned count = 0;

    (void)c;
    if (r->item_count == 0 || word_at(r, 0, "INFO")) {
        put_commands(r, 1, s, put_command);
    } else if (word_at(r, 0, "DOCS")) {
        put_commands(r, 1, s, put_docs);
    } else if (word_at(r, 0, "LIST") && r->item_count == 1) {
        put_commands(r, 1, s, put_name);
    } else if (word_at(r, 0, "COUNT") && r->item_count == 1) {
        while (request_type_at(count) != NULL) {
            count++;
        }
        sink_number(s, count);
    } else {
        put_error(s, RK_UNSUPPORTED, NULL, "COMMAND knows INFO, DOCS, LIST and COUNT");
    }
}

/* ---- INFO and the rest ---- */

static void put_info_of_state(struct buffer *text, const struct refdb *db)
{
    struct refdb_gauges g;

    refdb_get_gauges(db, &g);
    buffer_printf(text,
                  "# State\r\nrepositories:%llu\r\nrefs:%llu\r\nstorages:%llu\r\nsessions:%llu\r\n"
                  "tombstones:%llu\r\nref_bytes:%llu\r\nrepository_bytes:%llu\r\n"
                  "session_bytes:%llu\r\nstate_bytes:%llu\r\n\r\n"
                  "# Memory\r\nused_memory:%llu\r\n\r\n"
                  "# Keyspace\r\ndb0:keys=%llu,expires=0,avg_ttl=0\r\n",
                  (unsigned long long)g.repositories, (unsigned long long)g.refs,
                  (unsigned long long)g.storages, (unsigned long long)g.sessions,
                  (unsigned long long)g.tombstones, (unsigned long long)g.ref_bytes,
                  (unsigned long long)g.repository_bytes, (unsigned long long)g.session_bytes,
                  (unsigned long long)g.bytes, (unsigned long long)g.bytes,
                  (unsigned long long)g.refs);
}

/* In the words that `redis-cli --stat` looks for. */
static void put_info_of_connections(struct buffer *text, const struct server *server)
{
    struct server_totals t = server_get_totals(server);

    buffer_printf(text,
                  "# Clients\r\nconnected_clients:%u\r\nblocked_clients:%u\r\n\r\n"
                  "# Stats\r\ntotal_connections_received:%llu\r\n"
                  "total_commands_processed:%llu\r\n\r\n",
                  t.connections, t.waiting, (unsigned long long)t.connections_total,
                  (unsigned long long)t.requests_total);
}

static void do_info(const struct request_context *c, const struct request *r, struct sink *s)
{
    struct buffer text = BUFFER_INIT;
    struct node_status status;

    (void)r;
    node_get_status(c->node, &status);
    buffer_printf(
        &text,
        "# Server\r\nserver:refkeeper\r\nrefkeeper_version:%s\r\nredis_mode:standalone\r\n"
        "node:%s\r\nuptime_in_seconds:%lld\r\n\r\n",
        PACKAGE_VERSION, status.name, (long long)(status.uptime_ms / 1000));
    put_info_of_connections(&text, c->server);
    buffer_printf(&text,
                  "# Raft\r\nraft_role:%s\r\nterm:%llu\r\ncommit_index:%llu\r\n"
                  "applied_index:%llu\r\nis_ready:%d\r\n\r\n",
                  raft_role_name(status.raft.role), (unsigned long long)status.raft.current_term,
                  (unsigned long long)status.raft.commit_index,
                  (unsigned long long)status.applied_index, status.is_ready ? 1 : 0);
    put_info_of_state(&text, node_refdb(c->node));
    sink_text(s, buffer_slice(&text));
    buffer_release(&text);
}

static void do_select(const struct request_context *c, const struct request *r, struct sink *s)
{
    (void)c;
    if (r->item_count == 1 && slice_equal(r->items[0], slice_of_text("0"))) {
        sink_word(s, "OK");
    } else {
        put_error(s, RK_BADARG, "ERR", "there is only database 0");
    }
}

/* redis-benchmark asks for two settings it prints; all are unset here. */
static void do_config(const struct request_context *c, const struct request *r, struct sink *s)
{
    (void)c;
    if (!word_at(r, 0, "GET") || r->item_count < 2) {
        put_error(s, RK_UNSUPPORTED, NULL, "CONFIG knows only GET");
        return;
    }
    sink_begin(s, SINK_LIST);
    for (uint32_t i = 1; i < r->item_count; i++) {
        sink_text(s, r->items[i]);
        sink_text(s, SLICE_NONE);
    }
    sink_end(s);
}

static void do_cluster(const struct request_context *c, const struct request *r, struct sink *s)
{
    (void)c;
    (void)r;
    put_error(s, RK_UNSUPPORTED, "ERR", "This instance has cluster support disabled");
}

/* ---- MULTI: refused, and all behind it up to EXEC with it ---- */

static void do_multi(const struct request_context *c, const struct request *r, struct sink *s)
{
    (void)r;
    c->client->is_in_multi = true;
    put_error(s, RK_UNSUPPORTED, NULL,
              "MULTI: nothing up to EXEC is executed; use REF.TXN for several refs, or a "
              "pipeline without a transaction");
}

static void do_exec(const struct request_context *c, const struct request *r, struct sink *s)
{
    (void)r;
    if (!c->client->is_in_multi) {
        put_error(s, RK_BADARG, "ERR", "EXEC without MULTI");
        return;
    }
    c->client->is_in_multi = false;
    put_error(s, RK_UNSUPPORTED, "EXECABORT",
              "Transaction discarded because of previous errors; nothing was executed");
}

static void do_discard(const struct request_context *c, const struct request *r, struct sink *s)
{
    (void)r;
    if (!c->client->is_in_multi) {
        put_error(s, RK_BADARG, "ERR", "DISCARD without MULTI");
        return;
    }
    c->client->is_in_multi = false;
    sink_word(s, "OK");
}

#define CONNECT_ROW(upper, needs, words, text, function)                                           \
    {                                                                                              \
        .name = (upper), .kind = REQUEST_LOCAL, .scope = (needs), .arguments = (words),            \
        .summary = (text), .parse = take_words, .local = (function),                               \
    }

const struct request_type requests_connect[] = {
    CONNECT_ROW("PING", SERVER_MAY_READ, "[text]", "Answers PONG or the text", do_ping),
    CONNECT_ROW("ECHO", SERVER_MAY_READ, "text", "Answers the text", do_echo),
    CONNECT_ROW("AUTH", 0, "[user] password", "Says who is asking", do_auth),
    CONNECT_ROW("HELLO", 0, "[2 [AUTH user password] [SETNAME name]]",
                "Agrees on protocol version 2", do_hello),
    CONNECT_ROW("QUIT", 0, "", "Closes the connection after the replies", do_quit),
    CONNECT_ROW("INFO", SERVER_MAY_READ, "[section]", "This node in lines of text", do_info),
    CONNECT_ROW("COMMAND", SERVER_MAY_READ, "[INFO|DOCS|LIST|COUNT]", "The requests served here",
                do_command),
    CONNECT_ROW("CLIENT", SERVER_MAY_READ, "ID|GETNAME|SETNAME name|SETINFO key value",
                "This connection", do_client),
    CONNECT_ROW("SELECT", SERVER_MAY_READ, "0", "There is one database", do_select),
    CONNECT_ROW("CONFIG", SERVER_MAY_READ, "GET name", "No setting is told here", do_config),
    CONNECT_ROW("CLUSTER", SERVER_MAY_READ, "...", "Refused: see CLUSTER.STATUS", do_cluster),
    CONNECT_ROW("MULTI", SERVER_MAY_READ, "", "Refused: see REF.TXN", do_multi),
    CONNECT_ROW("EXEC", SERVER_MAY_READ, "", "Refused: see REF.TXN", do_exec),
    CONNECT_ROW("DISCARD", SERVER_MAY_READ, "", "Ends what MULTI began", do_discard),
    { .name = NULL },
};
