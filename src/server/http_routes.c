/* SPDX-License-Identifier: Apache-2.0 */
/* Paths of HTTP: probes, the typed requests, what routers ask. */
#include "base/heap.h"
#include "server/client.h"
#include "server/http_connection.h"
#include "server/http_pages.h"
#include "server/json_body.h"
#include "server/requests_repo.h"
#include "server/route.h"
#include "server/server_internal.h"

#define PARAMETERS_MAX 24

/* ---- Probes and pages: plain questions to this node ---- */

static void answer_text(struct http_connection *c, int code, const char *text)
{
    http_answer(c, code, "text/plain; charset=utf-8", "", slice_of_text(text));
}

/* Liveness is that the loop turns; it never depends on others. */
static void answer_livez(struct http_connection *c)
{
    answer_text(c, 200, "ok\n");
}

static void answer_readyz(struct http_connection *c)
{
    struct node_status status;
    struct buffer text = BUFFER_INIT;
    bool is_ready;

    node_get_status(c->base.server->node, &status);
    is_ready = status.is_ready && !status.is_stopping && !c->is_draining;
    buffer_printf(&text, "[%s] recovered and caught up\n[%s] leader known\n[%s] not stopping\n%s\n",
                  status.is_ready ? "+" : "-", status.raft.leader != 0 ? "+" : "-",
                  status.is_stopping ? "-" : "+", is_ready ? "ready" : "not ready");
    http_answer(c, is_ready ? 200 : 503, "text/plain; charset=utf-8", "", buffer_slice(&text));
    buffer_release(&text);
}

static void answer_health(struct http_connection *c)
{
    struct node_status status;

    node_get_status(c->base.server->node, &status);
    if (status.is_ready && !status.is_stopping) {
        http_answer(c, 200, "application/json", "", slice_of_text("{\"health\":\"true\"}\n"));
    } else {
        http_answer(c, 503, "application/json", "", slice_of_text("{\"health\":\"false\"}\n"));
    }
}

static void answer_version(struct http_connection *c)
{
    http_answer(c, 200, "application/json", "",
                slice_of_text("{\"name\":\"refkeeper\",\"version\":\"" PACKAGE_VERSION "\"}\n"));
}

/* 200 on the leader only, for load balancers. */
static void answer_leader(struct http_connection *c)
{
    struct node_status status;

    node_get_status(c->base.server->node, &status);
    if (status.raft.role == RAFT_LEADER) {
        answer_text(c, 200, "leader\n");
    } else {
        answer_text(c, 503, "not the leader\n");
    }
}

static void answer_metrics(struct http_connection *c)
{
    struct buffer text = BUFFER_INIT;

    metrics_put(c->base.server, &text);
    http_answer(c, 200, "text/plain; version=0.0.4; charset=utf-8", "", buffer_slice(&text));
    buffer_release(&text);
}

static void answer_openapi(struct http_connection *c)
{
    struct buffer text = BUFFER_INIT;

    http_put_openapi(&text);
    http_answer(c, 200, "application/json", "", buffer_slice(&text));
    buffer_release(&text);
}

static void answer_page(struct http_connection *c)
{
    http_answer(c, 200, "text/html; charset=utf-8",
                "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; "
                "script-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
                "base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n",
                slice_of_text(http_status_page));
}

static const struct {
    const char *path;
    bool is_free; /* also without a password: a probe has none */
    void (*answer)(struct http_connection *c);
} probes[] = {
    { "/livez", true, answer_livez },   { "/readyz", true, answer_readyz },
    { "/health", true, answer_health }, { "/version", true, answer_version },
    { "/leader", true, answer_leader }, { "/metrics", false, answer_metrics },
    { "/", false, answer_page },        { "/openapi.json", false, answer_openapi },
};

/* Rows of one path stand together. */
const struct http_route_row http_route_rows[] = {
    { "GET", "/v1/status", "CLUSTER.STATUS" },
    { "GET", "/v1/members", "MEMBER.LIST" },
    { "GET", "/v1/storages", "STORAGE.LIST" },
    { "GET", "/v1/repos", "REPO.LIST" },
    { "POST", "/v1/repos", "REPO.CREATE" },
    { "GET", "/v1/repo", "REPO.SHOW" },
    { "DELETE", "/v1/repo", "REPO.REMOVE" },
    { "GET", "/v1/refs", "REF.LIST" },
    { "POST", "/v1/refs", "REF.TXN" },
    { "GET", "/v1/ref", "REF.GET" },
    { "GET", "/v1/route", "ROUTE" },
    { "GET", "/v1/routes", "ROUTE.LIST" },
    { "GET", HTTP_MAP_PATH, "ROUTE.LIST" },
    { "POST", "/v1/primary", "PRIMARY.SET" },
    { "GET", "/v1/events", "EVENTS" },
    { "GET", "/v1/limits", "LIMITS.SHOW" },
    { "GET", "/v1/filter", "FILTER.SHOW" },
    { "GET", "/v1/digest", "STATE.DIGEST" },
    { NULL, NULL, NULL },
};

