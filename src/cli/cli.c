/* SPDX-License-Identifier: Apache-2.0 */
/* The client of a verb, who acts, and how failures are told. */
#include "cli/cli.h"

#include <jansson.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/heap.h"
#include "cli/no_leader.h"

/* ---- Client ---- */

struct rk_client *cli_client_of(struct cli *cli, const char *endpoints, struct rk_error *error)
{
    struct rk_options *options = rk_options_new();
    struct rk_client *client = NULL;
    enum rk_status status = RK_OK;

    if (endpoints != NULL) {
        status = rk_options_set_endpoints(options, endpoints, error);
    }
    if (cli->ca_file != NULL || cli->cert_file != NULL) {
        rk_options_set_tls(options, cli->ca_file, cli->cert_file, cli->key_file, cli->server_name);
    }
    if (cli->password != NULL) {
        rk_options_set_auth(options, cli->user, cli->password);
    }
    rk_options_set_timeout_ms(options, cli->timeout_ms);
    if (status == RK_OK) {
        status = rk_client_open(options, &client, error);
    }
    rk_options_free(options);
    return status == RK_OK ? client : NULL;
}

struct rk_client *cli_client(struct cli *cli, int *ret_exit)
{
    struct rk_error error;

    if (cli->client == NULL) {
        cli->client = cli_client_of(cli, cli->endpoints, &error);
        if (cli->client == NULL) {
            *ret_exit = cli_fail(cli, &error);
        }
    }
    return cli->client;
}

char *cli_member_endpoints(struct cli *cli, struct rk_client *client)
{
    struct buffer list = BUFFER_INIT;
    struct rk_reply *members = NULL;

    if (rk_member_list(client, &members, NULL) == RK_OK) {
        for (size_t i = 0; i < members->count; i++) {
            const char *address = rk_reply_get_text(members->items[i], "client");

            if (address[0] != '\0') {
                buffer_printf(&list, "%s%s", list.size > 0 ? "," : "", address);
            }
        }
        rk_reply_free(members);
    }
    if (list.size == 0) {
        buffer_printf(&list, "%s", cli->endpoints == NULL ? "127.0.0.1:7481" : cli->endpoints);
    }
    buffer_put_u8(&list, '\0');
    return (char *)list.data;
}

const char *cli_actor(struct cli *cli)
{
    char text[64];
    const struct passwd *entry;
    const char *name = getenv("REMOTE_USER");

    if (cli->actor != NULL) {
        return cli->actor;
    }
    if (name == NULL || name[0] == '\0') {
        entry = getpwuid(getuid());
        name = entry == NULL ? NULL : entry->pw_name;
    }
    if (name == NULL) {
        snprintf(text, sizeof text, "uid %lu", (unsigned long)getuid());
        name = text;
    }
    cli->actor = heap_copy_text(name, strnlen(name, RK_ACTOR_BYTES_MAX));
    return cli->actor;
}

void cli_release(struct cli *cli)
{
    rk_client_close(cli->client);
    heap_free(cli->endpoints);
    heap_free(cli->ca_file);
    heap_free(cli->cert_file);
    heap_free(cli->key_file);
    heap_free(cli->server_name);
    heap_free(cli->user);
    heap_free(cli->password);
    heap_free(cli->actor);
}

/* ---- Failures ---- */

static void add_text(json_t *object, const char *key, const char *text)
{
    json_t *value = json_string(text);

    (void)json_object_set_new(object, key, value == NULL ? json_null() : value);
}

static void print_json_error(const struct rk_error *e)
{
    json_t *inner = json_object();
    json_t *outer = json_object();

    add_text(inner, "code", rk_status_word(e->status));
    add_text(inner, "message", e->message);
    (void)json_object_set_new(inner, "retryable", json_boolean(e->reaction == RK_RETRY));
    if (e->endpoint[0] != '\0') {
        add_text(inner, "endpoint", e->endpoint);
    }
    if (e->current_oid[0] != '\0') {
        json_t *current = json_object();

        add_text(current, "oid", e->current_oid);
        (void)json_object_set_new(current, "index", json_integer((json_int_t)e->current_index));
        add_text(current, "actor", e->current_actor);
        (void)json_object_set_new(inner, "current", current);
    }
    (void)json_object_set_new(outer, "error", inner);
    (void)json_dumpf(outer, stderr, JSON_COMPACT);
    fputc('\n', stderr);
    json_decref(outer);
}

static void put_leader_advice(const struct cli *cli, const struct rk_error *e, struct buffer *out)
{
    bool has_stale = cli->verb != NULL && strstr(cli->verb->usage, "--stale") != NULL;

    buffer_printf(out, "\n  ");
    /* Without an endpoint it was not a node that did not answer. */
    if (e->endpoint[0] == '\0' || !no_leader_explain(cli, out)) {
        buffer_printf(out, "has the cluster a leader?");
    }
    buffer_printf(out, "\n  see `refkeeper status --cluster`%s",
                  has_stale ? "; a node's own copy can be read with --stale" : "");
}

/* What the person can do about it, beyond the message. */
static void put_advice(const struct cli *cli, const struct rk_error *e, struct buffer *out)
{
    switch (e->status) {
    case RK_UNREACHABLE:
        buffer_printf(out,
                      "\n  is refkeeperd running there? name its addresses with --endpoints or "
                      "REFKEEPER_ENDPOINTS");
        break;
    case RK_NOLEADER:
    case RK_TIMED_OUT:
    case RK_UNKNOWN:
        put_leader_advice(cli, e, out);
        break;
    case RK_CLOSED:
        if (cli->ca_file == NULL) {
            buffer_printf(out, "\n  if it speaks TLS, name its authority with --cacert");
        }
        break;
    case RK_NOAUTH:
        buffer_printf(out, "\n  give REFKEEPER_USER and REFKEEPER_PASSWORD");
        break;
    default:
        break;
    }
}

