/* SPDX-License-Identifier: Apache-2.0 */
/* One Raft message.  What decodes keeps its promises and encodes to the same bytes again. */
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/heap.h"
#include "model/command.h"
#include "wire/raft_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define APPEND_CODE (MESSAGE_APPEND_ENTRIES + 1)
#define APPEND_HEAD_BYTES 68

static void check_entries(const struct message *m)
{
    raft_index index = m->u.append_entries.prev_log_index;
    raft_term term = m->u.append_entries.prev_log_term;
    size_t bytes = 0;

    for (uint32_t i = 0; i < m->u.append_entries.count; i++) {
        const struct entry *e = &m->u.append_entries.entries[i];
        struct command c;
        enum rk_status status = command_decode(e->command, &c);

        INVARIANT(status == RK_OK);
        INVARIANT(e->index == ++index && e->term >= term && e->term <= m->term);
        term = e->term;
        bytes += entry_size(e);
    }
    INVARIANT(bytes == m->u.append_entries.bytes.size);
}

static void try(struct message_decoder *decoder, struct slice payload)
{
    struct buffer again = BUFFER_INIT;
    struct message m;

    if (message_decode(decoder, payload, &m) == RK_OK) {
        INVARIANT(decoder->capacity <= payload.size + 64);
        message_encode(&again, &m);
        if (m.type == MESSAGE_APPEND_ENTRIES) {
            check_entries(&m);
            buffer_put_slice(&again, m.u.append_entries.bytes);
        } else if (m.type == MESSAGE_INSTALL_SNAPSHOT) {
            buffer_put_slice(&again, m.u.install_snapshot.bytes);
        }
        INVARIANT(slice_equal(buffer_slice(&again), payload));
    }
    buffer_release(&again);
}

/* A mutation hardly ever has good CRCs and indexes: give the entries some. */
static void seal_entries(uint8_t *data, size_t size)
{
    size_t offset = APPEND_HEAD_BYTES;
    raft_index index;

    if (size < APPEND_HEAD_BYTES || data[0] != APPEND_CODE) {
        return;
    }
    put_be32(data + APPEND_HEAD_BYTES - 4, (uint32_t)(size - APPEND_HEAD_BYTES));
    index = get_be64(data + 28);
    while (index < RAFT_INDEX_MAX && size - offset >= ENTRY_HEADER_BYTES) {
        uint32_t command_bytes = get_be32(data + offset + 20);

        if (command_bytes > size - offset - ENTRY_HEADER_BYTES) {
            return;
        }
        entry_seal(data + offset, get_be64(data + offset), ++index, command_bytes);
        offset += ENTRY_HEADER_BYTES + command_bytes;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct message_decoder decoder = { NULL, 0 };
    uint8_t *copy = heap_copy(data, size);

    try(&decoder, slice_of(data, size));
    seal_entries(copy, size);
    try(&decoder, slice_of(copy, size));
    message_decoder_release(&decoder);
    heap_free(copy);
    return 0;
}
