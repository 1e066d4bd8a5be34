/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/agent_intake.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/heap.h"
#include "cli/agent_wire.h"
#include "cli/process.h"
#include "sys/clock.h"

#define GIT_MS (10 * 60 * 1000)
#define FILES_MAX 8 /* of a pack: .pack, .idx, and .rev of newer gits */
#define FOLDER_NAME "tmp_objdir-refkeeper-XXXXXX"

/* One git command that was started before its input came. */
struct helper {
    struct process process;
    const char *argv[16];
    struct buffer input;
};

struct intake {
    char *git_dir;
    char *folder;           /* objects/tmp_objdir-... */
    char *objects, *others; /* NAME=VALUE: where git writes, and where it looks, too */
    const char *environment[4];
    struct helper index, check, pin;
    bool is_fed;
    bool is_synced;
    struct errmsg why_not_synced;
    char *files[FILES_MAX]; /* of the pack; the index last: with it the pack is seen */
    size_t file_count;
};

/* ---- The folder ---- */

static char *join(const char *a, const char *b, const char *c)
{
    struct buffer path = BUFFER_INIT;
    char *text;

    buffer_printf(&path, "%s%s%s", a, b, c);
    text = heap_copy_text(path.data, path.size);
    buffer_release(&path);
    return text;
}

/* As git reads lists of folders: one in quotes may have colons.  [git(1)] */
static char *quote_others(const char *objects)
{
    const char *more = getenv("GIT_ALTERNATE_OBJECT_DIRECTORIES");
    struct buffer out = BUFFER_INIT;
    char *text;

    buffer_printf(&out, "GIT_ALTERNATE_OBJECT_DIRECTORIES=\"");
    for (const char *p = objects; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\') {
            buffer_put_u8(&out, '\\');
        }
        buffer_put_u8(&out, (uint8_t)*p);
    }
    buffer_printf(&out, "\"%s%s", more == NULL ? "" : ":", more == NULL ? "" : more);
    text = heap_copy_text(out.data, out.size);
    buffer_release(&out);
    return text;
}

static bool make_folder(struct intake *in, struct errmsg *why)
{
    char place[PATH_MAX];
    char *objects = NULL, *pack = NULL;
    bool is_ok = realpath(in->git_dir, place) != NULL;

    if (is_ok) {
        objects = join(place, "/objects", "");
        in->folder = join(objects, "/", FOLDER_NAME);
        is_ok = mkdtemp(in->folder) != NULL;
    }
    if (is_ok) {
        pack = join(in->folder, "/pack", "");
        is_ok = mkdir(pack, 0777) == 0;
        in->objects = join("GIT_OBJECT_DIRECTORY=", in->folder, "");
        in->others = quote_others(objects);
    }
    if (!is_ok) {
        errmsg_set(why, "make a folder for a pack in %s/objects: %s", in->git_dir, strerror(errno));
    }
    heap_free(objects);
    heap_free(pack);
    return is_ok;
}

static void remove_folder(const struct intake *in)
{
    char *pack = join(in->folder, "/pack", "");
    const struct dirent *entry;
    DIR *folder = opendir(pack);

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] != '.') {
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    (void)rmdir(pack);
    (void)rmdir(in->folder);
    heap_free(pack);
}

/* ---- The programs ---- */

static bool start(struct intake *in, struct helper *h, const char *const *words, struct errmsg *why)
{
    size_t n = 0;

    if (h->process.pid != 0) {
        return true;
    }
    h->argv[n++] = "git";
    h->argv[n++] = "--git-dir";
    h->argv[n++] = in->git_dir;
    while (*words != NULL && n + 1 < sizeof h->argv / sizeof h->argv[0]) {
        h->argv[n++] = *words++;
    }
    h->argv[n] = NULL;
    h->process =
        (struct process){ .argv = h->argv, .environment = in->environment, .awaits_input = true };
    return process_start(&h->process, why) == RK_OK;
}

/* For a few objects threads cost more than they save. */
static bool start_index(struct intake *in, bool is_small, struct errmsg *why)
{
    static const char *const small[] = { "-c",         "core.fsync=none", "index-pack", "--stdin",
                                         "--fix-thin", "--threads=1",     NULL };
    static const char *const large[] = { "-c",      "core.fsync=none", "index-pack",
                                         "--stdin", "--fix-thin",      NULL };

    return start(in, &in->index, is_small ? small : large, why);
}

/* Down to what has landed: pins prove less, they are not synced. */
static bool start_check(struct intake *in, struct errmsg *why)
{
    static const char *const words[] = { "rev-list", "--objects",
                                         "--stdin",  "--exclude=" COPY_PINS "*",
                                         "--not",    "--all",
                                         "--quiet",  NULL };

    return start(in, &in->check, words, why);
}

