/* SPDX-License-Identifier: Apache-2.0 */
/* The sum of everything in the maps, from the data alone; of a state or of a frozen view. */
#ifndef REFDB_DERIVE_H
#define REFDB_DERIVE_H

#include "refdb/state.h"

struct derived_from {
    const struct state_maps *maps;
    const struct name_maps *storage_names, *actors;
    name_id actor_id_end; /* above all ids */
};

/* O(state). */
struct digest derive_sum(const struct derived_from *from);

#endif
