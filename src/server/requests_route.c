/* SPDX-License-Identifier: Apache-2.0 */
/* Where to send a fetch or a push. */
#include "server/route.h"

#include "server/requests_repo.h"
#include "server/server.h"

enum rk_status route_find(const struct refdb *db, struct slice path, bool is_write,
                          struct route *ret_route)
{
    struct route *route = ret_route;
    enum rk_status status = refdb_find_repository(db, path, 0, &route->repository);

    if (status != RK_OK) {
        return status;
    }
    route->has_primary = refdb_find_storage(db, route->repository.primary, &route->primary) ==
                         RK_OK;
    route->can_serve = route->has_primary && route->primary.state != STORAGE_DOWN &&
                       (!is_write || route->repository.state == REPOSITORY_RW);
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

/* Nothing reports yet what replicas hold: only the primary is known to be in sync. */
static void put_replicas(struct sink *s)
{
    sink_field(s, "in_sync");
    sink_begin(s, SINK_LIST);
    sink_end(s);
}

static void read_route(const struct refdb *db, const struct request *r, struct sink *s)
{
    struct route route;
    bool is_write = (r->given & FIELD_BIT(FIELD_WRITE)) != 0;
    enum rk_status status = route_find(db, r->path, is_write, &route);

    if (status != RK_OK) {
        sink_status(s, status);
        return;
    }
    sink_begin(s, SINK_MAP);
    put_route(db, r, &route, s);
    put_replicas(s);
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
        .read = read_route,
    },
    { .name = NULL },
};
