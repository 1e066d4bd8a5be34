/* SPDX-License-Identifier: Apache-2.0 */
/* Where to send a fetch or a push. */
#include "server/route.h"

#include <string.h>

#include "server/requests_repo.h"
#include "server/server.h"

bool route_is_complete(const struct node *n, const struct refdb_repository *repository,
                       struct slice storage)
{
    return replicas_seen(node_replicas(n), repository->id, storage) >= repository->last_index;
}

static void find_in_sync(const struct node *n, struct route *route)
{
    const struct refdb_repository *repository = &route->repository;

    for (size_t i = 0; i < repository->replica_count; i++) {
        struct slice name = repository->replicas[i];
        struct refdb_storage *storage = &route->in_sync[route->in_sync_count];

        if (!slice_equal(name, repository->primary) && route_is_complete(n, repository, name) &&
            replicas_is_heard(node_replicas(n), name, node_now_ms(n)) &&
            refdb_find_storage(node_refdb(n), name, storage) == RK_OK &&
            storage->state == STORAGE_ACTIVE && storage->http_address.size > 0) {
            route->in_sync_count++;
        }
    }
}

enum rk_status route_find(const struct node *n, struct slice path, bool is_write,
                          struct route *ret_route)
{
    struct route *route = ret_route;
    enum rk_status status;
    bool is_up;

    *route = (struct route){ .target = NULL };
    status = refdb_find_repository(node_refdb(n), path, 0, &route->repository);
    if (status != RK_OK) {
        return status;
    }
    route->has_primary = refdb_find_storage(node_refdb(n), route->repository.primary,
                                            &route->primary) == RK_OK;
    is_up = route->has_primary && route->primary.state != STORAGE_DOWN;
    find_in_sync(n, route);
    if (!is_write && route->in_sync_count > 0) {
        /* The primary takes its turn, too.  Within a second the answer stays the same: a fetch
         * asks twice. */
        uint64_t turn = route->repository.id + (uint64_t)node_now_ms(n) / 1000;
        size_t slot = (size_t)(turn % (route->in_sync_count + (is_up ? 1 : 0)));

        route->target = slot < route->in_sync_count ? &route->in_sync[slot] : &route->primary;
    } else if (is_up && (!is_write || route->repository.state == REPOSITORY_RW)) {
        route->target = &route->primary;
    }
    route->can_serve = route->target != NULL;
    return RK_OK;
}

static void put_route(const struct refdb *db, const struct request *r, const struct route *route,
                      struct sink *s)
{
    const struct refdb_repository *repository = &route->repository;

    sink_field(s, "path");
    sink_text(s, repository->path);
    sink_field(s, "id");
    sink_id(s, repository->id);
    sink_field(s, "op");
    sink_c_text(s, (r->given & FIELD_BIT(FIELD_WRITE)) != 0 ? "write" : "read");
    sink_field(s, "usable");
    sink_bool(s, route->can_serve);
    sink_field(s, "state");
    sink_c_text(s, repository_state_word(repository->state));
    sink_field(s, "reason");
    sink_text(s, repository->reason);
    sink_field(s, "format");
    sink_c_text(s, object_format_name(repository->format));
    sink_field(s, "primary");
    sink_text(s, repository->primary);
    sink_field(s, "primary_state");
    sink_c_text(s, route->has_primary ? storage_state_word(route->primary.state) : "unknown");
    sink_field(s, "primary_http");
    sink_text(s, route->has_primary ? route->primary.http_address : SLICE_NONE);
    sink_field(s, "primary_ssh");
    sink_text(s, route->has_primary ? route->primary.ssh_address : SLICE_NONE);
    sink_field(s, "epoch");
    sink_number(s, repository->primary_epoch);
    sink_field(s, "index");
    sink_number(s, repository->last_index);
    if (!s->is_json) {
        sink_field(s, "applied_index");
        sink_number(s, refdb_applied_index(db));
    }
}

static void put_replicas(const struct route *route, struct sink *s)
{
    sink_field(s, "target");
    sink_text(s, route->can_serve ? route->target->name : SLICE_NONE);
    sink_field(s, "target_http");
    sink_text(s, route->can_serve ? route->target->http_address : SLICE_NONE);
    sink_field(s, "target_ssh");
    sink_text(s, route->can_serve ? route->target->ssh_address : SLICE_NONE);
    sink_field(s, "in_sync");
    sink_begin(s, SINK_LIST);
    for (size_t i = 0; i < route->in_sync_count; i++) {
        sink_text(s, route->in_sync[i].name);
    }
    sink_end(s);
}

