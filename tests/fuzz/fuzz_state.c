/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One slot of raft-state.dat.  As it is, and once more with magic, version, size and crc set right,
 * so that the payload behind them is reached.  What is read is written as the same bytes.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <zlib.h>

#include "base/assert.h"
#include "base/heap.h"
#include "storage/storage_internal.h"

#define HEAD_BYTES 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(struct slice slot)
{
    struct state_record *record = heap_new(struct state_record);
    struct buffer again = BUFFER_INIT;
    enum rk_status status = state_decode(slot, record);

    INVARIANT(status == RK_OK || status == RK_CORRUPT || status == RK_FOREIGN);
    if (status == RK_OK) {
        INVARIANT(record->checkpoint.index >= record->base.index);
        state_encode(&again, record);
        INVARIANT(again.size <= slot.size);
        INVARIANT(slice_equal(slice_of(again.data + HEAD_BYTES, again.size - HEAD_BYTES),
                              slice_of(slot.data + HEAD_BYTES, again.size - HEAD_BYTES)));
    }
    buffer_release(&again);
    heap_free(record);
}

static void set_right(uint8_t *slot, size_t size)
{
    uLong crc;

    memcpy(slot, "RKSTATE\n", 8);
    put_be32(slot + 8, STORAGE_FORMAT_VERSION);
    put_be32(slot + 12, (uint32_t)(size - HEAD_BYTES));
    crc = crc32(0, slot, 24);
    put_be32(slot + 24, (uint32_t)crc32(crc, slot + 28, (uInt)(size - 28)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy;

    if (size > STATE_SLOT_BYTES) {
        return 0;
    }
    decode(slice_of(data, size));
    if (size >= HEAD_BYTES) {
        copy = heap_copy(data, size);
        set_right(copy, size);
        decode(slice_of(copy, size));
        heap_free(copy);
    }
    return 0;
}
