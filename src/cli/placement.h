/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which storage could be primary of what: for drain, rebalance and report.
 *
 * A storage is fit when it is active and its agent was heard within STORAGE_HEARD_MS by the node
 * that answers; a copy is fit when that node was told that it holds all of the repository.  The
 * cluster judges again when a move is applied, so what is planned on old news is refused, not lost.
 */
#ifndef CLI_PLACEMENT_H
#define CLI_PLACEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <refkeeper/client.h>

struct placed_storage {
    char *name;
    char *state;        /* active, draining, down */
    int64_t silent_ms;  /* -1 = it never reported */
    uint64_t primaries; /* moves that are planned are counted */
};

struct placement {
    struct placed_storage *storages;
    size_t count;
};

enum rk_status placement_read(struct placement *p, struct rk_client *client,
                              struct rk_error *error);
void placement_release(struct placement *p);

struct placed_storage *placement_find(const struct placement *p, const char *name);
bool placement_is_fit(const struct placed_storage *storage); /* accepts NULL */
/* Neither down nor known to be silent. */
bool placement_is_up(const struct placed_storage *storage);

/* The fit storage with a fit copy and the fewest primaries; NULL = none.  `map`: of REPO.LIST. */
struct placed_storage *placement_choose(const struct placement *p, const struct rk_reply *map);
/* Whether an array of `map` holds the name. */
bool placement_lists(const struct rk_reply *map, const char *key, const char *name);

/* ---- Moves, gathered and then sent in requests of many paths ---- */

struct move {
    char *path;
    const char *from, *to; /* names in the placement */
    enum rk_status status; /* after moves_send */
};

struct moves {
    struct move *list;
    size_t count, capacity;
};

void moves_add(struct moves *m, const char *path, const char *from, const char *to);
/* Errors: those of a whole request; each move has its own status. */
enum rk_status moves_send(struct moves *m, struct rk_client *client, const char *actor,
                          struct rk_error *error);
void moves_release(struct moves *m);

#endif
