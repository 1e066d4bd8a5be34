/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk follows the decision: one `git update-ref --stdin` with old values for all refs.
 *
 *   few refs, none deleted    their transaction is prepared, the refs locked, while the cluster
 *                             decides; what is left is to commit it.  Where that does not work, or
 *                             not all of it was decided, it is aborted and:
 *   a lock is held            tried again until the deadline
 *   refused for good          not atomic: halved until the culprits stand alone; else all
 *   the culprit is there      (its value is the new one): done
 *   else                      taken back in the cluster by compare-and-swap, ng
 *   taking back fails         outcome UNKNOWN, ng
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "cli/git_refs.h"
#include "cli/hook.h"
#include "cli/process.h"
#include "sys/clock.h"

#define LOCK_PAUSE_MS 50

struct work {
    struct hook_push *push;
    struct hook_ref **refs; /* decided; deletions first */
    size_t count;
    size_t deletions;
    int64_t deadline_ms;
    char index_text[64];
    char why[400]; /* the last words of git */
};

static void put_field(struct buffer *out, const char *text)
{
    buffer_put(out, text, strlen(text) + 1);
}

/* One command of update-ref -z. */
static void put_command(struct buffer *out, const struct hook_ref *ref)
{
    if (ref->is_delete && ref->is_create) {
        return; /* nothing there, nothing to do */
    }
    buffer_printf(out, "%s ", ref->is_delete ? "delete" : ref->is_create ? "create" : "update");
    put_field(out, ref->name);
    if (!ref->is_delete) {
        put_field(out, ref->new_oid);
    }
    if (!ref->is_create) {
        put_field(out, ref->old_oid);
    }
}

static bool is_contention(const char *words)
{
    return strstr(words, "File exists") != NULL || strstr(words, "temporarily") != NULL;
}

/* Our guard would let everything pass: it is not started at all. */
static const char *const writer_argv[] = { "git",        "-c", "core.hooksPath=/dev/null",
                                           "update-ref", "-z", "--stdin",
                                           NULL };

static enum rk_status run_git(struct work *w, struct process *p, struct slice script,
                              struct errmsg *why)
{
    static const char *const plain[] = { "git", "update-ref", "-z", "--stdin", NULL };
    const char *environment[] = { "LC_ALL=C", w->index_text, NULL };
    enum rk_status status = RK_OK;

    if (w->push->writer.pid != 0 && !w->push->has_foreign_guard) {
        *p = w->push->writer;
        w->push->writer.pid = 0;
    } else {
        *p = (struct process){ .argv = w->push->has_foreign_guard ? plain : writer_argv,
                               .awaits_input = true,
                               .environment = environment };
        status = process_start(p, why);
    }
    p->input = script;
    p->deadline_ms = clock_monotonic_ms() + HOOK_DISK_MS;
    return status == RK_OK ? process_finish(p, why) : status;
}

/* One git process for refs[from..to).  True when the disk has them. */
static bool run_once(struct work *w, size_t from, size_t to)
{
    struct process p = { .argv = NULL };
    struct buffer script = BUFFER_INIT;
    struct errmsg why = ERRMSG_INIT;
    bool is_ok = false;

    for (size_t i = from; i < to; i++) {
        put_command(&script, w->refs[i]);
    }
    if (script.size == 0) {
        buffer_release(&script);
        return true;
    }
    if (run_git(w, &p, buffer_slice(&script), &why) != RK_OK) {
        snprintf(w->why, sizeof w->why, "%.399s", why.text);
    } else if (p.exit_code != 0) {
        snprintf(w->why, sizeof w->why, "%.399s", process_last_words(&p));
    } else {
        is_ok = true;
    }
    process_release(&p);
    buffer_release(&script);
    return is_ok;
}

static bool run_with_patience(struct work *w, size_t from, size_t to)
{
    while (!run_once(w, from, to)) {
        if (!is_contention(w->why) || clock_monotonic_ms() + LOCK_PAUSE_MS >= w->deadline_ms) {
            return false;
        }
        (void)poll(NULL, 0, LOCK_PAUSE_MS);
    }
    return true;
}

