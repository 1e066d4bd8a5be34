/* SPDX-License-Identifier: Apache-2.0 */
#include "model/oid.h"

#define SHA1_BYTES 20
#define SHA256_BYTES 32

uint8_t object_format_oid_bytes(enum object_format format)
{
    switch (format) {
    case OBJECT_FORMAT_SHA1:
        return SHA1_BYTES;
    case OBJECT_FORMAT_SHA256:
        return SHA256_BYTES;
    case OBJECT_FORMAT_UNSET:
        break;
    }
    return 0;
}

const char *object_format_name(enum object_format format)
{
    switch (format) {
    case OBJECT_FORMAT_SHA1:
        return "sha1";
    case OBJECT_FORMAT_SHA256:
        return "sha256";
    case OBJECT_FORMAT_UNSET:
        break;
    }
    return "unset";
}

/* 0-15, or -1. */
static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

enum rk_status oid_parse(struct slice hex, struct oid *ret_oid)
{
    struct oid oid = { 0 };

    if (hex.size != 2 * SHA1_BYTES && hex.size != 2 * SHA256_BYTES) {
        return RK_BADOID;
    }
    for (size_t i = 0; i < hex.size / 2; i++) {
        int high = hex_value(hex.data[2 * i]);
        int low = hex_value(hex.data[2 * i + 1]);

        if (high < 0 || low < 0) {
            return RK_BADOID;
        }
        oid.bytes[i] = (uint8_t)(high << 4 | low);
    }
    oid.size = (uint8_t)(hex.size / 2);
    *ret_oid = oid;
    return RK_OK;
}

void oid_format(const struct oid *oid, char ret_hex[OID_HEX_BYTES_MAX + 1])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < oid->size; i++) {
        ret_hex[2 * i] = digits[oid->bytes[i] >> 4];
        ret_hex[2 * i + 1] = digits[oid->bytes[i] & 15];
    }
    ret_hex[2 * (size_t)oid->size] = '\0';
}

bool oid_is_null(const struct oid *oid)
{
    for (size_t i = 0; i < oid->size; i++) {
        if (oid->bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

bool oid_equal(const struct oid *a, const struct oid *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}