static bool start_pin(struct intake *in, struct errmsg *why)
{
    static const char *const words[] = { "-c", "core.hooksPath=/dev/null", "update-ref", "--stdin",
                                         NULL };

    return start(in, &in->pin, words, why);
}

static bool finish(struct helper *h, const char *name, struct errmsg *why)
{
    h->process.input = buffer_slice(&h->input);
    h->process.deadline_ms = clock_monotonic_ms() + GIT_MS;
    if (process_finish(&h->process, why) != RK_OK) {
        return false;
    }
    if (h->process.exit_code != 0) {
        errmsg_set(why, "git %s: %s", name, process_last_words(&h->process));
        return false;
    }
    return true;
}

/* What it was given so far. */
static bool feed(struct helper *h, const char *name, struct errmsg *why)
{
    h->process.deadline_ms = clock_monotonic_ms() + GIT_MS;
    if (!process_feed(&h->process, h->input.data, h->input.size)) {
        (void)finish(h, name, why);
        return false;
    }
    buffer_clear(&h->input);
    return true;
}

/* It said that it is done; that it ends is waited for when the push was answered. */
static bool await(struct helper *h, const char *line, const char *name, struct errmsg *why)
{
    h->process.input = buffer_slice(&h->input);
    h->process.deadline_ms = clock_monotonic_ms() + GIT_MS;
    return process_await(&h->process, line) || finish(h, name, why);
}

static void release_helper(struct helper *h)
{
    /* The end of its input ends each; one that is killed may leave locks behind. */
    if (h->process.pid != 0) {
        h->process.input = SLICE_NONE;
        h->process.deadline_ms = clock_monotonic_ms() + GIT_MS;
        (void)!process_finish(&h->process, NULL);
    }
    process_release(&h->process);
    buffer_release(&h->input);
}

/* ---- The pack ---- */

bool intake_expect(struct intake *in, uint64_t size, struct errmsg *why)
{
    if (size <= AGENT_SMALL_PACK_BYTES) {
        return true;
    }
    release_helper(&in->index);
    in->index = (struct helper){ .process = { .argv = NULL } };
    return start_index(in, false, why);
}

bool intake_feed(struct intake *in, const void *data, size_t size)
{
    in->is_fed = true;
    in->index.process.deadline_ms = clock_monotonic_ms() + GIT_MS;
    return process_feed(&in->index.process, data, size);
}

static bool list_files(struct intake *in, struct errmsg *why)
{
    char *pack = join(in->folder, "/pack", "");
    const struct dirent *entry;
    DIR *folder = opendir(pack);

    while (folder != NULL && (entry = readdir(folder)) != NULL && in->file_count < FILES_MAX) {
        if (strncmp(entry->d_name, "pack-", 5) == 0) {
            in->files[in->file_count++] = heap_copy_text(entry->d_name, strlen(entry->d_name));
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    heap_free(pack);
    for (size_t i = 0; i < in->file_count; i++) {
        char *name = in->files[i], *last = in->files[in->file_count - 1];

        if (strcmp(name + strlen(name) - 4, ".idx") == 0) {
            in->files[i] = last;
            in->files[in->file_count - 1] = name;
            return true;
        }
    }
    errmsg_set(why, "git index-pack made no index");
    return false;
}

static void start_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
        (void)close(fd);
    }
}

static bool sync_place(const char *path, int flags, struct errmsg *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    bool is_ok = fd >= 0 && fsync(fd) == 0;

    if (!is_ok) {
        errmsg_set(why, "sync %s: %s", path, strerror(errno));
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return is_ok;
}

/* All are on their way before the first is waited for. */
static void *sync_pack(void *intake)
{
    struct intake *in = intake;

    in->is_synced = true;
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < in->file_count && in->is_synced; i++) {
            char *path = join(in->folder, "/pack/", in->files[i]);

            if (pass == 0) {
                start_sync(path);
            } else {
                in->is_synced = sync_place(path, 0, &in->why_not_synced);
            }
            heap_free(path);
        }
    }
    return NULL;
}

/* One of the same name has the same bytes. */
static bool move_file(const struct intake *in, const char *name, struct errmsg *why)
{
    char *from = join(in->folder, "/pack/", name);
    char *to = join(in->folder, "/../pack/", name);
    bool is_ok = rename(from, to) == 0;

    if (!is_ok) {
        errmsg_set(why, "move %s to %s/objects/pack: %s", name, in->git_dir, strerror(errno));
    }
    heap_free(from);
    heap_free(to);
    return is_ok;
}

