/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a hook hands a pack to a replica's agent before its push is decided.  [docs/GIT.md]
 *
 *   agent   "RKA2", 16 bytes it never said before
 *   hook    u32 size of the head, 32 bytes HMAC-SHA256(token, those 16 bytes, head), head:
 *             string path, u64 repository id, string name of the push,
 *             u32 count, count strings: object ids in hex
 *           u64 bytes of the pack, the pack; 0 = no object is new
 *   agent   u8 0 = taken, synced and pinned; else 1; string: why not, for people
 *
 * A string is u32 size and bytes; integers are big-endian.  One pack per connection.  The head goes
 * before the pack is made: meanwhile the agent starts the programs that take it.  The token is
 * shared by the storages of a cluster.  All of it may go through TLS.  [agent_link.h]
 */
#ifndef CLI_AGENT_WIRE_H
#define CLI_AGENT_WIRE_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/errmsg.h"

#define AGENT_PORT "7483"
#define AGENT_HELLO "RKA2"
#define AGENT_HELLO_BYTES 4
#define AGENT_NONCE_BYTES 16
#define AGENT_MAC_BYTES 32
#define AGENT_HEAD_BYTES_MAX (4 * 1024 * 1024) /* more refs than that are refused */
#define AGENT_ANSWER_BYTES_MAX 4096
#define AGENT_SMALL_PACK_BYTES (1024 * 1024) /* taken within milliseconds */
#define AGENT_HELLO_S 5 /* for the greeting, TLS included: the other side may speak another way */

/* The first line of a file, at least 16 bytes.  Errors: CONFIG. */
enum rk_status agent_token_read(const char *file, struct buffer *ret_token,
                                struct errmsg *why) MUST_USE;

void agent_mac(struct slice token, const uint8_t nonce[AGENT_NONCE_BYTES], struct slice head,
               uint8_t ret_mac[AGENT_MAC_BYTES]);
bool agent_mac_equal(const uint8_t a[AGENT_MAC_BYTES], const uint8_t b[AGENT_MAC_BYTES]);

#endif
