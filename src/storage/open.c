/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing a data directory: lock, what is there, whose it is, recovery.
 */
#include <errno.h>

#include "base/assert.h"
#include "base/heap.h"
#include "base/teeth.h"
#include "storage/storage_internal.h"
#include "sys/entropy.h"

/* What the directory holds. */
struct listing {
    struct storage *s;
    bool has_ours; /* any file of ours, temporary ones aside */
    bool has_state;
    int error; /* of removing a left-over */
};

static bool name_ends_with(const char *name, const char *end)
{
    size_t size = strlen(name);
    size_t end_size = strlen(end);

    return size >= end_size && strcmp(name + size - end_size, end) == 0;
}

/* Temporary files are what a crash left of something that never came to count.  Unfinished
 * .part files stay: a transfer may go on where it was cut. */
static void list_name(void *context, const char *name)
{
    struct listing *l = context;
    struct storage *s = l->s;

    if (strncmp(name, "raft-", 5) != 0) {
        return;
    }
    if (name_ends_with(name, ".part")) {
        return;
    }
    if (name_ends_with(name, ".tmp")) {
        if (!s->is_read_only && l->error == 0) {
            l->error = s->fs->ops->unlink(s->fs, s->dir, name);
        }
        return;
    }
    l->has_ours = true;
    l->has_state = l->has_state || strcmp(name, STATE_NAME) == 0;
}

/* Names seen here may not have reached the disk yet when a process, not the machine, died. */
static enum rk_status list_directory(struct storage *s, struct listing *l, struct errmsg *why)
{
    int error;

    *l = (struct listing){ .s = s };
    error = s->fs->ops->list(s->fs, s->dir, list_name, l);
    if (error == 0) {
        error = l->error;
    }
    if (error == 0 && !s->is_read_only) {
        error = s->fs->ops->sync_dir(s->fs, s->dir);
    }
    return error == 0 ? RK_OK : storage_error(error, why, "list", s->data_dir);
}

static enum rk_status open_directory(struct storage *s, struct errmsg *why)
{
    int error = s->fs->ops->open_dir(s->fs, s->data_dir, !s->is_read_only, &s->dir);

    if (error == EPERM) {
        errmsg_set(why,
                   "%s must belong to the user of this process and be closed to others: "
                   "chmod 700, and chown if need be",
                   s->data_dir);
        return RK_CONFIG;
    }
    if (error == ENOENT) {
        errmsg_set(why, "%s does not exist", s->data_dir);
        return RK_NOT_FOUND;
    }
    if (error != 0) {
        return storage_error(error, why, "open directory", s->data_dir);
    }
    error = s->is_read_only ? 0 : s->fs->ops->lock(s->fs, s->dir);
    if (error == EWOULDBLOCK) {
        errmsg_set(why, "%s is in use by another process", s->data_dir);
        return RK_LOCKED;
    }
    return error == 0 ? RK_OK : storage_error(error, why, "lock", s->data_dir);
}

/* ---- First start ---- */

/* The state file comes first and says that the others may be missing still.  From then on a
 * missing file is damage. */
static enum rk_status mint_state(struct storage *s, const struct storage_options *options,
                                 struct errmsg *why)
{
    struct persistent_state *state = &s->record.state;

    if (strlen(options->node_name) > NODE_NAME_BYTES_MAX) {
        errmsg_set(why, "the node name is longer than %d bytes", NODE_NAME_BYTES_MAX);
        return RK_CONFIG;
    }
    s->record.flags = STATE_IS_INITIALISING;
    s->record.checkpoint.hash = log_point_base(0, 0).hash;
    memcpy(state->node_name, options->node_name, strlen(options->node_name) + 1);
    state->id = options->id;
    state->incarnation = entropy_u64();
    state->format_version = STORAGE_FORMAT_VERSION;
    return state_create(s, why);
}

static enum rk_status create_file(struct storage *s, const char *name, struct errmsg *why)
{
    fs_handle file = -1;
    enum rk_status status = storage_open_file(s, name, FS_WRITE | FS_CREATE, &file, why);
    int error;

