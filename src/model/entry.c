/* SPDX-License-Identifier: Apache-2.0 */
#include "model/entry.h"

#include "base/assert.h"
#include "base/crc.h"

/* term and index are the first 16 bytes of the header: the CRC covers a prefix and the command. */
static uint32_t entry_crc(const uint8_t *header, struct slice command)
{
    return crc_add(crc_add(0, slice_of(header, 16)), command);
}

void entry_seal(uint8_t *at, raft_term term, raft_index index, size_t command_bytes)
{
    PRE(index > 0);
    PRE(command_bytes <= COMMAND_BYTES_MAX);
    put_be64(at, term);
    put_be64(at + 8, index);
    put_be32(at + 16, entry_crc(at, slice_of(at + ENTRY_HEADER_BYTES, command_bytes)));
    put_be32(at + 20, (uint32_t)command_bytes);
}

void entry_encode(struct buffer *out, const struct entry *e)
{
    static const uint8_t header[ENTRY_HEADER_BYTES];
    size_t start = out->size;

    buffer_put(out, header, sizeof header);
    buffer_put_slice(out, e->command);
    entry_seal(out->data + start, e->term, e->index, e->command.size);
}

static bool header_is_zero(const uint8_t *header)
{
    static const uint8_t zeros[ENTRY_HEADER_BYTES];

    return memcmp(header, zeros, sizeof zeros) == 0;
}

enum entry_verdict entry_decode(struct slice input, struct entry *ret_entry, size_t *ret_need)
{
    uint32_t size;
    struct slice command;

    if (input.size < ENTRY_HEADER_BYTES) {
        *ret_need = ENTRY_HEADER_BYTES;
        return ENTRY_SHORT;
    }
    if (header_is_zero(input.data)) {
        return ENTRY_ABSENT;
    }
    size = get_be32(input.data + 20);
    if (size > COMMAND_BYTES_MAX || get_be64(input.data + 8) == 0) {
        return ENTRY_BAD;
    }
    if (input.size - ENTRY_HEADER_BYTES < size) {
        *ret_need = ENTRY_HEADER_BYTES + (size_t)size;
        return ENTRY_SHORT;
    }
    command = slice_of(input.data + ENTRY_HEADER_BYTES, size);
    if (entry_crc(input.data, command) != get_be32(input.data + 16)) {
        return ENTRY_BAD;
    }
    ret_entry->term = get_be64(input.data);
    ret_entry->index = get_be64(input.data + 8);
    ret_entry->command = command;
    return ENTRY_GOOD;
}

void entry_parse(struct slice bytes, struct entry *ret_entry)
{
    PRE(bytes.size >= ENTRY_HEADER_BYTES);
    ret_entry->term = get_be64(bytes.data);
    ret_entry->index = get_be64(bytes.data + 8);
    ret_entry->command = slice_of(bytes.data + ENTRY_HEADER_BYTES, get_be32(bytes.data + 20));
    PRE(entry_size(ret_entry) <= bytes.size);
}
