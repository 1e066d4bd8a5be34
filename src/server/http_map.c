/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /map/haproxy: ROUTE.LIST as the lines of an haproxy map, one page of them.
 *
 *   PATH ok|HOST:PORT|EPOCH      where this kind of request goes
 *   PATH frozen|REASON           pushes; also ro|.  The reason is percent-encoded
 *   PATH unavailable
 *
 * A map ends a key at a blank and takes a line with # for a comment: a path that haproxy could not
 * look up anyway, because a client sends it escaped, is left out.
 */
#include <string.h>

#include "server/http_connection.h"
#include "server/requests_repo.h"
#include "server/route.h"
#include "server/server_internal.h"

struct http_map {
    struct buffer lines;
    bool is_write;
};

static bool is_plain(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static void put_escaped(struct buffer *out, struct slice text, const char *also_plain)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];

        if (is_plain(c) || (c != '\0' && strchr(also_plain, c) != NULL)) {
            buffer_put_u8(out, c);
        } else {
            buffer_printf(out, "%%%02X", c);
        }
    }
}

static bool is_key(struct slice path)
{
    for (size_t i = 0; i < path.size; i++) {
        if (path.data[i] <= ' ' || path.data[i] >= 0x7f) {
            return false;
        }
    }
    return path.size > 0 && path.data[0] != '#';
}

static bool is_address(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] <= ' ' || text.data[i] >= 0x7f || text.data[i] == '|') {
            return false;
        }
    }
    return text.size > 0;
}

static void put_line(struct buffer *out, const struct route *route, bool is_write)
{
    const struct refdb_repository *repository = &route->repository;
    struct slice address = route->can_serve ? route_address(route->target->http_address)
                                            : SLICE_NONE;

    buffer_put_slice(out, repository->path);
    if (is_write && repository->state != REPOSITORY_RW) {
        buffer_printf(out, " %s|", repository_state_word(repository->state));
        put_escaped(out, repository->reason, "");
        buffer_put_u8(out, '\n');
    } else if (is_address(address)) {
        buffer_printf(out, " ok|%.*s|%llu\n", (int)address.size, address.data,
                      (unsigned long long)repository->primary_epoch);
    } else {
        buffer_printf(out, " unavailable\n");
    }
}

static void put_one(void *context, const struct route *route)
{
    struct http_map *map = context;

    if (is_key(route->repository.path)) {
        put_line(&map->lines, route, map->is_write);
    }
}

void http_answer_map(struct http_connection *c)
{
    const struct node *n = c->base.server->node;
    const struct request *r = &c->request;
    struct http_map map = { .lines = BUFFER_INIT,
                            .is_write = (r->given & FIELD_BIT(FIELD_WRITE)) != 0 };
    struct buffer headers = BUFFER_INIT, last = BUFFER_INIT;

    routes_walk(n, r, put_one, &map, &last);
    buffer_printf(&headers, "X-Git-Index: %llu\r\n",
                  (unsigned long long)refdb_applied_index(node_refdb(n)));
    if (last.size > 0) {
        /* As the parameter `after` of the next page takes it. */
        buffer_printf(&headers, "X-Git-Next: ");
        put_escaped(&headers, buffer_slice(&last), "/._-");
        buffer_printf(&headers, "\r\n");
    }
    buffer_put_u8(&headers, '\0');
    server_count_request(c->base.server, r->type, RK_OK);
    http_answer(c, 200, "text/plain; charset=utf-8", (const char *)headers.data,
                buffer_slice(&map.lines));
    buffer_release(&map.lines);
    buffer_release(&headers);
    buffer_release(&last);
}
