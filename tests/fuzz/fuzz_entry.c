/* SPDX-License-Identifier: Apache-2.0 */
/* A run of log entries, as recovery and a follower see it. */
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/heap.h"
#include "model/entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(struct slice input)
{
    struct buffer again = BUFFER_INIT;
    struct slice rest = input;
    struct entry e;
    size_t need = 0;
    enum entry_verdict verdict;

    while ((verdict = entry_decode(rest, &e, &need)) == ENTRY_GOOD) {
        INVARIANT(entry_size(&e) <= rest.size);
        INVARIANT(e.index > 0 && e.command.size <= COMMAND_BYTES_MAX);
        buffer_clear(&again);
        entry_encode(&again, &e);
        INVARIANT(slice_equal(buffer_slice(&again), slice_of(rest.data, entry_size(&e))));
        rest = slice_of(rest.data + entry_size(&e), rest.size - entry_size(&e));
    }
    if (verdict == ENTRY_SHORT) {
        INVARIANT(need > rest.size && need <= ENTRY_BYTES_MAX);
    }
    buffer_release(&again);
}

/* A mutation hardly ever has a good CRC: give the first entry one. */
static void seal_first(uint8_t *data, size_t size)
{
    uint32_t command_bytes;

    if (size < ENTRY_HEADER_BYTES || get_be64(data + 8) == 0) {
        return;
    }
    command_bytes = get_be32(data + 20);
    if (command_bytes <= size - ENTRY_HEADER_BYTES && command_bytes <= COMMAND_BYTES_MAX) {
        entry_seal(data, get_be64(data), get_be64(data + 8), command_bytes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = heap_copy(data, size);

    walk(slice_of(data, size));
    seal_first(copy, size);
    walk(slice_of(copy, size));
    heap_free(copy);
    return 0;
}
