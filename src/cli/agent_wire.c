/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/agent_wire.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

void agent_mac(struct slice token, const uint8_t nonce[AGENT_NONCE_BYTES], struct slice head,
               uint8_t ret_mac[AGENT_MAC_BYTES])
{
    struct buffer text = BUFFER_INIT;
    unsigned size = 0;
    const uint8_t *mac;

    buffer_put(&text, nonce, AGENT_NONCE_BYTES);
    buffer_put_slice(&text, head);
    mac = HMAC(EVP_sha256(), token.data, (int)token.size, text.data, text.size, ret_mac, &size);
    INVARIANT(mac != NULL && size == AGENT_MAC_BYTES);
    buffer_release(&text);
}

bool agent_mac_equal(const uint8_t a[AGENT_MAC_BYTES], const uint8_t b[AGENT_MAC_BYTES])
{
    return CRYPTO_memcmp(a, b, AGENT_MAC_BYTES) == 0;
}

bool agent_send_all(int fd, const void *data, size_t size)
{
    const uint8_t *at = data;

    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent <= 0) {
            return false;
        }
        at += sent;
        size -= (size_t)sent;
    }
    return true;
}

bool agent_receive_all(int fd, void *data, size_t size)
{
    uint8_t *at = data;

    while (size > 0) {
        ssize_t got = recv(fd, at, size, 0);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        at += got;
        size -= (size_t)got;
    }
    return true;
}
