/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Importing thousands of repositories: some at a time, each by a worker with a client of its own,
 * one row each, a bar while it goes on.  Started again it does what is left.
 */
#ifndef CLI_IMPORT_MANY_H
#define CLI_IMPORT_MANY_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/cli.h"

struct import_item {
    const char *path;
    const char *place;   /* on this machine; NULL = its refs are not imported here */
    const char *storage; /* that place is of; with place */
    const char *primary; /* to create it with; NULL = storage */
    const char *replicas[32];
    size_t replica_count;
    size_t behind; /* copies that were left out, for people */
    /* results */
    uint64_t refs, created, unchanged, conflicts;
    char outcome[200]; /* "" = not done */
    bool has_failed;
};

struct import_many {
    struct cli *cli;
    struct import_item *items;
    size_t count;
    uint64_t jobs; /* 0 = 4 */
    bool is_force, is_dry_run;
};

/* Does all items and prints them; the exit code. */
int import_many_run(struct import_many *m);

#endif
