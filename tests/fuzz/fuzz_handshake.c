/* SPDX-License-Identifier: Apache-2.0 */
/* The first frames of a connection, from somebody who has not said yet who it is. */
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "wire/handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_hello(struct slice input)
{
    static const struct hello ours = { .version_min = 1, .version_max = PROTOCOL_VERSION };
    struct buffer again = BUFFER_INIT;
    struct hello h;
    uint32_t version;

    if (hello_decode(input, &h) != RK_OK) {
        return;
    }
    version = hello_version(&ours, &h);
    INVARIANT(version <= PROTOCOL_VERSION && (version == 0) == (h.version_min > PROTOCOL_VERSION));
    hello_encode(&again, &h);
    if (h.version_max == PROTOCOL_VERSION) { /* a newer one may have said more */
        INVARIANT(slice_equal(buffer_slice(&again), input));
    } else {
        INVARIANT(again.size <= input.size);
    }
    buffer_release(&again);
}

static void try_refusal(struct slice input)
{
    struct buffer again = BUFFER_INIT;
    struct hello_refusal refusal, back;

    if (hello_refusal_decode(input, &refusal) == RK_OK) {
        enum rk_status status;

        hello_refusal_encode(&again, refusal.status, refusal.text);
        status = hello_refusal_decode(buffer_slice(&again), &back);
        INVARIANT(status == RK_OK && back.status == refusal.status);
        INVARIANT(strcmp(back.text, refusal.text) == 0);
    }
    buffer_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_hello(slice_of(data, size));
    try_refusal(slice_of(data, size));
    return 0;
}
