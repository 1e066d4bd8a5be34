/* SPDX-License-Identifier: Apache-2.0 */
/* Names: what git check-ref-format allows, and our rules for repository paths. */
#ifndef MODEL_REFNAME_H
#define MODEL_REFNAME_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/limits.h"

/*
 * True for a full ref name we accept: at most REFNAME_BYTES_MAX bytes, starts with
 * "refs/", has a component after it, and passes `git check-ref-format`.
 * Bytes >= 0x80 are allowed and not interpreted.  [git check-ref-format(1)]
 */
bool refname_is_valid(struct slice name);

/*
 * True for a canonical repository path: 1..PATH_BYTES_MAX bytes, no leading or trailing
 * "/", no empty, "." or ".." component, no control byte, no byte 0x7f.
 */
bool repository_path_is_valid(struct slice path);

/* True for a storage name: 1..STORAGE_NAME_BYTES_MAX of [A-Za-z0-9._-], not starting with "-". */
bool storage_name_is_valid(struct slice name);

#endif
