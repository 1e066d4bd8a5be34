/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refkeeper hook reference-transaction: nothing changes a ref on this disk that the cluster did
 * not decide.  [githooks(5); DESIGN 9]
 *
 * Our own update-ref carries a token and passes.  Anybody else's change passes only if the
 * cluster's value is already the new one, so that a repair may catch up and a stranger may not
 * run ahead.  What the cluster's filter leaves to git passes, too.  What changes nothing passes
 * unasked; git's own maintenance is made of that:
 *
 *   packing           creates each ref in packed-refs with the value it has, then deletes the
 *                     loose file: a deletion without packed-refs.lock, which no real one lacks
 *   verify            looks like a deletion, and does not take that lock either
 *   nested deletions  "0 0 ref", once more for the same ref: the same answer
 *   HEAD and symrefs  not decided by the cluster's refs; skipped
 *
 * Only "prepared" is judged: all locks are held, and every version of git has it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "cli/git_refs.h"
#include "cli/hook.h"
#include "cli/hook_place.h"
#include "cli/tracked_refs.h"
#include "cli/verbs.h"
#include "model/oid.h"
#include "sys/clock.h"

#define GUARD_CLUSTER_MS 5000
#define GUARD_GIT_MS 30000
#define INPUT_BYTES_MAX (256 * 1024 * 1024) /* lines of one transaction */
#define ASKED_ONE_BY_ONE_MAX 32             /* more refs than this are read as lists */
#define TOLD_MAX 10                         /* refused refs that are named */

struct guarded {
    const char *name;
    const char *new_oid; /* NULL = deleted */
    bool is_agreed;      /* the cluster has the new value */
};

struct guard {
    struct hook_place place;
    struct buffer input;
    struct guarded *refs;
    size_t count, capacity;
};

static enum rk_status read_input(struct buffer *input, struct errmsg *why)
{
    uint8_t piece[64 * 1024];
    ssize_t size;

    for (;;) {
        size = read(STDIN_FILENO, piece, sizeof piece);
        if (size == 0) {
            buffer_put_u8(input, '\0');
            return RK_OK;
        }
        if (size < 0 && errno != EINTR) {
            errmsg_set(why, "read the transaction: %s", strerror(errno));
            return RK_IO;
        }
        if (size > 0 && input->size + (size_t)size > INPUT_BYTES_MAX) {
            errmsg_set(why, "a transaction of over %d MiB", INPUT_BYTES_MAX / 1024 / 1024);
            return RK_TOOLARGE;
        }
        if (size > 0) {
            buffer_put(input, piece, (size_t)size);
        }
    }
}

static bool is_null_text(const char *oid)
{
    return oid[strspn(oid, "0")] == '\0';
}

/* Symbolic refs, HEAD, and what is this storage's own business. */
static bool is_ours(const char *old_oid, const char *new_oid, const char *name)
{
    return strncmp(name, "refs/", 5) == 0 && strncmp(name, "refs/refkeeper/", 15) != 0 &&
           strncmp(old_oid, "ref:", 4) != 0 && strncmp(new_oid, "ref:", 4) != 0;
}

/* "old SP new SP name" per line; the names of later lines stay valid. */
static enum rk_status parse(struct guard *g, struct errmsg *why)
{
    char *at = (char *)g->input.data;

    while (*at != '\0') {
        char *line = at;
        size_t size = strcspn(line, "\n");
        char *new_oid, *name;

        at += size + (line[size] == '\n' ? 1 : 0);
        line[size] = '\0';
        new_oid = strchr(line, ' ');
        name = new_oid == NULL ? NULL : strchr(new_oid + 1, ' ');
        if (name == NULL) {
            errmsg_set(why, "git sent a line that is not \"old new ref\"");
            return RK_PROTOCOL;
        }
        *new_oid++ = '\0';
        *name++ = '\0';
        if (!is_ours(line, new_oid, name)) {
            continue;
        }
        if (g->count == g->capacity) {
            g->capacity = g->capacity == 0 ? 16 : 2 * g->capacity;
            g->refs = heap_grow(g->refs, g->capacity * sizeof *g->refs);
        }
        g->refs[g->count++] = (struct guarded){
            .name = name,
            .new_oid = is_null_text(new_oid) ? NULL : new_oid,
        };
    }
    return RK_OK;
}