static bool move_pack(const struct intake *in, struct errmsg *why)
{
    char *place = join(in->folder, "/../pack", "");
    bool is_ok = true;

    for (size_t i = 0; i < in->file_count && is_ok; i++) {
        is_ok = move_file(in, in->files[i], why);
    }
    is_ok = is_ok && (in->file_count == 0 || sync_place(place, O_DIRECTORY, why));
    heap_free(place);
    return is_ok;
}

/* ---- What counts as taken ---- */

static bool start_walk(struct intake *in, const struct slice *ids, uint32_t count,
                       struct errmsg *why)
{
    for (uint32_t i = 0; i < count; i++) {
        buffer_printf(&in->check.input, "%.*s\n", (int)ids[i].size, (const char *)ids[i].data);
    }
    if (!feed(&in->check, "rev-list", why)) {
        return false;
    }
    process_end_input(&in->check.process);
    return true;
}

/* Without folders of their own: making one takes longer than all the rest.  Not synced: after a
 * power cut the objects are too young to be pruned, pinned or not. */
static bool prepare_pins(struct intake *in, const struct slice *ids, uint32_t count,
                         struct slice push, struct errmsg *why)
{
    buffer_printf(&in->pin.input, "start\n");
    for (uint32_t i = 0; i < count; i++) {
        buffer_printf(&in->pin.input, "update " COPY_PINS "%" PRId64 "-%.*s-%" PRIu32 " %.*s\n",
                      clock_wall_ms() / 1000, (int)push.size, (const char *)push.data, i,
                      (int)ids[i].size, (const char *)ids[i].data);
    }
    buffer_printf(&in->pin.input, "prepare\n");
    return feed(&in->pin, "update-ref", why);
}

/* On a thread of its own the disk works from the start, whatever becomes of the processors. */
static bool check_and_sync(struct intake *in, const struct slice *ids, uint32_t count,
                           struct slice push, struct errmsg *why)
{
    pthread_t sync;
    bool has_thread = in->file_count > 0 && pthread_create(&sync, NULL, sync_pack, in) == 0;
    bool is_whole = start_walk(in, ids, count, why) && prepare_pins(in, ids, count, push, why) &&
                    finish(&in->check, "rev-list", why);

    if (has_thread) {
        (void)pthread_join(sync, NULL);
    } else {
        (void)sync_pack(in);
    }
    if (is_whole && !in->is_synced) {
        *why = in->why_not_synced;
    }
    return is_whole && in->is_synced;
}

bool intake_take(struct intake *in, const struct slice *ids, uint32_t count, struct slice push,
                 struct errmsg *why)
{
    process_end_input(&in->index.process);
    /* The other two start while the first works. */
    if (!intake_start_rest(in, why)) {
        return false;
    }
    if (in->is_fed && (!await(&in->index, "pack\t", "index-pack", why) || !list_files(in, why))) {
        return false;
    }
    if (!check_and_sync(in, ids, count, push, why) || !move_pack(in, why)) {
        return false;
    }
    buffer_printf(&in->pin.input, "commit\n");
    return await(&in->pin, "commit: ok", "update-ref", why);
}

/* ---- An intake ---- */

struct intake *intake_new(const char *git_dir, struct errmsg *why)
{
    struct intake *in = heap_new(struct intake);

    in->git_dir = heap_copy_text(git_dir, strlen(git_dir));
    if (!make_folder(in, why)) {
        intake_close(in);
        return NULL;
    }
    in->environment[0] = "LC_ALL=C";
    in->environment[1] = in->objects;
    in->environment[2] = in->others;
    if (!start_index(in, true, why)) {
        intake_close(in);
        return NULL;
    }
    return in;
}

bool intake_start_rest(struct intake *in, struct errmsg *why)
{
    return start_check(in, why) && start_pin(in, why);
}

bool intake_is_of(const struct intake *in, const char *git_dir)
{
    return strcmp(in->git_dir, git_dir) == 0;
}

bool intake_is_usable(const struct intake *in)
{
    return access(in->folder, F_OK) == 0 && process_is_running(&in->index.process) &&
           process_is_running(&in->check.process) && process_is_running(&in->pin.process);
}

void intake_close(struct intake *in)
{
    if (in == NULL) {
        return;
    }
    release_helper(&in->index);
    release_helper(&in->check);
    release_helper(&in->pin);
    if (in->folder != NULL) {
        remove_folder(in);
    }
    for (size_t i = 0; i < in->file_count; i++) {
        heap_free(in->files[i]);
    }
    heap_free(in->git_dir);
    heap_free(in->folder);
    heap_free(in->objects);
    heap_free(in->others);
    heap_free(in);
}
