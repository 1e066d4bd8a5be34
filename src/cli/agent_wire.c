/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/agent_wire.h"

#include <stdio.h>
#include <string.h>

/* HMAC() and EVP load OpenSSL's configuration and providers first: milliseconds, in every hook. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "base/assert.h"

#define TOKEN_BYTES_MIN 16

enum rk_status agent_token_read(const char *file, struct buffer *ret_token, struct errmsg *why)
{
    char line[512] = "";
    FILE *stream = fopen(file, "r");

    if (stream != NULL) {
        if (fgets(line, sizeof line, stream) == NULL) {
            line[0] = '\0';
        }
        (void)fclose(stream);
    }
    line[strcspn(line, "\r\n")] = '\0';
    if (strlen(line) < TOKEN_BYTES_MIN) {
        errmsg_set(why, "%s does not hold a token of at least %d bytes", file, TOKEN_BYTES_MIN);
        return RK_CONFIG;
    }
    buffer_put(ret_token, line, strlen(line));
    return RK_OK;
}

/* ---- HMAC-SHA256 [RFC 2104] over OpenSSL's plain SHA-256 ---- */

#define BLOCK_BYTES SHA256_CBLOCK

static void start(SHA256_CTX *hash, const uint8_t key[BLOCK_BYTES], uint8_t pad)
{
    uint8_t block[BLOCK_BYTES];
    int rc = SHA256_Init(hash);

    for (size_t i = 0; i < BLOCK_BYTES; i++) {
        block[i] = key[i] ^ pad;
    }
    INVARIANT(rc == 1 && SHA256_Update(hash, block, BLOCK_BYTES) == 1);
}

void agent_mac(struct slice token, const uint8_t nonce[AGENT_NONCE_BYTES], struct slice head,
               uint8_t ret_mac[AGENT_MAC_BYTES])
{
    uint8_t key[BLOCK_BYTES] = { 0 };
    SHA256_CTX hash;

    if (token.size <= BLOCK_BYTES) {
        memcpy(key, token.data, token.size);
    } else {
        (void)SHA256_Init(&hash);
        (void)SHA256_Update(&hash, token.data, token.size);
        (void)SHA256_Final(key, &hash);
    }
    start(&hash, key, 0x36);
    (void)SHA256_Update(&hash, nonce, AGENT_NONCE_BYTES);
    (void)SHA256_Update(&hash, head.data, head.size);
    (void)SHA256_Final(ret_mac, &hash);
    start(&hash, key, 0x5c);
    (void)SHA256_Update(&hash, ret_mac, AGENT_MAC_BYTES);
    (void)SHA256_Final(ret_mac, &hash);
    OPENSSL_cleanse(key, sizeof key);
}

bool agent_mac_equal(const uint8_t a[AGENT_MAC_BYTES], const uint8_t b[AGENT_MAC_BYTES])
{
    return CRYPTO_memcmp(a, b, AGENT_MAC_BYTES) == 0;
}