/* A killed git may have got through, and others repair: what counts is what is there. */
static void look(struct work *w, size_t from, size_t to)
{
    struct git_refs disk;
    bool is_known = git_refs_read(&disk, NULL, clock_monotonic_ms() + HOOK_DISK_MS, NULL) == RK_OK;

    for (size_t i = from; i < to; i++) {
        struct hook_ref *ref = w->refs[i];
        const char *oid = is_known ? git_refs_find(&disk, ref->name) : "";

        if (oid == NULL ? ref->is_delete : strcmp(oid, ref->new_oid) == 0) {
            ref->state = HOOK_DONE;
        } else {
            heap_free(ref->reason);
            ref->reason = heap_copy_text(w->why, strlen(w->why));
        }
    }
    git_refs_release(&disk);
}

/* Sets the state of refs[from..to): DONE, or left DECIDED with its reason. */
static void apply_range(struct work *w, size_t from, size_t to)
{
    if (from == to) {
        return;
    }
    if (run_with_patience(w, from, to)) {
        for (size_t i = from; i < to; i++) {
            w->refs[i]->state = HOOK_DONE;
        }
    } else if (to - from == 1 || w->push->is_atomic || clock_monotonic_ms() >= w->deadline_ms) {
        look(w, from, to);
    } else {
        size_t middle = from + (to - from) / 2;

        apply_range(w, from, middle);
        apply_range(w, middle, to);
    }
}

/* ---- Taking back ---- */

static void tell_reverted(struct hook_ref *ref)
{
    char *why = ref->reason;

    ref->reason = NULL;
    hook_refuse(ref, "refkeeper: the storage's disk refused it: %s; nothing was changed", why);
    heap_free(why);
}

static void tell_unknown(const struct work *w, struct hook_ref *ref, const struct rk_error *error)
{
    char *why = ref->reason;

    w->push->is_uncertain = true;
    ref->reason = NULL;
    hook_refuse(ref,
                "refkeeper: outcome UNKNOWN: the cluster accepted it at log index %" PRIu64
                ", the storage's disk refused it (%s), and taking it back failed (%s); run "
                "`refkeeper resolve %s` on storage %s",
                w->push->index, why, error->message, w->push->place.path, w->push->place.storage);
    heap_free(why);
}

/* Everything decided that is not on disk goes back to its old value in the cluster. */
static void revert(struct work *w)
{
    struct rk_ref_change *changes = heap_alloc((w->count + 1) * sizeof *changes);
    struct hook_ref **refs = heap_alloc((w->count + 1) * sizeof *refs);
    struct rk_ref_results *results = NULL;
    struct rk_error error;
    size_t count = 0;

    for (size_t i = 0; i < w->count; i++) {
        if (w->refs[i]->state == HOOK_DECIDED) {
            changes[count] = hook_change(w->refs[i], true);
            refs[count++] = w->refs[i];
        }
    }
    if (count > 0) {
        rk_client_set_timeout_ms(w->push->place.client, HOOK_REVERT_MS);
        (void)rk_ref_txn(w->push->place.client, w->push->place.path, w->push->is_atomic, changes,
                         count, &w->push->write, &results, &error);
    }
    for (size_t i = 0; i < count; i++) {
        if (results != NULL && rk_ref_results_get(results, i, &error) == RK_OK) {
            tell_reverted(refs[i]);
        } else {
            tell_unknown(w, refs[i], &error);
        }
    }
    rk_ref_results_free(results);
    heap_free(changes);
    heap_free(refs);
}

/* An atomic push is on disk as a whole or not at all. */
static void undo_partly_done(struct work *w)
{
    bool is_partly = false;

    for (size_t i = 0; i < w->count; i++) {
        is_partly = is_partly || w->refs[i]->state == HOOK_DECIDED;
    }
    for (size_t i = 0; is_partly && i < w->count; i++) {
        if (w->refs[i]->state == HOOK_DONE) {
            w->refs[i]->state = HOOK_DECIDED;
            heap_free(w->refs[i]->reason);
            w->refs[i]->reason = heap_copy_text(w->why, strlen(w->why));
        }
    }
}

static bool has_foreign_guard(const struct hook_push *push, int64_t deadline_ms)
{
    static const char name[] = "reference-transaction";
    char *path = hook_file(name, &push->place.config, deadline_ms);
    bool is_foreign = access(path, X_OK) == 0 && !hook_is_ours(path, name);

    heap_free(path);
    return is_foreign;
}

/* ---- Before the decision ---- */

