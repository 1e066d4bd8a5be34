/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames between nodes [docs/PROTOCOL.md]:
 *
 *   u32 payload length, u8 type, u8 flags, u16 head, u32 crc, payload
 *   crc = CRC-32 over the first 8 header bytes and the payload
 *
 * With FRAME_ENTRIES the crc covers only the first `head` bytes of the payload: what follows
 * are log entries, at least one, which carry their own.  Without it `head` is zero.
 */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include "base/bytes.h"
#include "base/limits.h"

enum frame_type {
    FRAME_HELLO = 1,         /* both directions, first on a connection: wire/handshake.h */
    FRAME_HELLO_REFUSED = 2, /* status word and a sentence, then the connection closes */
    FRAME_MESSAGE = 3,       /* one Raft message: wire/raft_codec.h */
    FRAME_FORWARD = 4,       /* follower -> leader: commands to propose */
    FRAME_FORWARD_REPLY = 5, /* leader -> follower: where they went */
    FRAME_CHANGE = 6,        /* follower -> leader: a change of the members */
    FRAME_CHANGE_REPLY = 7,  /* leader -> follower: what became of it */
    FRAME_DIGEST = 8,        /* to all: what the state's digest is at an index */
};

enum frame_flags {
    FRAME_ENTRIES = 1 << 0, /* only of FRAME_MESSAGE */
};

struct frame {
    enum frame_type type;
    uint8_t flags;
    struct slice payload; /* borrowed */
};

enum frame_verdict {
    FRAME_GOOD,
    FRAME_SHORT, /* more bytes are needed: *ret_need in total */
    FRAME_BAD,   /* oversized, unknown type, unknown flags, impossible head, CRC mismatch: close */
};

/*
 * Judges the first frame of `input`; *ret_used is its whole length when GOOD.
 * *ret_need never exceeds what a good header announces, so a receiver may make room for it.
 */
enum frame_verdict frame_decode(struct slice input, struct frame *ret_frame, size_t *ret_used,
                                size_t *ret_need);

/* Starts a frame in `out`; returns where it began, for frame_end(). */
size_t frame_begin(struct buffer *out, enum frame_type type);

/* Fills in length and CRC of the frame begun at `start`; everything after it is payload. */
void frame_end(struct buffer *out, size_t start);

/*
 * The same for a payload whose tail is not copied into `out` but sent right behind it
 * (a chunk of a snapshot).
 */
void frame_end_with_tail(struct buffer *out, size_t start, struct slice tail);

/*
 * The same for a tail of `tail_bytes` that is a run of encoded log entries, which is not
 * read: each entry is checked by its own CRC.  Only for an APPEND_ENTRIES message.
 */
void frame_end_with_entries(struct buffer *out, size_t start, size_t tail_bytes);

#endif