/* ---- Who asks ---- */

/* server_scope bits of the Authorization header; all when no password is asked for. */
static unsigned scopes_of(struct server *s, const struct http_head *head)
{
    struct client client = { 0 };
    struct slice user = slice_of_text("default");
    struct slice given = head->authorization;
    uint8_t decoded[512];
    const uint8_t *colon;
    size_t size;

    if (!server_has_authentication(s)) {
        return SERVER_MAY_ALL;
    }
    if (given.size > 7 && memcmp(given.data, "Bearer ", 7) == 0) {
        (void)server_authenticate(s, &client, user, slice_of(given.data + 7, given.size - 7));
    } else if (given.size > 6 && given.size < sizeof decoded &&
               memcmp(given.data, "Basic ", 6) == 0) {
        colon = http_decode_base64(slice_of(given.data + 6, given.size - 6), decoded, &size)
                    ? memchr(decoded, ':', size)
                    : NULL;
        if (colon != NULL) {
            user = slice_of(decoded, (size_t)(colon - decoded));
            (void)server_authenticate(s, &client, user, slice_of(colon + 1, size - user.size - 1));
        }
    }
    return client.scopes;
}

static void refuse(struct http_connection *c, int code, enum rk_status status, const char *text)
{
    struct failure f;

    failure_set(&f, status, "%s", text);
    http_answer_failure(c, code, &f);
}

/* Another method than those of `row` and the rows of its path behind it; NULL = than GET and HEAD.
 * [RFC 9110 15.5.6] */
static void refuse_method(struct http_connection *c, const struct http_route_row *row)
{
    struct buffer allow = BUFFER_INIT, out = BUFFER_INIT;
    const char *path = row == NULL ? NULL : row->path;
    struct failure f;
    struct sink s;

    buffer_printf(&allow, "Allow: %s", row == NULL ? "GET, HEAD" : "");
    for (const char *comma = ""; row != NULL && row->method != NULL; row++) {
        if (strcmp(row->path, path) == 0) {
            buffer_printf(&allow, "%s%s%s", comma, row->method,
                          strcmp(row->method, "GET") == 0 ? ", HEAD" : "");
            comma = ", ";
        }
    }
    buffer_printf(&allow, "\r\n");
    buffer_put_u8(&allow, '\0');
    failure_set(&f, RK_UNSUPPORTED, "another method; see Allow");
    http_begin_json(c, &s, &out);
    sink_failure(&s, &f);
    sink_finish_json(&s);
    http_answer(c, 405, "application/json", (const char *)allow.data, buffer_slice(&out));
    buffer_release(&out);
    buffer_release(&allow);
}

/* False when it answered. */
static bool is_allowed(struct http_connection *c, const struct http_head *head, unsigned scope)
{
    unsigned scopes = scopes_of(c->base.server, head);

    if (scopes == 0) {
        refuse(c, 401, RK_NOAUTH, "a password is needed");
        return false;
    }
    if ((scope & ~scopes) != 0) {
        refuse(c, 403, RK_NOPERM, "this user may not do this");
        return false;
    }
    return true;
}

/* ---- Parameters ---- */