static void read_route(const struct node *n, const struct request *r, struct sink *s)
{
    struct route route;
    bool is_write = (r->given & FIELD_BIT(FIELD_WRITE)) != 0;
    enum rk_status status = route_find(n, r->path, is_write, &route);

    if (status != RK_OK) {
        sink_status(s, status);
        return;
    }
    sink_begin(s, SINK_MAP);
    put_route(node_refdb(n), r, &route, s);
    put_replicas(&route, s);
    sink_end(s);
}

/* ---- ROUTE.LIST ---- */

struct slice route_address(struct slice address)
{
    static const char scheme[] = "http://";

    if (slice_has_prefix(address, slice_of_text(scheme))) {
        address = slice_of(address.data + strlen(scheme), address.size - strlen(scheme));
    }
    while (address.size > 0 && address.data[address.size - 1] == '/') {
        address.size--;
    }
    return address;
}

void routes_walk(const struct node *n, const struct request *r,
                 void (*each)(void *context, const struct route *route), void *context,
                 struct buffer *ret_last)
{
    const struct refdb *db = node_refdb(n);
    struct refdb_repository repository;
    bool is_write = (r->given & FIELD_BIT(FIELD_WRITE)) != 0;
    bool is_inclusive = slice_compare(r->prefix, r->after) > 0;
    struct slice from = is_inclusive ? r->prefix : r->after;
    uint64_t count = 0;

    while (refdb_next_repository(db, from, is_inclusive, &repository) &&
           slice_has_prefix(repository.path, r->prefix)) {
        struct route route;

        if (count++ == r->limit) {
            return;
        }
        buffer_clear(ret_last);
        buffer_put_slice(ret_last, repository.path);
        if (route_find(n, repository.path, is_write, &route) == RK_OK) {
            each(context, &route);
        }
        from = repository.path;
        is_inclusive = false;
    }
    buffer_clear(ret_last);
}

static void put_one(void *context, const struct route *route)
{
    struct sink *s = context;
    const struct refdb_repository *repository = &route->repository;

    sink_begin(s, SINK_MAP);
    sink_field(s, "path");
    sink_text(s, repository->path);
    sink_field(s, "id");
    sink_id(s, repository->id);
    sink_field(s, "usable");
    sink_bool(s, route->can_serve);
    sink_field(s, "state");
    sink_c_text(s, repository_state_word(repository->state));
    sink_field(s, "reason");
    sink_text(s, repository->reason);
    sink_field(s, "epoch");
    sink_number(s, repository->primary_epoch);
    sink_field(s, "target");
    sink_text(s, route->can_serve ? route->target->name : SLICE_NONE);
    sink_field(s, "target_http");
    sink_text(s, route->can_serve ? route->target->http_address : SLICE_NONE);
    sink_end(s);
}

/* [applied index, AFTER of the next page or nil, [map, map ...]] */
static void read_routes(const struct node *n, const struct request *r, struct sink *s)
{
    struct sink_page page;

    sink_begin(s, SINK_RECORD);
    if (!s->is_json) {
        sink_number(s, refdb_applied_index(node_refdb(n)));
    }
    sink_page_begin(s, &page);
    sink_field(s, "routes");
    sink_begin(s, SINK_LIST);
    routes_walk(n, r, put_one, s, &page.last);
    sink_end(s);
    sink_page_end(s, &page);
    sink_end(s);
}

static enum rk_status check_route(struct request_scratch *scratch, struct request *r,
                                  struct failure *why)
{
    uint64_t both = FIELD_BIT(FIELD_READ) | FIELD_BIT(FIELD_WRITE);

    (void)scratch;
    if ((r->given & both) == both) {
        failure_set(why, RK_BADARG, "READ and WRITE exclude each other");
        return RK_BADARG;
    }
    return RK_OK;
}

const struct request_type requests_route[] = {
    {
        .name = "ROUTE",
        .kind = REQUEST_READ,
        .scope = SERVER_MAY_READ,
        .arguments = "path [READ|WRITE] [STALE|MININDEX n]",
        .summary = "Which storage serves a repository",
        .positions = { FIELD_PATH },
        .position_count = 1,
        .options = FIELDS_READ | FIELD_BIT(FIELD_READ) | FIELD_BIT(FIELD_WRITE),
        .check = check_route,
        .read_node = read_route,
    },
    {
        .name = "ROUTE.LIST",
        .kind = REQUEST_READ,
        .scope = SERVER_MAY_READ,
        .arguments = "[READ|WRITE] [PREFIX p] [AFTER path] [LIMIT n] [STALE|MININDEX n]",
        .summary = "Which storage serves each repository, one page",
        .options = FIELDS_PAGE | FIELD_BIT(FIELD_READ) | FIELD_BIT(FIELD_WRITE),
        .check = check_route,
        .read_node = read_routes,
    },
    { .name = NULL },
};
