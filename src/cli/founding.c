/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/founding.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/heap.h"
#include "model/command.h"
#include "storage/storage.h"
#include "sys/entropy.h"

/* ---- Reading a snapshot ---- */

static enum rk_status load_state(struct snapshot_reader *reader, struct refdb **ret_db,
                                 struct errmsg *why)
{
    struct refdb_loader *loader = refdb_loader_new();
    struct slice bytes;
    enum rk_status status;

    do {
        status = snapshot_reader_next(reader, &bytes, why);
        if (status == RK_OK && bytes.size > 0) {
            status = refdb_loader_put(loader, bytes);
        }
    } while (status == RK_OK && bytes.size > 0);
    if (status == RK_OK) {
        return refdb_loader_finish(loader, ret_db);
    }
    refdb_loader_free(loader);
    return status;
}

enum rk_status founding_load(const char *file, struct snapshot_meta *ret_meta,
                             struct refdb **ret_db, struct errmsg *why)
{
    const char *slash = strrchr(file, '/');
    const char *base = slash == NULL ? file : slash + 1;
    char *dir = slash == NULL   ? heap_copy_text(".", 1)
                : slash == file ? heap_copy_text("/", 1)
                                : heap_copy_text(file, (size_t)(slash - file));
    struct snapshot_reader *reader = NULL;
    raft_index index = 0;
    raft_term term = 0;
    enum rk_status status = RK_BADARG;
    int used = 0;

    if (sscanf(base, "raft-snapshot-%" SCNu64 "-%" SCNu64 ".dat%n", &index, &term, &used) != 2 ||
        used == 0 || base[used] != '\0') {
        errmsg_set(why, "%s is not named raft-snapshot-<index>-<term>.dat", file);
    } else {
        status = snapshot_reader_open(fs_posix(), dir, index, term, ret_meta, &reader, why);
    }
    if (status == RK_OK) {
        status = load_state(reader, ret_db, why);
        snapshot_reader_close(reader);
    }
    heap_free(dir);
    return status;
}

/* ---- Writing ---- */

/* The membership entry that founds the cluster, applied like any other. */
static enum rk_status found(struct founding *f, struct refdb *db, uint64_t incarnation)
{
    struct snapshot_meta *meta = &f->meta;
    struct buffer command = BUFFER_INIT;
    struct refdb_result result;
    struct entry entry;
    struct member self = { .incarnation = incarnation, .flags = MEMBER_VOTES };
    raft_index index = 0;
    const struct membership *old = refdb_membership(db, &index);
    uint32_t level = old == NULL ? 0 : old->feature_level;
    enum rk_status status;

    *meta = (struct snapshot_meta){ .last_index = f->last_index + FOUNDING_INDEX_STEP,
                                    .last_term = f->term_seen + 1 };
    meta->membership_index = meta->last_index;
    self.id = MEMBER_ID_AT(meta->last_index);
    snprintf(self.name, sizeof self.name, "%s", f->name);
    snprintf(self.peer_address, sizeof self.peer_address, "%s", f->peer_address);
    entropy_fill(meta->cluster_id, CLUSTER_ID_BYTES);
    meta->membership.feature_level = level;
    meta->feature_level = level;
    memcpy(meta->membership.cluster_id, meta->cluster_id, CLUSTER_ID_BYTES);
    POST(membership_add(&meta->membership, &self) == RK_OK);
    command_encode_membership(&command, &meta->membership);
    refdb_advance(db, meta->last_index - 1, meta->last_term);
    entry = (struct entry){ .term = meta->last_term, .index = meta->last_index };
    entry.command = buffer_slice(&command);
    status = refdb_apply(db, &entry, &result);
    buffer_release(&command);
    return status;
}

static enum rk_status write_snapshot(const struct founding *f, struct refdb *db, struct errmsg *why)
{
    struct refdb_view *view = refdb_freeze(db);
    struct snapshot_writer *writer = NULL;
    struct buffer bytes = BUFFER_INIT;
    enum rk_status status = snapshot_writer_open(fs_posix(), f->to, &f->meta, &writer, why);

    while (status == RK_OK) {
        buffer_clear(&bytes);
        refdb_dump_next(view, &bytes);
        if (bytes.size == 0) {
            break;
        }
        status = snapshot_writer_put(writer, buffer_slice(&bytes), why);
    }
    if (status == RK_OK) {
        status = snapshot_writer_commit(writer, why);
    } else {
        snapshot_writer_abort(writer);
    }
    buffer_release(&bytes);
    refdb_thaw(db, view);
    return status;
}

static enum rk_status save_identity(const struct founding *f, struct storage *s,
                                    const struct persistent_state *minted, struct errmsg *why)
{
    struct persistent_state *state = heap_copy(minted, sizeof *minted);
    enum rk_status status;

    state->current_term = f->meta.last_term;
    state->feature_level = f->meta.feature_level;
    state->id = f->meta.membership.members[0].id;
    memcpy(state->cluster_id, f->meta.cluster_id, CLUSTER_ID_BYTES);
    state->committed_membership = state->latest_membership = f->meta.membership;
    state->committed_membership_index = state->latest_membership_index = f->meta.membership_index;
    status = storage_save_state(s, state, why);
    heap_free(state);
    return status;
}

enum rk_status founding_write(struct founding *f, struct refdb *db, struct errmsg *why)
{
    struct storage_options options = { .fs = fs_posix(), .data_dir = f->to, .node_name = f->name };
    struct storage_recovered *minted = heap_new(struct storage_recovered);
    struct storage *s = NULL;
    enum rk_status status = storage_open(&options, &s, minted, why);

    if (status == RK_OK && !minted->is_new) {
        errmsg_set(why, "%s is a data directory already", f->to);
        status = RK_EXISTS;
    }
    if (status == RK_OK) {
        status = found(f, db, minted->state.incarnation);
    }
    if (status == RK_OK) {
        status = write_snapshot(f, db, why);
    }
    if (status == RK_OK) {
        status = save_identity(f, s, &minted->state, why);
    }
    if (status == RK_OK) {
        status = storage_install(s, f->meta.last_index, f->meta.last_term, false, why);
    }
    storage_close(s);
    heap_free(minted);
    return status;
}
