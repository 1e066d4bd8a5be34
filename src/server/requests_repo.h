/* SPDX-License-Identifier: Apache-2.0 */
/* What more than one answer about repositories and storages holds. */
#ifndef SERVER_REQUESTS_REPO_H
#define SERVER_REQUESTS_REPO_H

#include "model/command.h"
#include "refdb/refdb.h"
#include "server/sink.h"

const char *repository_state_word(enum repository_state state); /* rw, ro, frozen */
const char *storage_state_word(enum storage_state state);       /* active, draining, down */

/* The rules of the filter, a list of maps.  [requests_settings.c] */
void sink_ref_filter(struct sink *s, const struct refdb *db);

#endif
