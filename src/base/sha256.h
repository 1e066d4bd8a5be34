/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 over pieces.  [FIPS 180-4]
 *
 * For what is small and hashed by a process that lives for milliseconds: a hook does not load
 * libcrypto for it.  What hashes files or passwords takes OpenSSL's, which is faster.
 */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stdint.h>

#include "base/bytes.h"

#define SHA256_BYTES 32
#define SHA256_BLOCK_BYTES 64

struct sha256 {
    uint32_t state[8];
    uint64_t size; /* bytes added so far; size % SHA256_BLOCK_BYTES of them wait in block */
    uint8_t block[SHA256_BLOCK_BYTES];
};

void sha256_init(struct sha256 *hash);
void sha256_add(struct sha256 *hash, struct slice bytes);

/* The hash of all that was added.  Leaves zeros in `hash`: it may have seen a secret. */
void sha256_finish(struct sha256 *hash, uint8_t ret_bytes[SHA256_BYTES]);

#endif
