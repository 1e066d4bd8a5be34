/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why there was no answer: what a node that can still be reached says of the leader and of who
 * it is connected to.  For a person at a terminal; nothing is decided by it.
 */
#ifndef CLI_NO_LEADER_H
#define CLI_NO_LEADER_H

#include "base/bytes.h"
#include "cli/cli.h"

/* Appends one line without its end; false, with nothing appended, when no node answers within
 * a second. */
bool no_leader_explain(const struct cli *cli, struct buffer *out);

#endif