/* A transaction that really deletes holds packed-refs.lock by now; reftable has no such file, so
 * there a deletion is always taken for real. */
static bool may_delete(const struct guard *g)
{
    static const char *const words[] = { "rev-parse", "--git-path", "packed-refs.lock", NULL };
    const char *backend = git_config_get(&g->place.config, "extensions.refstorage");
    bool is_there;
    char *path;

    if (backend != NULL && strcmp(backend, "files") != 0) {
        return true;
    }
    path = git_line(NULL, words, clock_monotonic_ms() + GUARD_GIT_MS);
    is_there = path[0] == '\0' || access(path, F_OK) == 0;
    heap_free(path);
    return is_there;
}

/* Deletions that are none go at once: packing makes one transaction of each. */
static void drop_unreal_deletions(struct guard *g)
{
    size_t kept = 0;
    bool has_deletion = false;

    for (size_t i = 0; i < g->count; i++) {
        has_deletion = has_deletion || g->refs[i].new_oid == NULL;
    }
    if (!has_deletion || may_delete(g)) {
        return;
    }
    for (size_t i = 0; i < g->count; i++) {
        if (g->refs[i].new_oid != NULL) {
            g->refs[kept++] = g->refs[i];
        }
    }
    g->count = kept;
}

static enum rk_status read_disk(const struct guard *g, struct git_refs *disk, struct errmsg *why)
{
    const char *names[ASKED_ONE_BY_ONE_MAX + 1] = { NULL };
    int64_t deadline_ms = clock_monotonic_ms() + GUARD_GIT_MS;

    for (size_t i = 0; i < g->count && g->count <= ASKED_ONE_BY_ONE_MAX; i++) {
        names[i] = g->refs[i].name;
    }
    return git_refs_read_some(disk, NULL, names, deadline_ms, why);
}

/* Leaves those whose value on disk would become another one. */
static enum rk_status drop_unchanged(struct guard *g, struct errmsg *why)
{
    struct git_refs disk;
    size_t kept = 0;
    enum rk_status status = read_disk(g, &disk, why);

    for (size_t i = 0; status == RK_OK && i < g->count; i++) {
        const struct guarded *ref = &g->refs[i];
        const char *oid = git_refs_find(&disk, ref->name);
        bool changes = ref->new_oid == NULL ? oid != NULL
                                            : oid == NULL || strcmp(oid, ref->new_oid) != 0;

        if (changes) {
            g->refs[kept++] = *ref;
        }
    }
    git_refs_release(&disk);
    g->count = status == RK_OK ? kept : g->count;
    return status;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct guarded *)a)->name, ((const struct guarded *)b)->name);
}

static int agree(void *context, const char *name, const char *oid)
{
    struct guard *g = context;
    struct guarded key = { .name = name };
    struct guarded *ref = bsearch(&key, g->refs, g->count, sizeof *g->refs, compare_names);

    if (ref != NULL) {
        ref->is_agreed = ref->new_oid != NULL && strcmp(ref->new_oid, oid) == 0;
    }
    return 0;
}

/* What all names have in front: the list is read no wider than that. */
static char *shared_prefix(const struct guard *g)
{
    const char *first = g->refs[0].name, *last = g->refs[g->count - 1].name; /* sorted */
    size_t size = 0;

    while (first[size] != '\0' && first[size] == last[size]) {
        size++;
    }
    return heap_copy_text(first, size);
}

static enum rk_status ask_list(struct guard *g, struct rk_error *error)
{
    struct rk_page page = { 0 };
    char *prefix;
    enum rk_status status;

    qsort(g->refs, g->count, sizeof *g->refs, compare_names);
    for (size_t i = 0; i < g->count; i++) {
        g->refs[i].is_agreed = g->refs[i].new_oid == NULL; /* until it is found */
    }
    prefix = shared_prefix(g);
    page.prefix = prefix;
    status = rk_ref_list(g->place.client, g->place.path, &page, NULL, agree, g, NULL, NULL, error);
    heap_free(prefix);
    return status;
}

