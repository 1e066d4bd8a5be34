/* SPDX-License-Identifier: Apache-2.0 */
/* Forwarded commands and changes, and what became of them. */
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "model/command.h"
#include "wire/raft_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_forward(struct slice input)
{
    struct buffer again = BUFFER_INIT;
    struct slice commands, command;
    uint64_t first_token;
    uint32_t count, walked = 0;

    if (forward_decode(input, &first_token, &count, &commands) == RK_OK) {
        forward_begin(&again, first_token, count);
        while (command_next_string(&commands, &command)) {
            INVARIANT(command.size > 0 && command.size <= COMMAND_BYTES_MAX);
            buffer_put_string(&again, command);
            walked++;
        }
        INVARIANT(walked == count && commands.size == 0);
        INVARIANT(slice_equal(buffer_slice(&again), input));
    }
    buffer_release(&again);
}

static void try_reply(struct slice input)
{
    struct buffer again = BUFFER_INIT;
    struct forward_reply reply, back;

    if (forward_reply_decode(input, &reply) == RK_OK) {
        enum rk_status status;

        INVARIANT(reply.status != RK_OK || (reply.first_index > 0 && reply.term > 0));
        forward_reply_encode(&again, &reply);
        status = forward_reply_decode(buffer_slice(&again), &back);
        INVARIANT(status == RK_OK && back.status == reply.status);
        INVARIANT(back.first_index == reply.first_index && back.count == reply.count);
    }
    buffer_release(&again);
}

static void try_change(struct slice input)
{
    struct buffer again = BUFFER_INIT;
    struct member_change change;
    uint64_t token;

    if (change_decode(input, &token, &change) == RK_OK) {
        change_encode(&again, token, &change);
        INVARIANT(slice_equal(buffer_slice(&again), input));
    }
    buffer_release(&again);
}

static void try_change_reply(struct slice input)
{
    struct buffer again = BUFFER_INIT;
    struct change_reply reply, back;

    if (change_reply_decode(input, &reply) == RK_OK) {
        enum rk_status status;

        change_reply_encode(&again, &reply);
        status = change_reply_decode(buffer_slice(&again), &back);
        INVARIANT(status == RK_OK && back.status == reply.status && back.index == reply.index);
        INVARIANT(strcmp(back.why, reply.why) == 0);
    }
    buffer_release(&again);
}

static void try_digest(struct slice input)
{
    struct buffer again = BUFFER_INIT;
    struct state_digest digest;

    if (state_digest_decode(input, &digest) == RK_OK) {
        state_digest_encode(&again, &digest);
        INVARIANT(slice_equal(buffer_slice(&again), input));
    }
    buffer_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_forward(slice_of(data, size));
    try_reply(slice_of(data, size));
    try_change(slice_of(data, size));
    try_change_reply(slice_of(data, size));
    try_digest(slice_of(data, size));
    return 0;
}
