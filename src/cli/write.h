/* SPDX-License-Identifier: Apache-2.0 */
/* The flags every write takes, and how its log index is told. */
#ifndef CLI_WRITE_H
#define CLI_WRITE_H

#include "cli/cli.h"

struct write_flags {
    char *storage;         /* --by */
    char *epoch;           /* --epoch */
    uint64_t id;           /* --id */
    struct rk_write write; /* filled by write_flags_use() */
};

#define WRITE_FLAG_COUNT 3
#define WRITE_FLAGS(w)                                                                             \
    { "by", FLAG_TEXT, &(w).storage }, { "epoch", FLAG_TEXT, &(w).epoch },                         \
    {                                                                                              \
        "id", FLAG_NUMBER, &(w).id                                                                 \
    }
#define WRITE_HELP                                                                                 \
    "  --by STORAGE --epoch N  refused unless the storage is the primary in that epoch\n"          \
    "  --id N                  refused unless the path still means that repository\n"

/* The conditions as the library takes them; NULL after saying what is wrong. */
const struct rk_write *write_flags_use(struct cli *cli, struct write_flags *flags);

/*
 * Prints the outcome of a write: an error, or the index that decided.  Returns the exit code.
 * The index comes by address: the call that fills it is mostly an argument here, too.
 */
int write_report(struct cli *cli, enum rk_status status, const uint64_t *index,
                 const struct rk_error *error);

#endif
