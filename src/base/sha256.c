/* SPDX-License-Identifier: Apache-2.0 */
/* Names are those of FIPS 180-4: K, W, a to h, Ch, Maj, the four sigmas. */
#include "base/sha256.h"

#include <string.h>

/* clang-format off */
static const uint32_t first_state[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};
/* clang-format on */

static uint32_t rotate(uint32_t x, unsigned bits)
{
    return x >> bits | x << (32 - bits);
}

static void expand(const uint8_t *block, uint32_t W[64])
{
    for (size_t t = 0; t < 16; t++) {
        W[t] = get_be32(block + 4 * t);
    }
    for (size_t t = 16; t < 64; t++) {
        uint32_t x = W[t - 15], y = W[t - 2];
        uint32_t sigma0 = rotate(x, 7) ^ rotate(x, 18) ^ x >> 3;
        uint32_t sigma1 = rotate(y, 17) ^ rotate(y, 19) ^ y >> 10;

        W[t] = sigma1 + W[t - 7] + sigma0 + W[t - 16];
    }
}

static void add_block(struct sha256 *hash, const uint8_t *block)
{
    uint32_t W[64];
    uint32_t v[8]; /* a to h */

    expand(block, W);
    memcpy(v, hash->state, sizeof v);
    for (size_t t = 0; t < 64; t++) {
        uint32_t Sigma1 = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
        uint32_t Ch = (v[4] & v[5]) ^ (~v[4] & v[6]);
        uint32_t T1 = v[7] + Sigma1 + Ch + K[t] + W[t];
        uint32_t Sigma0 = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
        uint32_t Maj = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);

        memmove(v + 1, v, 7 * sizeof v[0]);
        v[4] += T1;
        v[0] = T1 + Sigma0 + Maj;
    }
    for (size_t i = 0; i < 8; i++) {
        hash->state[i] += v[i];
    }
}

void sha256_init(struct sha256 *hash)
{
    memset(hash, 0, sizeof *hash);
    memcpy(hash->state, first_state, sizeof hash->state);
}

void sha256_add(struct sha256 *hash, struct slice bytes)
{
    size_t held = hash->size % SHA256_BLOCK_BYTES;

    hash->size += bytes.size;
    while (bytes.size > 0) {
        size_t room = SHA256_BLOCK_BYTES - held;
        size_t part = bytes.size < room ? bytes.size : room;

        memcpy(hash->block + held, bytes.data, part);
        bytes.data += part;
        bytes.size -= part;
        held += part;
        if (held == SHA256_BLOCK_BYTES) {
            add_block(hash, hash->block);
            held = 0;
        }
    }
}

void sha256_finish(struct sha256 *hash, uint8_t ret_bytes[SHA256_BYTES])
{
    static const uint8_t padding[SHA256_BLOCK_BYTES] = { 0x80 };
    size_t held = hash->size % SHA256_BLOCK_BYTES;
    uint8_t bits[8];

    put_be64(bits, 8 * hash->size);
    /* To eight bytes before the end of a block, which is this one or the next. */
    sha256_add(hash, slice_of(padding, held < 56 ? 56 - held : 120 - held));
    sha256_add(hash, slice_of(bits, sizeof bits));
    for (size_t i = 0; i < 8; i++) {
        put_be32(ret_bytes + 4 * i, hash->state[i]);
    }
    explicit_bzero(hash, sizeof *hash);
}