void hook_apply_start(struct hook_push *push)
{
    static const char *const environment[] = { "LC_ALL=C", NULL };
    struct errmsg why = ERRMSG_INIT;

    if (push->writer.pid == 0) {
        push->writer = (struct process){ .argv = writer_argv,
                                         .environment = environment,
                                         .awaits_input = true };
        /* One that cannot be started now is when it is needed, and then says why not. */
        (void)!process_start(&push->writer, &why);
    }
}

/* Returns the refs in it.  A deletion locks packed-refs, too, by which guards tell maintenance from
 * changes: not while the cluster is asked. */
static size_t put_transaction(const struct hook_push *push, struct buffer *script)
{
    size_t count = 0;

    put_field(script, "start");
    for (size_t i = 0; i < push->count; i++) {
        const struct hook_ref *ref = &push->refs[i];

        if (ref->state == HOOK_ASKED) {
            if (ref->is_delete) {
                return 0;
            }
            put_command(script, ref);
            count++;
        }
    }
    put_field(script, "prepare");
    return count;
}

void hook_apply_prepare(struct hook_push *push)
{
    struct buffer script = BUFFER_INIT;
    int64_t deadline_ms = clock_monotonic_ms() + HOOK_DISK_MS;
    size_t count;

    if (push->prepared > 0) {
        return;
    }
    push->has_foreign_guard = has_foreign_guard(push, deadline_ms);
    if (push->has_foreign_guard) {
        return; /* it is told the index that decided, which is not known yet */
    }
    hook_apply_start(push);
    if (push->count > HOOK_PREPARED_REFS) {
        return;
    }
    count = put_transaction(push, &script);
    if (count > 0 && push->writer.pid != 0) {
        push->writer.deadline_ms = deadline_ms;
        push->prepared = count;
        /* One that does not read says why at its end, and is not the last that is asked. */
        (void)!process_feed(&push->writer, script.data, script.size);
    }
    buffer_release(&script);
}

void hook_apply_let_go(struct hook_push *push)
{
    if (push->prepared > 0) {
        push->prepared = 0;
        /* The end of its input aborts a transaction; one that is killed leaves its locks behind. */
        push->writer.deadline_ms = clock_monotonic_ms() + HOOK_DISK_MS;
        (void)!process_finish(&push->writer, NULL);
        process_release(&push->writer);
    }
}

/* ---- After it ---- */

/* True when what was prepared is what was decided, and the disk has it.  That git ends is waited
 * for when the pusher knows. */
static bool commit_prepared(struct work *w)
{
    static const char commit[] = "commit";
    struct process *writer = &w->push->writer;
    bool is_ok;

    if (w->push->prepared == 0 || w->push->prepared != w->count) {
        return false;
    }
    w->push->prepared = 0;
    writer->input = slice_of(commit, sizeof commit);
    writer->deadline_ms = clock_monotonic_ms() + HOOK_DISK_MS;
    is_ok = process_await(writer, "commit: ok");
    if (!is_ok) {
        is_ok = process_finish(writer, NULL) == RK_OK && writer->exit_code == 0;
        process_release(writer);
    }
    for (size_t i = 0; i < w->count && is_ok; i++) {
        w->refs[i]->state = HOOK_DONE;
    }
    return is_ok;
}

static void apply(struct work *w)
{
    if (commit_prepared(w)) {
        return;
    }
    hook_apply_let_go(w->push);
    if (w->push->is_atomic) {
        apply_range(w, 0, w->count);
        undo_partly_done(w);
    } else {
        /* Two transactions: a goes before a/b comes. */
        apply_range(w, 0, w->deletions);
        apply_range(w, w->deletions, w->count);
    }
    revert(w);
}

static void gather(struct work *w)
{
    struct hook_push *push = w->push;

    w->refs = heap_alloc(push->count * sizeof *w->refs);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < push->count; i++) {
            struct hook_ref *ref = &push->refs[i];

            if (ref->state == HOOK_DECIDED && ref->is_delete == (pass == 0)) {
                w->refs[w->count++] = ref;
            }
        }
        w->deletions = pass == 0 ? w->count : w->deletions;
    }
}

void hook_apply(struct hook_push *push)
{
    struct work w = { .push = push, .deadline_ms = clock_monotonic_ms() + HOOK_DISK_MS };

    gather(&w);
    snprintf(w.index_text, sizeof w.index_text, HOOK_TOKEN "=%" PRIu64, push->index);
    if (w.count > 0) {
        apply(&w);
    }
    heap_free(w.refs);
}
