/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The language of `git update-ref --stdin`, plain and -z, read command by command.
 *
 * An object id is 40 or 64 hex digits (revisions have no meaning here).  Plain: zeros or the
 * empty string are "no object", a left-out field is "not given".  -z: zeros are "no object", an
 * empty field is "not given".  [git-update-ref(1)]
 */
#ifndef CLI_REF_SCRIPT_H
#define CLI_REF_SCRIPT_H

#include <stdbool.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/errmsg.h"

enum ref_command_kind {
    REF_COMMAND_UPDATE,
    REF_COMMAND_CREATE,
    REF_COMMAND_DELETE,
    REF_COMMAND_VERIFY,
    REF_COMMAND_OPTION, /* no-deref: accepted, refs of a cluster are never symbolic */
    REF_COMMAND_START,
    REF_COMMAND_PREPARE,
    REF_COMMAND_COMMIT,
    REF_COMMAND_ABORT,
    REF_COMMAND_END, /* of the input */
};

enum script_oid { SCRIPT_OID_MISSING, SCRIPT_OID_ZERO, SCRIPT_OID_GIVEN };

struct ref_command {
    enum ref_command_kind kind;
    const char *ref; /* valid until the next read */
    enum script_oid has_new, has_old;
    char new_oid[65], old_oid[65]; /* lower-case hex when given */
};

struct ref_script {
    FILE *input; /* borrowed */
    bool is_nul;
    unsigned long number; /* of the command, from 1 */
    char *line;           /* of getdelim */
    size_t line_capacity;
    struct buffer ref;
};

void ref_script_init(struct ref_script *s, FILE *input, bool is_nul);
void ref_script_release(struct ref_script *s);

/* The next command.  Errors: BADARG (says what and where), BADOID, IO. */
enum rk_status ref_script_next(struct ref_script *s, struct ref_command *ret_command,
                               struct errmsg *why) MUST_USE;

#endif
