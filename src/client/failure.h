/* SPDX-License-Identifier: Apache-2.0 */
/* Fills struct rk_error: from our own words, and from the text of an error reply. */
#ifndef CLIENT_FAILURE_H
#define CLIENT_FAILURE_H

#include <refkeeper/types.h>

/* Writes the whole structure; `endpoint` and `error` may be NULL.  Returns `status`. */
enum rk_status failure_set(struct rk_error *error, enum rk_status status, const char *endpoint,
                           const char *format, ...) __attribute__((format(printf, 4, 5)));

/*
 * Understands "WORD text", and of CONFLICT and EXISTS "current=<oid> index=<n> actor=<text>".
 * An unknown word is PROTOCOL, with the text kept.  Returns the status.
 */
enum rk_status failure_parse(struct rk_error *error, const char *text, size_t size,
                             const char *endpoint);

/* The status alone. */
enum rk_status failure_status(const char *text, size_t size);

#endif
