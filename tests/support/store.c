/* SPDX-License-Identifier: Apache-2.0 */
#include "support/store.h"

#include <string.h>

#include "base/heap.h"
#include "base/rng.h"
#include "storage/snapshot.h"

enum rk_status store_open(struct store *t)
{
    struct storage_options options = {
        .fs = t->fs,
        .data_dir = t->data_dir,
        .node_name = t->node_name,
        .voters = t->voters,
        .is_read_only = t->is_read_only,
    };

    t->why.text[0] = '\0';
    return storage_open(&options, &t->s, &t->recovered, &t->why);
}

void store_close(struct store *t)
{
    storage_close(t->s);
    t->s = NULL;
}

void store_release(struct store *t)
{
    store_close(t);
    buffer_release(&t->bytes);
}

enum rk_status store_set_term(struct store *t, raft_term term, node_id vote)
{
    struct persistent_state *state = heap_copy(storage_get_state(t->s), sizeof *state);
    enum rk_status status = RK_OK;

    if (term > state->current_term) {
        state->current_term = term;
        state->voted_for = vote;
        status = storage_save_state(t->s, state, &t->why);
    }
    heap_free(state);
    return status;
}

static void fill_command(uint8_t *data, size_t size, raft_term term, raft_index index)
{
    struct rng rng;

    rng_init(&rng, term * 1000003 + index);
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = rng_next(&rng);

        memcpy(data + i, &word, size - i < 8 ? size - i : 8);
    }
}

void store_encode(struct buffer *out, raft_term term, raft_index index, size_t size)
{
    uint8_t *command = heap_alloc(size + 1);
    struct entry entry = { .term = term, .index = index, .command = slice_of(command, size) };

    fill_command(command, size, term, index);
    entry_encode(out, &entry);
    heap_free(command);
}

bool store_entry_is_genuine(const struct entry *entry)
{
    struct buffer bytes = BUFFER_INIT;
    bool is_equal;

    store_encode(&bytes, entry->term, entry->index, entry->command.size);
    is_equal = slice_equal(slice_of(bytes.data + ENTRY_HEADER_BYTES, entry->command.size),
                           entry->command);
    buffer_release(&bytes);
    return is_equal;
}

enum rk_status store_append(struct store *t, raft_term term, size_t count, size_t size)
{
    raft_index first = storage_last_index(t->s) + 1;
    struct storage_record *records = heap_alloc(count * sizeof *records);
    enum rk_status status = store_set_term(t, term, 1);

    buffer_clear(&t->bytes);
    for (size_t i = 0; i < count; i++) {
        store_encode(&t->bytes, term, first + i, size);
        records[i] = (struct storage_record){ first + i, term,
                                              (uint32_t)(ENTRY_HEADER_BYTES + size) };
    }
    if (status == RK_OK) {
        status = storage_append(t->s, buffer_slice(&t->bytes), records, count, &t->why);
    }
    heap_free(records);
    return status;
}

enum rk_status store_append_sync(struct store *t, raft_term term, size_t count, size_t size)
{
    enum rk_status status = store_append(t, term, count, size);

    return status == RK_OK ? storage_sync(t->s, &t->why) : status;
}

/* ---- Snapshots ---- */

/* Half noise, half repetition, so that blocks of both kinds appear. */
static void fill_state(struct buffer *out, raft_index index, size_t size)
{
    struct rng rng;

    rng_init(&rng, index);
    for (size_t i = 0; i < size; i++) {
        bool is_noise = (i / (300 * KIB)) % 2 == 1;

        buffer_put_u8(out, is_noise ? (uint8_t)rng_next(&rng) : (uint8_t)(index + i % 50));
    }
}

enum rk_status store_snapshot(struct store *t, raft_index index, raft_term term, size_t size)
{
    struct snapshot_meta *meta = heap_new(struct snapshot_meta);
    struct snapshot_writer *w = NULL;
    struct buffer bytes = BUFFER_INIT;
    enum rk_status status;

    meta->last_index = index;
    meta->last_term = term;
    fill_state(&bytes, index, size);
    status = snapshot_writer_open(t->fs, t->data_dir, meta, &w, &t->why);
    if (status == RK_OK) {
        status = snapshot_writer_put(w, buffer_slice(&bytes), &t->why);
        if (status == RK_OK) {
            status = snapshot_writer_commit(w, &t->why);
        } else {
            snapshot_writer_abort(w);
        }
    }
    buffer_release(&bytes);
    heap_free(meta);
    return status;
}

static enum rk_status read_state(struct store *t, struct snapshot_reader *r, struct buffer *out)
{
    struct slice bytes = SLICE_NONE;
    enum rk_status status;

    do {
        status = snapshot_reader_next(r, &bytes, &t->why);
        if (status == RK_OK) {
            buffer_put_slice(out, bytes);
        }
    } while (status == RK_OK && bytes.size > 0);
    return status;
}

enum rk_status store_check_snapshot(struct store *t, raft_index index, raft_term term,
                                    size_t *ret_size)
{
    struct snapshot_meta *meta = heap_new(struct snapshot_meta);
    struct snapshot_reader *r = NULL;
    struct buffer found = BUFFER_INIT;
    struct buffer expected = BUFFER_INIT;
    enum rk_status status = snapshot_reader_open(t->fs, t->data_dir, index, term, meta, &r,
                                                 &t->why);

    if (status == RK_OK) {
        status = read_state(t, r, &found);
    }
    if (status == RK_OK) {
        fill_state(&expected, index, found.size);
        *ret_size = found.size;
        if (meta->last_index != index || meta->last_term != term ||
            !slice_equal(buffer_slice(&found), buffer_slice(&expected))) {
            errmsg_set(&t->why, "the snapshot is not what was written");
            status = RK_CORRUPT;
        }
    }
    snapshot_reader_close(r);
    buffer_release(&found);
    buffer_release(&expected);
    heap_free(meta);
    return status;
}
