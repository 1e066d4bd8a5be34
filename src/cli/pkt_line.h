/* SPDX-License-Identifier: Apache-2.0 */
/*
 * git's framing: four hex digits that count themselves and the payload; 0000 ends a section.
 * [git gitprotocol-common(5)]
 */
#ifndef CLI_PKT_LINE_H
#define CLI_PKT_LINE_H

#include <stdbool.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/errmsg.h"

#define PKT_PAYLOAD_BYTES_MAX 65516

/*
 * Reads one packet into `payload` (overwritten, a NUL behind it, not counted), without the LF
 * it may end with.  *ret_is_flush: the section ended.  Errors: CLOSED, PROTOCOL, IO.
 */
enum rk_status pkt_read(FILE *input, struct buffer *payload, bool *ret_is_flush,
                        struct errmsg *why) MUST_USE;

/* Appends a packet; a longer payload is cut. */
void pkt_put(struct buffer *out, struct slice payload);
void pkt_put_flush(struct buffer *out);

#endif
