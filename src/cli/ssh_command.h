/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a git client asks for over ssh: `git-receive-pack '/group/project.git'`.
 *
 * The text comes from the network.  It is taken apart, judged, and written anew; no shell sees
 * the original.
 */
#ifndef CLI_SSH_COMMAND_H
#define CLI_SSH_COMMAND_H

#include <stdbool.h>

#include "base/errmsg.h"
#include "base/limits.h"
#include "base/status.h"

struct ssh_command {
    const char *service;           /* git-upload-pack, git-receive-pack or git-upload-archive */
    bool is_write;                 /* git-receive-pack */
    char path[PATH_BYTES_MAX + 1]; /* canonical: without the slash in front */
};

/* Errors: BADARG: not one service and one quoted canonical path. */
enum rk_status ssh_command_parse(const char *text, struct ssh_command *ret_command,
                                 struct errmsg *why) MUST_USE;

/* `git-receive-pack 'path'`, quoted for a shell.  Owned by the caller. */
char *ssh_command_format(const struct ssh_command *command);

/* Where ssh goes: "[user@]host[:port]", the host of IPv6 in brackets. */
struct ssh_address {
    char destination[ADDRESS_BYTES_MAX + 1]; /* [user@]host */
    char port[8];                            /* "" = ssh's own */
};

/* Errors: BADARG. */
enum rk_status ssh_address_parse(const char *text, struct ssh_address *ret_address,
                                 struct errmsg *why) MUST_USE;

#endif
