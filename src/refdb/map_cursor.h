/* SPDX-License-Identifier: Apache-2.0 */
/* A place in an ordered map; see refdb/ordered_map.h. */
#ifndef REFDB_MAP_CURSOR_H
#define REFDB_MAP_CURSOR_H

#include <stddef.h>
#include <stdint.h>

#define MAP_KEY_BYTES_MAX 1024 /* names, paths and the like: see base/limits.h */

struct packed_node;

/* A walk in order of keys.  Void after a change of the map. */
struct map_cursor {
    const struct packed_node *root, *leaf; /* leaf NULL = at the end */
    uint32_t offset;                       /* of the next entry in it */
    size_t key_size;
    uint8_t key[MAP_KEY_BYTES_MAX]; /* of the entry before it */
};

#endif