/* Splits and decodes the query into c->bytes; false when it is malformed. */
static bool read_query(struct http_connection *c, struct slice query, struct parameter *parameters,
                       size_t *ret_count)
{
    size_t count = 0;
    size_t used = 0;
    size_t begin = 0;

    c->bytes = heap_alloc(query.size + 1);
    for (size_t i = 0; i <= query.size; i++) {
        const uint8_t *equals;
        struct slice pair, name, value;
        size_t size;

        if (i < query.size && query.data[i] != '&') {
            continue;
        }
        pair = slice_of(query.data + begin, i - begin);
        begin = i + 1;
        if (pair.size == 0) {
            continue;
        }
        if (count == PARAMETERS_MAX) {
            return false;
        }
        equals = memchr(pair.data, '=', pair.size);
        name = slice_of(pair.data, equals == NULL ? pair.size : (size_t)(equals - pair.data));
        value = equals == NULL ? SLICE_NONE : slice_of(equals + 1, pair.size - name.size - 1);
        if (!http_decode(name, c->bytes + used, &size)) {
            return false;
        }
        parameters[count].name = slice_of(c->bytes + used, size);
        used += size;
        if (!http_decode(value, c->bytes + used, &size)) {
            return false;
        }
        parameters[count++].value = slice_of(c->bytes + used, size);
        used += size;
    }
    *ret_count = count;
    return true;
}

static void start_request(struct http_connection *c, const struct request_type *type,
                          const struct http_head *head)
{
    struct parameter parameters[PARAMETERS_MAX + 1];
    struct request r;
    struct failure why;
    size_t count = 0;

    if (!is_allowed(c, head, type->scope)) {
        return;
    }
    if (!read_query(c, head->query, parameters, &count)) {
        refuse(c, 400, RK_BADARG, "the query is malformed");
        return;
    }
    if (head->idempotency_key.data != NULL && type->kind == REQUEST_WRITE) {
        parameters[count++] = (struct parameter){ slice_of_text("reqid"), head->idempotency_key };
    }
    if (request_parse_parameters(type, parameters, count, &c->base.server->scratch, &r, &why) !=
        RK_OK) {
        server_count_request(c->base.server, type, why.status);
        http_answer_failure(c, rk_status_http(why.status), &why);
        return;
    }
    http_execute(c, &r);
}

/* ---- Bodies ---- */

/* application/json, whatever parameters follow. */
static bool is_json(struct slice type)
{
    static const char wanted[] = "application/json";
    size_t size = sizeof wanted - 1;

    for (size_t i = 0; i < size; i++) {
        if (i >= type.size || (type.data[i] | 0x20) != (wanted[i] | 0x20)) {
            return false;
        }
    }
    return type.size == size || type.data[size] == ';' || type.data[size] == ' ';
}

static void start_body(struct http_connection *c, const struct request_type *type,
                       const struct http_head *head, struct slice body)
{
    struct server *s = c->base.server;
    struct json_body json;
    struct request r;
    struct failure why;

    if (!is_allowed(c, head, type->scope)) {
        return;
    }
    if (!is_json(head->content_type)) {
        refuse(c, 415, RK_UNSUPPORTED, "Content-Type: application/json was expected");
        return;
    }
    if (head->query.size > 0) {
        refuse(c, 400, RK_BADARG, "what a POST says belongs into its body");
        return;
    }
    if (json_body_parse(&json, type, body, head->idempotency_key, &s->scratch, &r, &why) == RK_OK) {
        http_execute(c, &r); /* encodes what the body holds */
    } else {
        server_count_request(s, type, why.status);
        http_answer_failure(c, rk_status_http(why.status), &why);
    }
    json_body_release(&json);
}

static void start_row(struct http_connection *c, const struct http_route_row *row,
                      const struct http_head *head, struct slice body)
{
    const struct request_type *type = request_type_find(slice_of_text(row->request));

    c->is_map = strcmp(row->path, HTTP_MAP_PATH) == 0;
    if (strcmp(row->method, "POST") == 0) {
        start_body(c, type, head, body);
    } else {
        start_request(c, type, head);
    }
}

/* ---- /route/headers: for nginx auth_request, which knows 2xx, 401 and 403 only ---- */

/* A reason is for people; in a header it is one line of printable ASCII. */
static void put_reason(struct buffer *headers, struct slice reason)
{
    buffer_printf(headers, "X-Git-Reason: ");
    for (size_t i = 0; i < reason.size; i++) {
        uint8_t byte = reason.data[i];

        buffer_put_u8(headers, byte < ' ' || byte >= 0x7f ? '?' : byte);
    }
    buffer_printf(headers, "\r\n");
}

static void answer_route_word(struct http_connection *c, const char *word, struct slice reason)
{
    struct buffer headers = BUFFER_INIT;

    buffer_printf(&headers, "X-Git-Route: %s\r\n", word);
    if (reason.size > 0) {
        put_reason(&headers, reason);
    }
    buffer_put_u8(&headers, '\0');
    http_answer(c, 403, "text/plain", (const char *)headers.data, SLICE_NONE);
    buffer_release(&headers);
}

