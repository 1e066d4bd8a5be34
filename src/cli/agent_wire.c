/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/agent_wire.h"

#include <stdio.h>
#include <string.h>

#include "base/sha256.h"

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

/* ---- HMAC-SHA256 [RFC 2104] ---- */

static void start(struct sha256 *hash, const uint8_t key[SHA256_BLOCK_BYTES], uint8_t pad)
{
    uint8_t block[SHA256_BLOCK_BYTES];

    for (size_t i = 0; i < sizeof block; i++) {
        block[i] = key[i] ^ pad;
    }
    sha256_init(hash);
    sha256_add(hash, slice_of(block, sizeof block));
    explicit_bzero(block, sizeof block);
}

void agent_mac(struct slice token, const uint8_t nonce[AGENT_NONCE_BYTES], struct slice head,
               uint8_t ret_mac[AGENT_MAC_BYTES])
{
    uint8_t key[SHA256_BLOCK_BYTES] = { 0 };
    struct sha256 hash;

    if (token.size <= SHA256_BLOCK_BYTES) {
        memcpy(key, token.data, token.size);
    } else {
        sha256_init(&hash);
        sha256_add(&hash, token);
        sha256_finish(&hash, key);
    }
    start(&hash, key, 0x36);
    sha256_add(&hash, slice_of(nonce, AGENT_NONCE_BYTES));
    sha256_add(&hash, head);
    sha256_finish(&hash, ret_mac);
    start(&hash, key, 0x5c);
    sha256_add(&hash, slice_of(ret_mac, AGENT_MAC_BYTES));
    sha256_finish(&hash, ret_mac);
    explicit_bzero(key, sizeof key);
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