    if (status != RK_OK) {
        return status;
    }
    error = s->fs->ops->datasync(s->fs, file);
    storage_close_file(s, &file);
    return error == 0 ? RK_OK : storage_error(error, why, "create", name);
}

static enum rk_status create_files(struct storage *s, struct errmsg *why)
{
    enum rk_status status = create_file(s, LOG_NAME, why);
    int error;

    if (status == RK_OK) {
        status = create_file(s, INDEX_NAME, why);
    }
    if (status != RK_OK) {
        return status;
    }
    error = s->fs->ops->sync_dir(s->fs, s->dir);
    return error == 0 ? RK_OK : storage_error(error, why, "sync", s->data_dir);
}

/* ---- Identity ---- */

static enum rk_status check_identity(const struct storage *s, const struct storage_options *options,
                                     struct errmsg *why)
{
    const struct persistent_state *state = &s->record.state;

    if (options->node_name != NULL && strcmp(options->node_name, state->node_name) != 0) {
        errmsg_set(why,
                   "%s belongs to node \"%s\", not to \"%s\": start it under that name, or "
                   "give this node a directory of its own",
                   s->data_dir, state->node_name, options->node_name);
        return RK_FOREIGN;
    }
    if (options->id != 0 && state->id != 0 && options->id != state->id) {
        errmsg_set(why, "%s belongs to member %llu (\"%s\"), not to member %llu", s->data_dir,
                   (unsigned long long)state->id, state->node_name,
                   (unsigned long long)options->id);
        return RK_FOREIGN;
    }
    return RK_OK;
}

static enum rk_status load_or_mint(struct storage *s, const struct storage_options *options,
                                   struct storage_recovered *recovered, struct errmsg *why)
{
    struct listing l;
    enum rk_status status = list_directory(s, &l, why);

    if (status != RK_OK) {
        return status;
    }
    if (l.has_state) {
        status = state_load(s, &recovered->is_state_repaired, why);
        if (status == RK_OK) {
            atomic_store(&s->is_repairing, s->record.repair.last_index != 0);
            status = check_identity(s, options, why);
        }
    } else if (l.has_ours) {
        errmsg_set(why,
                   "%s/%s is missing beside files of a member: its term and vote are lost; empty "
                   "the directory and run `refkeeper member replace` for it",
                   s->data_dir, STATE_NAME);
        return RK_CORRUPT;
    } else if (s->is_read_only) {
        errmsg_set(why, "%s holds no files of refkeeper", s->data_dir);
        return RK_NOT_FOUND;
    } else {
        status = mint_state(s, options, why);
    }
    if (status == RK_OK && (s->record.flags & STATE_IS_INITIALISING) != 0) {
        recovered->is_new = true;
        status = s->is_read_only ? RK_OK : create_files(s, why);
    }
    return status;
}

/* ---- Open and close ---- */

/* The neighbours on a full disk left nothing behind the log: the reserve does. */
static enum rk_status hold_for_terms(struct storage *s, struct errmsg *why)
{
    const uint64_t bytes = LOG_TERM_BYTES_MIN + LOG_TERM_ENTRIES_MIN * INDEX_RECORD_BYTES;
    enum rk_status status = reserve_hold_for_terms(s, why);

    if (status == RK_NOSPACE && reserve_give_back(s, bytes + 4 * SECTOR_BYTES)) {
        status = reserve_hold_for_terms(s, why);
    }
    return status == RK_NOSPACE ? RK_OK : status;
}

static enum rk_status open_steps(struct storage *s, const struct storage_options *options,
                                 struct storage_recovered *recovered, struct errmsg *why)
{
    enum rk_status status = open_directory(s, why);

    if (status == RK_OK) {
        status = load_or_mint(s, options, recovered, why);
    }
    if (status == RK_OK) {
        status = snapshot_select(s, recovered, why);
    }
    if (status == RK_OK) {
        status = log_recover(s, recovered, why);
    }
    if (status == RK_OK) {
        status = snapshot_join_log(s, recovered, why);
    }
    if (status == RK_OK && !s->is_read_only) {
        status = hold_for_terms(s, why);
    }
    if (status == RK_OK && !s->is_read_only) {
        if (TOOTH(TERM_FORGOTTEN)) {
            s->record.state.current_term = 0;
            s->record.state.voted_for = 0;
        }
        s->record.flags = 0;
        s->record.state.boot_count++;
        (void)repair_settle(s, &s->tail);
        status = state_save(s, why);
        if (status == RK_OK && s->record.repair.last_index == 0) {
            repair_drop_aside(s);
        }
    }
    return status;
}

