/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: flags > environment > file > defaults, each value with its source.
 *
 * Nothing is silently ignored: an unknown flag or key is an error that says where it stands
 * and what may have been meant.  Unknown variables REFKEEPERD_* are warned about only, for
 * container platforms set some of their own.
 */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include <stdio.h>

#include "base/errmsg.h"
#include "base/status.h"
#include "daemon/config_keys.h"
#include "model/membership.h"

enum config_type {
    CONFIG_TYPE_PATH,
    CONFIG_TYPE_NAME,
    CONFIG_TYPE_ADDRESS,    /* to listen on */
    CONFIG_TYPE_ADVERTISED, /* to connect to: with a host and a port */
    CONFIG_TYPE_MEMBERS,
    CONFIG_TYPE_BOOL,
    CONFIG_TYPE_DURATION,
    CONFIG_TYPE_SIZE,
    CONFIG_TYPE_COUNT,
    CONFIG_TYPE_LEVEL,
    CONFIG_TYPE_FORMAT,
};

enum config_key {
#define CONFIG_KEY_ENUM(name, ...) CONFIG_##name,
    CONFIG_KEY_LIST(CONFIG_KEY_ENUM)
#undef CONFIG_KEY_ENUM
        CONFIG_KEY_COUNT
};

struct config_key_facts {
    const char *key;
    enum config_type type;
    const char *standard; /* the default; NULL = not set */
    int64_t least, most;
    const char *value; /* its placeholder in --help; NULL = a switch */
    const char *help;
};
extern const struct config_key_facts config_keys[CONFIG_KEY_COUNT];

enum config_source {
    CONFIG_FROM_DEFAULT,
    CONFIG_FROM_FILE,
    CONFIG_FROM_ENVIRONMENT,
    CONFIG_FROM_FLAG,
};

struct config_value {
    char *text;     /* as written; NULL = not set */
    int64_t number; /* of DURATION (ms), SIZE, COUNT, BOOL (0, 1), LEVEL, FORMAT */
    enum config_source source;
    unsigned line; /* of the file */
};

enum config_format { CONFIG_LOGFMT, CONFIG_JSON };

/* What the command line asks for beside running. */
enum config_action {
    CONFIG_RUN,
    CONFIG_SHOW_HELP,
    CONFIG_SHOW_VERSION,
    CONFIG_PRINT,
    CONFIG_CHECK,
};

struct config {
    struct config_value values[CONFIG_KEY_COUNT];
    enum config_action action;
    struct membership members; /* of initial-members: ids from 1 in order of name */
    struct buffer warnings;    /* lines, each ended by '\n' */
};

/*
 * Reads all sources.  `environment` is a NULL-terminated list of "NAME=value".  With
 * CONFIG_SHOW_HELP and CONFIG_SHOW_VERSION nothing else is looked at.
 *
 * Errors: BADARG (the command line: usage), CONFIG (everything else); `why` names the flag,
 * the variable, or the file and line.  The config is to be released in any case.
 */
enum rk_status config_load(struct config *c, int argc, char *const *argv, char *const *environment,
                           struct errmsg *why) MUST_USE;
void config_release(struct config *c);

static inline const char *config_text(const struct config *c, enum config_key key)
{
    return c->values[key].text; /* NULL = not set */
}

static inline int64_t config_number(const struct config *c, enum config_key key)
{
    return c->values[key].number;
}

static inline bool config_is_on(const struct config *c, enum config_key key)
{
    return c->values[key].number != 0;
}

/* "default", "--name", "REFKEEPERD_NAME", "/etc/refkeeper/refkeeperd.conf:12" */
void config_source_text(const struct config *c, enum config_key key, char *out, size_t size);

/* Every key with value and source; reads back as a configuration file. */
void config_print(const struct config *c, FILE *out);
void config_print_help(FILE *out);

/* ---- Parts, for config*.c and tests ---- */

/* The key of this name, CONFIG_KEY_COUNT when there is none. */
enum config_key config_find(const char *name, size_t size);

/* The key most like `name`; CONFIG_KEY_COUNT when nothing is near. */
enum config_key config_guess(const char *name, size_t size);

/* Takes a value unless a stronger source gave one.  Errors: CONFIG, without the place. */
enum rk_status config_set(struct config *c, enum config_key key, const char *text,
                          enum config_source source, unsigned line, struct errmsg *why) MUST_USE;

/* Errors: CONFIG, with file and line. */
enum rk_status config_read_file(struct config *c, const char *path, struct errmsg *why) MUST_USE;

/* What belongs together; fills `members` and `warnings`.  Errors: CONFIG. */
enum rk_status config_validate(struct config *c, struct errmsg *why) MUST_USE;

#endif
