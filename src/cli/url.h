/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_URL_H
#define CLI_URL_H

#include <stdbool.h>

#include "base/bytes.h"

/* Not a place on this machine, nor scp's HOST:PLACE, which git takes as they are. */
bool url_is_one(const char *text);
/* Appends a path as a URL has it: git and what serves it take %XX apart again.  [RFC 3986, 2.1] */
void url_put_path(struct buffer *out, const char *path);

#endif