static void storage_free(struct storage *s)
{
    if (s->files != NULL) {
        mutex_lock(&s->lock);
        log_files_unref_locked(s, s->files);
        mutex_unlock(&s->lock);
    }
    storage_close_file(s, &s->state_file);
    storage_close_file(s, &s->reserve.file);
    storage_close_file(s, &s->dir);
    buffer_release(&s->index_pending);
    mutex_release(&s->lock);
    heap_free(s->anchors);
    heap_free(s->data_dir);
    heap_free(s);
}

static void fill_recovered(const struct storage *s, struct storage_recovered *recovered)
{
    recovered->state = s->record.state;
    recovered->log_first_index = s->base.index + 1;
    recovered->log_last_index = s->tail.index;
    recovered->log_last_term = s->tail.term;
    recovered->log_bytes = s->tail.end;
    recovered->repair = s->record.repair;
}

static enum rk_status open_once(const struct storage_options *options, struct storage **ret_storage,
                                struct storage_recovered *recovered, bool *ret_again,
                                struct errmsg *why)
{
    struct storage *s = heap_new(struct storage);
    enum rk_status status;

    s->fs = options->fs;
    s->data_dir = heap_copy_text(options->data_dir, strlen(options->data_dir));
    s->dir = -1;
    s->state_file = -1;
    s->reserve.file = -1;
    s->is_read_only = options->is_read_only;
    s->voters = options->voters;
    s->can_allocate = true;
    mutex_init(&s->lock);
    status = open_steps(s, options, recovered, why);
    *ret_again = status == RK_NOSPACE && !s->is_read_only && reserve_give_back(s, UINT64_MAX);
    if (status == RK_OK) {
        fill_recovered(s, recovered);
        *ret_storage = s;
    } else {
        storage_free(s);
    }
    return status;
}

/* On a full disk the reserve makes room for what opening writes. */
enum rk_status storage_open(const struct storage_options *options, struct storage **ret_storage,
                            struct storage_recovered *ret_recovered, struct errmsg *why)
{
    struct storage_recovered *recovered = heap_new(struct storage_recovered);
    bool is_again = false;
    enum rk_status status;

    PRE(options->is_read_only || options->node_name != NULL);
    status = open_once(options, ret_storage, recovered, &is_again, why);
    if (is_again) {
        *recovered = (struct storage_recovered){ 0 };
        status = open_once(options, ret_storage, recovered, &is_again, why);
    }
    if (status == RK_OK) {
        *ret_recovered = *recovered;
    }
    heap_free(recovered);
    return status;
}

/* Others may have it, unless the next start could not get it again. */
static int give_space_back(struct storage *s)
{
    const struct fs_ops *ops = s->fs->ops;
    uint64_t index_bytes = (s->tail.index - s->base.index) * INDEX_RECORD_BYTES;
    int error;

    if (!reserve_has_plenty(s)) {
        return 0;
    }
    error = ops->truncate(s->fs, s->files->index, index_bytes);
    return error == 0 ? ops->truncate(s->fs, s->files->log, s->tail.end) : error;
}

/* Makes everything a witness; a failure costs only that. */
static void close_cleanly(struct storage *s)
{
    const struct fs_ops *ops = s->fs->ops;

    if (storage_sync(s, NULL) != RK_OK || give_space_back(s) != 0 ||
        ops->datasync(s->fs, s->files->index) != 0 || ops->datasync(s->fs, s->files->log) != 0) {
        return;
    }
    s->record.checkpoint = (struct checkpoint){ s->tail.index, s->tail.term, s->tail.hash };
    (void)!state_save(s, NULL);
}

void storage_close(struct storage *s)
{
    if (s == NULL) {
        return;
    }
    if (!s->is_read_only && !atomic_load(&s->is_failed)) {
        close_cleanly(s);
    }
    storage_free(s);
}
