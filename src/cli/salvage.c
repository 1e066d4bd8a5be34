/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/salvage.h"

#include <string.h>

#include "base/heap.h"
#include "model/entry.h"

#define PREFIX "raft-log-"
#define SUFFIX ".damaged"

/* One such file, and where good entries begin in it. */
struct aside {
    struct aside *next;
    struct buffer bytes;
    size_t *offsets;
    size_t count, capacity;
};

struct search {
    fs_handle dir;
    raft_index index_max; /* nothing further is looked for */
    struct aside *first;
};

static struct entry entry_at(const struct aside *a, size_t i)
{
    struct entry entry;

    entry_parse(slice_of(a->bytes.data + a->offsets[i], a->bytes.size - a->offsets[i]), &entry);
    return entry;
}

/* Behind damage the next entry may begin at any byte. */
static void find_entries(struct aside *a, raft_index index_max)
{
    size_t at = 0;

    while (a->bytes.size - at >= ENTRY_HEADER_BYTES) {
        raft_index index = get_be64(a->bytes.data + at + 8);
        struct entry entry;
        size_t need;

        if (index == 0 || index > index_max ||
            entry_decode(slice_of(a->bytes.data + at, a->bytes.size - at), &entry, &need) !=
                ENTRY_GOOD) {
            at++;
            continue;
        }
        if (a->count == a->capacity) {
            a->capacity = a->capacity == 0 ? 1024 : 2 * a->capacity;
            a->offsets = heap_grow(a->offsets, a->capacity * sizeof a->offsets[0]);
        }
        a->offsets[a->count++] = at;
        at += entry_size(&entry);
    }
}

static void read_aside(void *context, const char *name)
{
    struct search *s = context;
    struct fs *fs = fs_posix();
    size_t size = strlen(name);
    struct aside *a;
    fs_handle file = -1;
    uint64_t bytes = 0;
    size_t got = 0;

    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 || size <= strlen(SUFFIX) ||
        strcmp(name + size - strlen(SUFFIX), SUFFIX) != 0 ||
        fs->ops->open(fs, s->dir, name, FS_READ, &file) != 0) {
        return;
    }
    a = heap_new(struct aside);
    if (fs->ops->size(fs, file, &bytes) == 0 && buffer_reserve(&a->bytes, (size_t)bytes) == RK_OK &&
        bytes > 0 && fs->ops->read(fs, file, 0, a->bytes.data, (size_t)bytes, &got) == 0) {
        a->bytes.size = got;
        find_entries(a, s->index_max);
    }
    fs->ops->close(fs, file);
    a->next = s->first;
    s->first = a;
}

static void aside_free(struct aside *a)
{
    buffer_release(&a->bytes);
    heap_free(a->offsets);
    heap_free(a);
}

/* Applies what follows the last entry in this file. */
static uint64_t follow(struct data_dir *d, const struct aside *a)
{
    struct storage_recovered *r = &d->recovered;
    uint64_t found = 0;

    for (size_t i = 0; i + 1 < a->count; i++) {
        struct entry before = entry_at(a, i);
        struct entry entry = entry_at(a, i + 1);
        struct refdb_result result;

        if (before.index != r->log_last_index || before.term != r->log_last_term ||
            entry.index != before.index + 1 || entry.term < before.term) {
            continue;
        }
        if (refdb_apply(d->db, &entry, &result) != RK_OK) {
            break;
        }
        r->log_last_index = entry.index;
        r->log_last_term = entry.term;
        found++;
    }
    return found;
}

uint64_t salvage(struct data_dir *best, const struct data_dir *all, int count)
{
    struct search s = { .first = NULL };
    struct fs *fs = fs_posix();
    uint64_t found = 0;
    uint64_t more;

    for (int i = 0; i < count; i++) {
        const struct storage_repair *repair = &all[i].recovered.repair;

        s.index_max = repair->last_index > s.index_max ? repair->last_index : s.index_max;
    }
    for (int i = 0; i < count; i++) {
        if (fs->ops->open_dir(fs, all[i].path, false, &s.dir) == 0) {
            (void)fs->ops->list(fs, s.dir, read_aside, &s);
            fs->ops->close(fs, s.dir);
        }
    }
    do {
        more = 0;
        for (const struct aside *a = s.first; a != NULL; a = a->next) {
            more += follow(best, a);
        }
        found += more;
    } while (more > 0);
    while (s.first != NULL) {
        struct aside *next = s.first->next;

        aside_free(s.first);
        s.first = next;
    }
    return found;
}
