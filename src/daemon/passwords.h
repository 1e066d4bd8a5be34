/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what: the file of client-passwords.
 *
 *   # user  may    SHA-256 of the password, in hex
 *   hooks   write  5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8
 *   grafana read   ...
 *
 * "write" may read, too; "admin" may do everything.  A user may stand there more than once, so
 * that a password is changed without a gap.  Passwords are long and random (openssl rand -hex
 * 32): a plain hash protects those, not words people remember.
 */
#ifndef DAEMON_PASSWORDS_H
#define DAEMON_PASSWORDS_H

#include "base/bytes.h"
#include "base/errmsg.h"
#include "base/status.h"

struct passwords;

/* Errors: CONFIG, with file and line; a file that group or others may read is refused. */
enum rk_status passwords_open(const char *path, struct passwords **ret_passwords,
                              struct errmsg *why) MUST_USE;
void passwords_close(struct passwords *p); /* accepts NULL */

/* Bits of enum server_scope; 0 = refused.  Takes the same time for every wrong password. */
unsigned passwords_check(const struct passwords *p, struct slice user, struct slice password);

#endif
