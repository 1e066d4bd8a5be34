/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/agent_wire.h"

#include <sha2.h>
#include <stdio.h>
#include <string.h>

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

/* ---- HMAC-SHA256 [RFC 2104], over libmd: a hook does not load libcrypto for it ---- */

static void start(SHA2_CTX *hash, const uint8_t key[SHA256_BLOCK_LENGTH], uint8_t pad)
{
    uint8_t block[SHA256_BLOCK_LENGTH];

    for (size_t i = 0; i < sizeof block; i++) {
        block[i] = key[i] ^ pad;
    }
    SHA256Init(hash);
    SHA256Update(hash, block, sizeof block);
    explicit_bzero(block, sizeof block);
}

void agent_mac(struct slice token, const uint8_t nonce[AGENT_NONCE_BYTES], struct slice head,
               uint8_t ret_mac[AGENT_MAC_BYTES])
{
    uint8_t key[SHA256_BLOCK_LENGTH] = { 0 };
    SHA2_CTX hash;

    if (token.size <= SHA256_BLOCK_LENGTH) {
        memcpy(key, token.data, token.size);
    } else {
        SHA256Init(&hash);
        SHA256Update(&hash, token.data, token.size);
        SHA256Final(key, &hash);
    }
    start(&hash, key, 0x36);
    SHA256Update(&hash, nonce, AGENT_NONCE_BYTES);
    SHA256Update(&hash, head.data, head.size);
    SHA256Final(ret_mac, &hash);
    start(&hash, key, 0x5c);
    SHA256Update(&hash, ret_mac, AGENT_MAC_BYTES);
    SHA256Final(ret_mac, &hash);
    explicit_bzero(key, sizeof key);
    explicit_bzero(&hash, sizeof hash);
}

/* Looks at all bytes, whichever differ: the time it takes says nothing about the token. */
bool agent_mac_equal(const uint8_t a[AGENT_MAC_BYTES], const uint8_t b[AGENT_MAC_BYTES])
{
    volatile uint8_t difference = 0;

    for (size_t i = 0; i < AGENT_MAC_BYTES; i++) {
        difference = difference | (uint8_t)(a[i] ^ b[i]);
    }
    return difference == 0;
}