static void print_error(const struct cli *cli, const struct rk_error *e)
{
    const char *name = cli->verb == NULL ? NULL : cli->verb->name;
    bool is_elsewhere = e->endpoint[0] != '\0' && strstr(e->message, e->endpoint) == NULL;
    struct buffer advice = BUFFER_INIT;

    put_advice(cli, e, &advice);
    fprintf(stderr, "refkeeper%s%s: %s%s%s%s%.*s\n", name == NULL ? "" : " ",
            name == NULL ? "" : name, e->message, is_elsewhere ? " (" : "",
            is_elsewhere ? e->endpoint : "", is_elsewhere ? ")" : "", (int)advice.size,
            advice.size == 0 ? "" : (const char *)advice.data);
    buffer_release(&advice);
}

int cli_fail(struct cli *cli, const struct rk_error *error)
{
    fflush(stdout);
    if (cli->format == OUTPUT_JSON || cli->format == OUTPUT_JSONL) {
        print_json_error(error);
    } else {
        print_error(cli, error);
    }
    return rk_status_exit_code(error->status);
}

int cli_fail_text(struct cli *cli, enum rk_status status, const char *format, ...)
{
    struct rk_error error;
    va_list args;

    memset(&error, 0, sizeof error);
    error.status = status;
    error.reaction = rk_status_reaction(status);
    va_start(args, format);
    vsnprintf(error.message, sizeof error.message, format, args);
    va_end(args);
    return cli_fail(cli, &error);
}

int cli_usage_error(struct cli *cli, const char *format, ...)
{
    char text[500];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (cli->verb == NULL) {
        return cli_fail_text(cli, RK_BADARG, "%s; see `refkeeper --help`", text);
    }
    return cli_fail_text(cli, RK_BADARG, "%s; see `refkeeper %s --help`", text, cli->verb->name);
}

/* ---- Help ---- */

static const char global_help[] =
    "Global flags, each also as environment variable REFKEEPER_<FLAG>:\n"
    "  --endpoints H:P,...   RESP addresses of the nodes (127.0.0.1:7481)\n"
    "  -o, --output FORMAT   table, json, jsonl or value\n"
    "  --timeout D           deadline of one request, retries included (10s)\n"
    "  --cacert FILE         authorities the server's certificate must be signed by; turns on TLS\n"
    "  --cert FILE --key FILE  certificate and key of this client\n"
    "  --server-name NAME    what the server's certificate must name, if not its host\n"
    "  --user NAME           for authentication; the password only as REFKEEPER_PASSWORD\n"
    "  --actor TEXT          who acts, kept with each change (REMOTE_USER, else the login name)\n"
    "\n"
    "Exit codes: 0 ok, 1 other, 2 usage, 3 not found, 4 refused or findings, 5 unavailable,\n"
    "6 outcome unknown, 7 denied, 8 corrupt data.\n";

static size_t first_word(const struct verb *v)
{
    return strcspn(v->name, " ");
}

static bool is_of_group(const struct verb *v, const char *group)
{
    return strlen(group) == first_word(v) && strncmp(v->name, group, first_word(v)) == 0;
}

static void print_verb(FILE *out, const struct verb *v)
{
    fprintf(out, "%s%s%s\n", v->name, v->usage[0] == '\0' ? "" : " ", v->usage);
}

void cli_print_help(const struct cli *cli)
{
    if (cli->verb != NULL) {
        printf("usage: refkeeper ");
        print_verb(stdout, cli->verb);
        printf("\n%s\n%s", cli->verb->help, global_help);
        return;
    }
    printf("usage: refkeeper [flags] VERB ...\n\nVerbs:\n");
    for (const struct verb *v = cli_verbs; v->name != NULL; v++) {
        printf("  ");
        print_verb(stdout, v);
    }
    printf("\n`refkeeper VERB --help` explains one.\n\n%s", global_help);
}

bool cli_print_group(FILE *out, const char *group)
{
    const char *before = "usage: ";

    for (const struct verb *v = cli_verbs; v->name != NULL; v++) {
        if (is_of_group(v, group)) {
            fprintf(out, "%srefkeeper ", before);
            print_verb(out, v);
            before = "       ";
        }
    }
    return before[0] == ' ';
}

const struct verb *cli_find_verb(int argc, char **argv, int *ret_words)
{
    const struct verb *found = NULL;

    for (const struct verb *v = cli_verbs; v->name != NULL; v++) {
        const char *space = strchr(v->name, ' ');

        if (argc < 1 || !is_of_group(v, argv[0])) {
            continue;
        }
        if (space == NULL) {
            found = v;
            *ret_words = 1;
        } else if (argc > 1 && strcmp(argv[1], space + 1) == 0) {
            *ret_words = 2;
            return v;
        }
    }
    return found;
}

int cli_list(struct cli *cli, int argc, char **argv,
             enum rk_status (*list)(struct rk_client *client, struct rk_reply **ret_maps,
                                    struct rk_error *ret_error))
{
    struct rk_error error;
    struct rk_reply *maps = NULL;
    struct rk_client *client;
    int code = EXIT_USAGE;

    if (cli_parse(cli, argc, argv, NULL, 0, 0, 0) < 0) {
        return EXIT_USAGE;
    }
    client = cli_client(cli, &code);
    if (client == NULL) {
        return code;
    }
    if (list(client, &maps, &error) != RK_OK) {
        return cli_fail(cli, &error);
    }
    code = output_maps(cli->format, maps, NULL, 0) != 0 ? EXIT_OTHER : 0;
    rk_reply_free(maps);
    return code;
}
