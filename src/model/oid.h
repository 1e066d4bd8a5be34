/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Object ids: 20 bytes (SHA-1) or 32 bytes (SHA-256), lower-case hex in text.
 * The null oid (all zeros) stands for "no object" in git's own interfaces.
 */
#ifndef MODEL_OID_H
#define MODEL_OID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/limits.h"

enum object_format {
    OBJECT_FORMAT_UNSET, /* learned from the first oid */
    OBJECT_FORMAT_SHA1,
    OBJECT_FORMAT_SHA256,
};

#define OID_HEX_BYTES_MAX (2 * OID_BYTES_MAX)

struct oid {
    uint8_t size; /* 20 or 32; 0 = unset */
    uint8_t bytes[OID_BYTES_MAX];
};

/* 20, 32, or 0 for UNSET. */
uint8_t object_format_oid_bytes(enum object_format format);
const char *object_format_name(enum object_format format); /* "sha1", "sha256", "unset" */

/* Parses 40 or 64 hex digits of either case.  Errors: BADOID. */
enum rk_status oid_parse(struct slice hex, struct oid *ret_oid) MUST_USE;

/* Writes 2 * size hex digits and a NUL. */
void oid_format(const struct oid *oid, char ret_hex[OID_HEX_BYTES_MAX + 1]);

bool oid_is_null(const struct oid *oid);
bool oid_equal(const struct oid *a, const struct oid *b);

#endif
