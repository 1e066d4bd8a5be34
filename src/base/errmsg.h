/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message for people that says what failed, where, and what to do.
 *
 * The caller owns it; it is untouched on success.  The leaf writes
 * "what failed: cause (path, offset)", callers prefix outward with
 * errmsg_wrap(): "open log: raft-log.dat: bad crc at offset 8192".
 */
#ifndef BASE_ERRMSG_H
#define BASE_ERRMSG_H

struct errmsg {
    char text[512]; /* NUL-terminated; longer text is cut */
};

/* clang-format off */
#define ERRMSG_INIT { { 0 } }
/* clang-format on */

/* Overwrites the text.  NULL `msg` is allowed and ignored. */
void errmsg_set(struct errmsg *msg, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "prefix: " in front of the text.  NULL `msg` is allowed and ignored. */
void errmsg_wrap(struct errmsg *msg, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