static bool is_header_safe(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] <= ' ' || text.data[i] >= 0x7f) {
            return false;
        }
    }
    return text.size > 0;
}

static void put_address(struct buffer *headers, const char *name, struct slice address)
{
    address = route_address(address);
    buffer_printf(headers, "%s: %.*s\r\n", name, (int)address.size, address.data);
}

void http_answer_route(struct http_connection *c, enum rk_status status)
{
    const struct request *r = &c->request;
    bool is_write = (r->given & FIELD_BIT(FIELD_WRITE)) != 0;
    struct buffer headers = BUFFER_INIT;
    struct route route;

    if (status != RK_OK) {
        answer_route_word(c, "unavailable", SLICE_NONE);
        return;
    }
    if (route_find(c->base.server->node, r->path, is_write, &route) != RK_OK) {
        answer_route_word(c, "unknown", SLICE_NONE);
        return;
    }
    if (is_write && route.repository.state != REPOSITORY_RW) {
        answer_route_word(c, repository_state_word(route.repository.state),
                          route.repository.reason);
        return;
    }
    if (!route.can_serve || !is_header_safe(route.target->http_address)) {
        answer_route_word(c, "unavailable", SLICE_NONE);
        return;
    }
    buffer_printf(&headers, "X-Git-Route: ok\r\n");
    put_address(&headers, "X-Git-Target", route.target->http_address);
    put_address(&headers, "X-Git-Primary", route.primary.http_address);
    buffer_printf(&headers, "X-Git-Storage: %.*s\r\nX-Git-Id: %llu\r\nX-Git-Epoch: %llu\r\n",
                  (int)route.target->name.size, route.target->name.data,
                  (unsigned long long)route.repository.id,
                  (unsigned long long)route.repository.primary_epoch);
    buffer_put_u8(&headers, '\0');
    http_answer(c, 200, "text/plain", (const char *)headers.data, SLICE_NONE);
    buffer_release(&headers);
}

static void start_route_headers(struct http_connection *c, const struct http_head *head)
{
    struct request r;
    struct slice path;
    bool is_write;

    if (!is_allowed(c, head, SERVER_MAY_READ)) {
        return;
    }
    c->is_route = true;
    c->bytes = heap_alloc(head->original_uri.size + 1);
    if (!http_parse_git_uri(head->original_uri, c->bytes, &path, &is_write)) {
        answer_route_word(c, "malformed", SLICE_NONE);
        return;
    }
    request_init(&r, request_type_find(slice_of_text("ROUTE")));
    r.path = path;
    r.given = FIELD_BIT(is_write ? FIELD_WRITE : FIELD_READ);
    if (slice_equal(head->query, slice_of_text("consistency=stale"))) {
        r.given |= FIELD_BIT(FIELD_STALE);
    }
    http_execute(c, &r);
}

/* ---- Paths ---- */

static bool answer_probe(struct http_connection *c, const struct http_head *head, bool is_get)
{
    for (size_t i = 0; i < sizeof probes / sizeof probes[0]; i++) {
        if (!slice_equal(head->path, slice_of_text(probes[i].path))) {
            continue;
        }
        if (!is_get) {
            refuse_method(c, NULL);
        } else if (probes[i].is_free || is_allowed(c, head, SERVER_MAY_READ)) {
            probes[i].answer(c);
        }
        return true;
    }
    return false;
}

void http_route(struct http_connection *c, const struct http_head *head, struct slice body)
{
    bool is_get = c->is_head || slice_equal(head->method, slice_of_text("GET"));
    struct slice method = c->is_head ? slice_of_text("GET") : head->method;
    const struct http_route_row *known = NULL;

    if (answer_probe(c, head, is_get)) {
        return;
    }
    if (is_get && slice_equal(head->path, slice_of_text("/route/headers"))) {
        start_route_headers(c, head);
        return;
    }
    for (const struct http_route_row *row = http_route_rows; row->method != NULL; row++) {
        if (!slice_equal(head->path, slice_of_text(row->path))) {
            continue;
        }
        known = known == NULL ? row : known;
        if (slice_equal(method, slice_of_text(row->method))) {
            start_row(c, row, head, body);
            return;
        }
    }
    if (known != NULL) {
        refuse_method(c, known);
    } else {
        refuse(c, 404, RK_NOT_FOUND, "no such path");
    }
}
