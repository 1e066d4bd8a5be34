/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replicated settings: name -> record.
 *
 *   limits   LIMIT_COUNT times u64, 0 = no limit
 *   filter   the rules of the tracked-ref filter [model/ref_filter.h]
 *
 * A setting that says nothing has no record.  What apply asks for often is kept decoded.
 */
#ifndef REFDB_SETTINGS_H
#define REFDB_SETTINGS_H

#include "refdb/state.h"

#define SETTING_NAME_BYTES_MAX 16

/* False, and nothing changed, when the record is not one of that name.  The sum follows. */
bool settings_put(struct refdb *db, struct slice name, struct slice record);

void settings_put_limits(struct refdb *db, const uint64_t limits[LIMIT_COUNT]);
void settings_put_filter(struct refdb *db, struct slice rules);

struct digest settings_digest(struct slice name, struct slice record);

#endif
