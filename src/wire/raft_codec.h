/* SPDX-License-Identifier: Apache-2.0 */
/* Raft messages, forwarded commands and changes as frame payloads [docs/PROTOCOL.md]. */
#ifndef WIRE_RAFT_CODEC_H
#define WIRE_RAFT_CODEC_H

#include "base/bytes.h"
#include "model/member_change.h"
#include "model/message.h"

/*
 * Appends the payload of a FRAME_MESSAGE.  For APPEND_ENTRIES and INSTALL_SNAPSHOT the
 * trailing bytes (entries, chunk) are not appended: send them behind with
 * frame_end_with_entries() or frame_end_with_tail(); their length is u.*.bytes.size, and it
 * is zero exactly when there are no entries.
 */
void message_encode(struct buffer *out, const struct message *message);

/*
 * Decodes and checks everything checkable without state: known type, sizes, entries
 * contiguous with prev_log_index, each CRC, terms not falling, no trailing bytes, and each
 * command decodes [DESIGN 5].  Entries go to `entries`, a caller-owned array that is grown
 * (see message_decoder) and reused: slices of the message borrow from `payload`, the
 * entries stay until the next decode.
 *
 * Errors: PROTOCOL, UNSUPPORTED (unknown command: nothing of the message is appended), NOMEM.
 */
struct message_decoder {
    struct entry *entries;
    size_t capacity;
};
enum rk_status message_decode(struct message_decoder *decoder, struct slice payload,
                              struct message *ret_message) MUST_USE;
void message_decoder_release(struct message_decoder *decoder);

/*
 * FRAME_FORWARD: u64 first token, u32 count, then each command as a string; append them with
 * buffer_put_string().
 */
void forward_begin(struct buffer *out, uint64_t first_token, uint32_t count);

/*
 * Checks the framing only; walk the commands with command_next_string() and decode each as
 * any proposal.  Errors: PROTOCOL.
 */
enum rk_status forward_decode(struct slice payload, uint64_t *ret_first_token, uint32_t *ret_count,
                              struct slice *ret_commands) MUST_USE;

/*
 * FRAME_FORWARD_REPLY: u64 first token, u32 count, u64 term, u64 first index, status word.
 * Statuses travel as words, so that the list of them may grow: those that share a word come
 * back as the first one with it, a word of a newer version as UNKNOWN.
 */
struct forward_reply {
    uint64_t first_token;
    uint32_t count;
    enum rk_status status; /* OK: entries first_index .. with `term`; else nothing was appended */
    raft_term term;
    raft_index first_index;
};
void forward_reply_encode(struct buffer *out, const struct forward_reply *reply);
enum rk_status forward_reply_decode(struct slice payload,
                                    struct forward_reply *ret_reply) MUST_USE; /* PROTOCOL */

/* FRAME_CHANGE: u64 token, u8 kind, name, peer address (u8 length, bytes each). */
void change_encode(struct buffer *out, uint64_t token, const struct member_change *change);
/* Errors: PROTOCOL. */
enum rk_status change_decode(struct slice payload, uint64_t *ret_token,
                             struct member_change *ret_change) MUST_USE;

/* FRAME_CHANGE_REPLY: u64 token, u64 index, status word, why (u8 length, bytes). */
#define CHANGE_WHY_BYTES_MAX 255 /* longer text is cut */
struct change_reply {
    uint64_t token;
    enum rk_status status;
    raft_index index; /* OK: of the entry that made it so; of LEADER 0 */
    char why[CHANGE_WHY_BYTES_MAX + 1];
};
void change_reply_encode(struct buffer *out, const struct change_reply *reply);
enum rk_status change_reply_decode(struct slice payload,
                                   struct change_reply *ret_reply) MUST_USE; /* PROTOCOL */

/* FRAME_DIGEST: u64 index, 16 bytes digest, u8 flags (1 = wants state), u64 above. */
#define STATE_DIGEST_BYTES 16
struct state_digest {
    raft_index index;
    uint8_t digest[STATE_DIGEST_BYTES];
    bool wants_state; /* instead: to the leader, who shall send a snapshot */
    raft_index above; /* ... newer than this */
};
void state_digest_encode(struct buffer *out, const struct state_digest *digest);
enum rk_status state_digest_decode(struct slice payload,
                                   struct state_digest *ret_digest) MUST_USE; /* PROTOCOL */

#endif