static enum rk_status ask_each(struct guard *g, struct rk_error *error)
{
    enum rk_status status = RK_OK;

    for (size_t i = 0; status == RK_OK && i < g->count; i++) {
        struct guarded *ref = &g->refs[i];
        char oid[RK_OID_TEXT_MAX + 1];

        status = rk_ref_get(g->place.client, g->place.path, ref->name, NULL, oid, error);
        if (status == RK_NOREF) {
            ref->is_agreed = ref->new_oid == NULL;
            status = RK_OK;
        } else if (status == RK_OK) {
            ref->is_agreed = ref->new_oid != NULL && strcmp(ref->new_oid, oid) == 0;
        }
    }
    return status;
}

/* Asked only when something would be refused. */
static enum rk_status pass_untracked(struct guard *g, struct rk_error *error)
{
    struct tracked_refs tracked = { .rules = BUFFER_INIT };
    enum rk_status status = RK_OK;
    bool is_read = false;

    for (size_t i = 0; i < g->count && status == RK_OK; i++) {
        if (!g->refs[i].is_agreed) {
            status = is_read ? RK_OK : tracked_refs_read(&tracked, g->place.client, false, error);
            is_read = true;
            g->refs[i].is_agreed = status == RK_OK && !tracked_refs_has(&tracked, g->refs[i].name);
        }
    }
    tracked_refs_release(&tracked);
    return status;
}

/* 0 when the cluster has every new value already, or does not decide about the ref. */
static int judge(struct guard *g)
{
    struct rk_error error;
    size_t refused = 0;
    enum rk_status status = g->count > ASKED_ONE_BY_ONE_MAX ? ask_list(g, &error)
                                                            : ask_each(g, &error);

    if (status == RK_OK) {
        status = pass_untracked(g, &error);
    }

    if (status != RK_OK) {
        fprintf(stderr, "refkeeper: the refs stay as they are: %s\n", error.message);
        return EXIT_REFUSED;
    }
    for (size_t i = 0; i < g->count; i++) {
        if (!g->refs[i].is_agreed && ++refused <= TOLD_MAX) {
            fprintf(stderr,
                    "refkeeper: %s: the cluster did not decide this change; push it, or use "
                    "`refkeeper ref` on %s\n",
                    g->refs[i].name, g->place.path);
        }
    }
    if (refused > TOLD_MAX) {
        fprintf(stderr, "refkeeper: and %zu more\n", refused - TOLD_MAX);
    }
    return refused == 0 ? 0 : EXIT_REFUSED;
}

static int guard_prepared(struct guard *g, struct cli *cli)
{
    struct errmsg why = ERRMSG_INIT;
    enum rk_status status = parse(g, &why);

    if (status == RK_OK && g->count > 0) {
        status = hook_place_open(&g->place, cli, GUARD_CLUSTER_MS, &why);
    }
    if (status == RK_OK && g->count > 0) {
        drop_unreal_deletions(g);
    }
    if (status == RK_OK && g->count > 0) {
        status = drop_unchanged(g, &why);
    }
    if (status != RK_OK) {
        fprintf(stderr, "refkeeper: the refs stay as they are: %s\n", why.text);
        return EXIT_REFUSED;
    }
    return g->count == 0 ? 0 : judge(g);
}

int cmd_hook_reference_transaction(struct cli *cli, int argc, char **argv)
{
    struct guard g = { .input = BUFFER_INIT };
    struct errmsg why = ERRMSG_INIT;
    const char *token = getenv(HOOK_TOKEN);
    int code = 0;

    if (cli_parse(cli, argc, argv, NULL, 0, 1, 1) < 0) {
        return EXIT_USAGE;
    }
    /* Read to the end in every state: git may mind a closed pipe. */
    if (read_input(&g.input, &why) != RK_OK) {
        code = cli_fail_text(cli, RK_IO, "%s", why.text);
    } else if (strcmp(argv[0], "prepared") == 0 && (token == NULL || token[0] == '\0')) {
        code = guard_prepared(&g, cli);
    }
    hook_place_release(&g.place);
    buffer_release(&g.input);
    heap_free(g.refs);
    return code;
}
