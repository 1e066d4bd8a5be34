/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One log entry, exactly as on disk and on the wire [DESIGN 4]:
 *
 *   u64 term, u64 index, u32 crc, u32 command length, command
 *   crc = CRC-32 (zlib) over term, index, command as encoded
 *
 * An entry is encoded once, by the leader; everyone else checks the CRC and
 * passes the same bytes on.
 */
#ifndef MODEL_ENTRY_H
#define MODEL_ENTRY_H

#include "base/bytes.h"
#include "base/limits.h"
#include "model/types.h"

struct entry {
    raft_term term;
    raft_index index;
    struct slice command; /* borrowed */
};

/* Bytes of the encoded entry. */
static inline size_t entry_size(const struct entry *e)
{
    return ENTRY_HEADER_BYTES + e->command.size;
}

/* Appends the encoded entry to `out`. */
void entry_encode(struct buffer *out, const struct entry *e);

/*
 * Writes the header in front of a command that already lies at `at` + ENTRY_HEADER_BYTES:
 * the leader encodes in place, once.
 */
void entry_seal(uint8_t *at, raft_term term, raft_index index, size_t command_bytes);

enum entry_verdict {
    ENTRY_GOOD,
    ENTRY_SHORT,  /* the input ends inside the entry */
    ENTRY_ABSENT, /* an all-zero header: preallocated space */
    ENTRY_BAD,    /* length over ENTRY_BYTES_MAX, index 0, or CRC mismatch */
};

/*
 * Judges the first entry of `input` by framing and CRC only; the command is not decoded.
 * On ENTRY_GOOD fills *ret_entry (borrowing from `input`); entry_size() gives its length.
 * On ENTRY_SHORT *ret_need is the number of bytes that would allow a verdict.
 */
enum entry_verdict entry_decode(struct slice input, struct entry *ret_entry, size_t *ret_need);

/*
 * The first entry of bytes that entry_decode or entry_seal has vouched for already: the CRC
 * is not computed again.  PRE: the entry is whole.
 */
void entry_parse(struct slice bytes, struct entry *ret_entry);

#endif
