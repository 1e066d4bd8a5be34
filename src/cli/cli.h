/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all verbs of `refkeeper` share: the verb table, global flags, the client, errors.
 *
 * A verb is one function in cmd_<verb>.c with an entry in verbs.c.  It parses its own flags with
 * cli_parse(), talks to the cluster through cli_client(), prints with output.h, and returns the
 * exit code [DESIGN 8].
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <refkeeper/client.h>

#include "cli/output.h"

#define EXIT_OTHER 1
#define EXIT_USAGE 2
#define EXIT_REFUSED 4
#define EXIT_CORRUPT 8

struct cli;

struct verb {
    const char *name;                                   /* one word or two: "status", "ref get" */
    const char *usage;                                  /* what follows the name */
    const char *help;                                   /* what it does; its flags, one line each */
    int (*run)(struct cli *cli, int argc, char **argv); /* argv: what follows the name */
};

extern const struct verb cli_verbs[]; /* ends with name NULL */

struct cli {
    const struct verb *verb;
    enum output_format format;
    char *endpoints; /* NULL = the library's default */
    char *ca_file, *cert_file, *key_file, *server_name;
    char *user, *password;
    char *actor; /* NULL = REMOTE_USER or the login name */
    int64_t timeout_ms;
    bool is_help;
    struct rk_client *client; /* opened by cli_client() */
};

/* ---- Flags ---- */

enum flag_kind {
    FLAG_BOOL,     /* bool */
    FLAG_TEXT,     /* char *, owned by argv */
    FLAG_NUMBER,   /* uint64_t */
    FLAG_DURATION, /* int64_t, milliseconds: 500ms, 10s, 2m; a bare number is seconds */
};

struct flag {
    const char *name; /* without dashes */
    enum flag_kind kind;
    void *target;
};

/*
 * Takes the flags out of argv: the verb's and the global ones, anywhere before "--".
 * Returns the number of positional arguments left in argv, or -1 after saying what is wrong
 * (exit with EXIT_USAGE).  Complains unless the number is within least..most.
 */
int cli_parse(struct cli *cli, int argc, char **argv, const struct flag *flags, size_t flag_count,
              int least, int most);

/* Parses global flags up to the first positional; returns its place, or -1. */
int cli_parse_global(struct cli *cli, int argc, char **argv);

/* Takes REFKEEPER_<FLAG> where no flag was given.  False after saying what is wrong. */
bool cli_read_environment(struct cli *cli);

bool parse_duration(const char *text, int64_t *ret_ms);
bool parse_number(const char *text, uint64_t *ret_value);

/* ---- Acting ---- */

/* The client, opened on first use.  NULL after saying what is wrong; *ret_exit is the code. */
struct rk_client *cli_client(struct cli *cli, int *ret_exit);

/* A client of one endpoint with the same options otherwise; closed by the caller. */
struct rk_client *cli_client_of(struct cli *cli, const char *endpoints, struct rk_error *error);

/* The client addresses of the members, or the endpoints given when no node can be asked; between
 * commas.  Freed by the caller. */
char *cli_member_endpoints(struct cli *cli, struct rk_client *client);

/* Who acts: --actor, REMOTE_USER, the login name, the uid.  Owned by `cli`. */
const char *cli_actor(struct cli *cli);

void cli_release(struct cli *cli);

/* ---- Saying what is wrong, on stderr; JSON when the output is ---- */

/* Returns the exit code. */
int cli_fail(struct cli *cli, const struct rk_error *error);
int cli_fail_text(struct cli *cli, enum rk_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Also points to --help.  Returns EXIT_USAGE. */
int cli_usage_error(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

void cli_print_help(const struct cli *cli);
/* The verbs whose names begin with this word; false when there are none. */
bool cli_print_group(FILE *out, const char *group);

/* The verb for argv, and how many words its name has; NULL when there is none. */
const struct verb *cli_find_verb(int argc, char **argv, int *ret_words);

/*
 * A verb without arguments that asks for a list of maps and prints it.  Returns the exit code.
 */
int cli_list(struct cli *cli, int argc, char **argv,
             enum rk_status (*list)(struct rk_client *client, struct rk_reply **ret_maps,
                                    struct rk_error *ret_error));

#endif
