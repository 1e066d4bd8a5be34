/* SPDX-License-Identifier: Apache-2.0 */
/*
 * At open: the newest snapshot that is whole, and a log that continues it.
 */
#include <errno.h>

#include "base/heap.h"
#include "storage/snapshot_file.h"
#include "storage/storage_internal.h"

static bool is_zero_id(const uint8_t id[CLUSTER_ID_BYTES])
{
    static const uint8_t zeros[CLUSTER_ID_BYTES];

    return memcmp(id, zeros, sizeof zeros) == 0;
}

/* Out of the way of the next ones: left under its name it would count among the two kept. */
static enum rk_status set_aside(struct storage *s, const char *name,
                                const struct snapshot_name *item, struct errmsg *why)
{
    char aside[SNAPSHOT_NAME_BYTES];
    int error;

    if (s->is_read_only) {
        return RK_OK;
    }
    snapshot_format_name(aside, item->last_index, item->last_term, ".damaged");
    error = s->fs->ops->rename(s->fs, s->dir, name, aside);
    if (error == 0) {
        error = s->fs->ops->sync_dir(s->fs, s->dir);
    }
    return error == 0 ? RK_OK : storage_error(error, why, "rename", name);
}

static enum rk_status check_one(struct storage *s, const char *name,
                                const struct snapshot_name *item, struct errmsg *why)
{
    struct snapshot_meta *meta = heap_new(struct snapshot_meta);
    const uint8_t *cluster_id = s->record.state.cluster_id;
    fs_handle file = -1;
    uint64_t first_block;
    enum rk_status status = storage_open_file(s, name, FS_READ, &file, why);

    if (status == RK_OK) {
        status = snapshot_check_file(s->fs, file, name, meta, &first_block, why);
    }
    if (status == RK_OK &&
        (meta->last_index != item->last_index || meta->last_term != item->last_term)) {
        status = RK_CORRUPT;
    }
    if (status == RK_OK && !is_zero_id(cluster_id) &&
        memcmp(cluster_id, meta->cluster_id, CLUSTER_ID_BYTES) != 0) {
        errmsg_set(why, "%s/%s belongs to another cluster than %s", s->data_dir, name, STATE_NAME);
        status = RK_FOREIGN;
    }
    storage_close_file(s, &file);
    heap_free(meta);
    return status;
}

enum rk_status snapshot_select(struct storage *s, struct storage_recovered *recovered,
                               struct errmsg *why)
{
    struct snapshot_set *set = heap_new(struct snapshot_set);
    enum rk_status status = snapshot_list(s->fs, s->dir, set, why);

    for (size_t i = 0; status == RK_OK && i < set->count; i++) {
        char name[SNAPSHOT_NAME_BYTES];

        snapshot_format_name(name, set->items[i].last_index, set->items[i].last_term, ".dat");
        status = check_one(s, name, &set->items[i], why);
        if (status == RK_OK) {
            recovered->snapshot_last_index = set->items[i].last_index;
            recovered->snapshot_last_term = set->items[i].last_term;
            break;
        }
        if (status == RK_CORRUPT) {
            recovered->snapshots_damaged++;
            status = set_aside(s, name, &set->items[i], why);
        }
    }
    heap_free(set);
    return status;
}

static void describe_gap(const struct storage *s, const struct storage_recovered *recovered,
                         const char *advice, struct errmsg *why)
{
    errmsg_set(why,
               "%s: the log begins after entry %llu, but the newest snapshot that can be read "
               "ends at %llu (%u damaged): entries between are lost here%s",
               s->data_dir, (unsigned long long)s->base.index,
               (unsigned long long)recovered->snapshot_last_index, recovered->snapshots_damaged,
               advice);
}

/* What lies behind the gap is of no use without it: all of it comes from the others again. */
static enum rk_status treat_gap(struct storage *s, struct storage_recovered *recovered,
                                struct errmsg *why)
{
    raft_index last = recovered->snapshot_last_index;
    enum rk_status status;

    if (!repair_is_possible(s)) {
        describe_gap(s, recovered, "; empty the directory and run `refkeeper member replace`", why);
        return RK_CORRUPT;
    }
    describe_gap(s, recovered, "", &recovered->damage);
    status = repair_set_aside(s, s->base.index + 1, 0, why);
    if (status != RK_OK) {
        return status;
    }
    repair_mark(s, last + 1, (struct log_base){ s->tail.index, s->tail.term });
    return log_replace(s, last, recovered->snapshot_last_term, false, why);
}

/* A received one may be in place before the term it came with was saved.  No vote of that term
 * was given then: it would have been saved before it left. */
static void raise_term(struct storage *s, raft_term term)
{
    if (term > s->record.state.current_term) {
        s->record.state.current_term = term;
        s->record.state.voted_for = 0;
    }
}

/*
 * A snapshot reaches beyond the log, or disagrees with it, only when it was received from
 * the leader and the crash came before the log was replaced: that is done now.
 */
enum rk_status snapshot_join_log(struct storage *s, struct storage_recovered *recovered,
                                 struct errmsg *why)
{
    raft_index last = recovered->snapshot_last_index;
    struct log_point point;
    enum rk_status status;

    raise_term(s, recovered->snapshot_last_term);
    if (last < s->base.index) {
        return treat_gap(s, recovered, why);
    }
    if (last == 0) {
        return RK_OK;
    }
    if (last <= s->tail.index) {
        status = log_point_at(s, last, &point, why);
        if (status != RK_OK || point.term == recovered->snapshot_last_term) {
            return status;
        }
        if (last == s->base.index) {
            errmsg_set(why,
                       "%s: the log continues entry %llu of term %llu, the snapshot ends in "
                       "term %llu",
                       s->data_dir, (unsigned long long)last, (unsigned long long)point.term,
                       (unsigned long long)recovered->snapshot_last_term);
            return RK_CORRUPT;
        }
    }
    if (s->is_read_only) {
        return RK_OK;
    }
    return log_replace(s, last, recovered->snapshot_last_term, false, why);
}
