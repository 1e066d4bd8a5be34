/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What git's receive-pack would refuse if it made the change itself: we answer without
 * fall-through, so these rules are ours to keep.  Reasons are worded as git words them.
 * [git receive-pack, git-config(1) receive.*]
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/limits.h"
#include "cli/copy.h"
#include "cli/hook.h"
#include "cli/process.h"
#include "model/refname.h"
#include "sys/clock.h"

#define POLICY_MS 60000 /* for update hooks and ancestry checks together */

struct policy {
    int64_t deadline_ms;
    bool is_bare;
    bool denies_deletes, denies_rewinds;
    const char *deny_current; /* NULL = not set */
    const char *deny_delete_current;
    char *head;             /* what HEAD points at, "" = nothing */
    struct buffer branches; /* checked out in a work tree, one per line */
    char *update_hook;      /* NULL = none */
};

static bool is_branch(const struct hook_ref *ref)
{
    return strncmp(ref->name, "refs/heads/", 11) == 0;
}

static bool is_word(const char *value, const char *word)
{
    return value != NULL && strcasecmp(value, word) == 0;
}

/* A value that means "refuse": unset counts, and so does updateInstead, which needs git itself. */
static bool refuses(const char *value)
{
    return !is_word(value, "ignore") && !is_word(value, "warn") && !is_word(value, "false") &&
           !is_word(value, "no") && !is_word(value, "off") && !is_word(value, "0");
}

/* The branches checked out in work trees: a bare repository may have linked ones. */
static void find_checked_out(struct policy *p)
{
    static const char *const words[] = { "worktree", "list", "--porcelain", NULL };
    struct buffer out = BUFFER_INIT;
    struct stat st;
    int exit_code = 0;
    const char *line;

    if (p->is_bare && stat("worktrees", &st) != 0) {
        return;
    }
    if (git_run(NULL, words, SLICE_NONE, p->deadline_ms, &out, &exit_code, NULL) != RK_OK) {
        buffer_release(&out);
        return;
    }
    buffer_put_u8(&out, '\0');
    for (line = (const char *)out.data; *line != '\0'; line += strspn(line, "\n")) {
        size_t size = strcspn(line, "\n");

        if (strncmp(line, "branch ", 7) == 0) {
            buffer_printf(&p->branches, "%.*s\n", (int)size - 7, line + 7);
        }
        line += size;
    }
    buffer_release(&out);
}

static bool is_checked_out(const struct policy *p, const char *ref)
{
    const char *at = (const char *)p->branches.data;
    const char *end = at + p->branches.size;
    size_t size = strlen(ref);

    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));

        if ((size_t)(line_end - at) == size && memcmp(at, ref, size) == 0) {
            return true;
        }
        at = line_end + 1;
    }
    return false;
}

static void find_update_hook(struct policy *p, const struct git_config *config)
{
    char *path = hook_file("update", config, p->deadline_ms);

    if (path[0] == '\0' || access(path, X_OK) != 0) {
        heap_free(path);
        return;
    }
    /* A name without a slash would be looked up in PATH. */
    p->update_hook = path;
}

static void read_policy(struct policy *p, const struct git_config *config)
{
    static const char *const bare[] = { "rev-parse", "--is-bare-repository", NULL };

    p->deadline_ms = clock_monotonic_ms() + POLICY_MS;
    if (git_config_get(config, "core.bare") != NULL) {
        p->is_bare = git_config_get_bool(config, "core.bare", true);
    } else {
        char *answer = git_line(NULL, bare, p->deadline_ms);

        p->is_bare = strcmp(answer, "true") == 0;
        heap_free(answer);
    }
    p->denies_deletes = git_config_get_bool(config, "receive.denydeletes", false);
    p->denies_rewinds = git_config_get_bool(config, "receive.denynonfastforwards", false);
    p->deny_current = git_config_get(config, "receive.denycurrentbranch");
    p->deny_delete_current = git_config_get(config, "receive.denydeletecurrent");
    p->head = git_read_head(hook_git_dir(), p->deadline_ms);
    find_checked_out(p);
    find_update_hook(p, config);
}

/* 0 = `old_oid` is an ancestor, 1 = it is not, others: git could not say. */
static int ask_ancestry(const struct policy *p, const struct hook_ref *ref)
{
    const char *words[] = { "merge-base", "--is-ancestor", ref->old_oid, ref->new_oid, NULL };
    int exit_code = 128;

    if (git_run(NULL, words, SLICE_NONE, p->deadline_ms, NULL, &exit_code, NULL) != RK_OK) {
        return 128;
    }
    return exit_code;
}

static bool runs_update_hook(const struct policy *p, const struct hook_ref *ref)
{
    const char *argv[] = { p->update_hook, ref->name, ref->old_oid, ref->new_oid, NULL };
    struct process process = {
        .argv = argv, .keeps_error = true, .joins_output = true, .deadline_ms = p->deadline_ms
    };
    bool is_ok = process_run(&process, NULL) == RK_OK && process.exit_code == 0;

    process_release(&process);
    return is_ok;
}

/* refs/x is no place for a ref to be made in, but may be deleted. */
static bool is_funny(const struct hook_ref *ref)
{
    if (!refname_is_valid(slice_of_text(ref->name))) {
        return true;
    }
    return !ref->is_delete && strchr(ref->name + 5, '/') == NULL;
}

static void check_deletion(const struct policy *p, struct hook_ref *ref)
{
    if (p->denies_deletes && is_branch(ref)) {
        hook_refuse(ref, "deletion prohibited");
    } else if ((strcmp(ref->name, p->head) == 0 || is_checked_out(p, ref->name)) &&
               refuses(p->deny_delete_current)) {
        hook_refuse(ref, "deletion of the current branch prohibited");
    }
}

static void check_rewind(const struct policy *p, struct hook_ref *ref)
{
    int rc = ask_ancestry(p, ref);

    if (rc == 1) {
        hook_refuse(ref, "non-fast-forward");
    } else if (rc != 0) {
        hook_refuse(ref, "bad ref");
    }
}

static void check(const struct policy *p, struct hook_ref *ref)
{
    if (strncmp(ref->name, COPY_OWN_PREFIX, strlen(COPY_OWN_PREFIX)) == 0) {
        hook_refuse(ref, "refs/refkeeper/ is the storage's own");
        return;
    }
    if (is_funny(ref)) {
        hook_refuse(ref, "funny refname");
        return;
    }
    if (is_checked_out(p, ref->name)) {
        if (is_word(p->deny_current, "updateinstead")) {
            hook_refuse(ref,
                        "receive.denyCurrentBranch=updateInstead does not work with refkeeper");
            return;
        }
        if (refuses(p->deny_current)) {
            hook_refuse(ref, "branch is currently checked out");
            return;
        }
    }
    if (ref->is_delete && !ref->is_create) {
        check_deletion(p, ref);
    } else if (p->denies_rewinds && is_branch(ref) && !ref->is_create && !ref->is_delete) {
        check_rewind(p, ref);
    }
    if (ref->state != HOOK_REFUSED && p->update_hook != NULL && !runs_update_hook(p, ref)) {
        hook_refuse(ref, "hook declined");
    }
}

void hook_check_policy(struct hook_push *push)
{
    struct policy p = { .is_bare = true };

    read_policy(&p, &push->place.config);
    for (size_t i = 0; i < push->count; i++) {
        if (push->refs[i].state == HOOK_ASKED) {
            check(&p, &push->refs[i]);
        }
    }
    hook_spread_refusal(push);
    heap_free(p.head);
    heap_free(p.update_hook);
    buffer_release(&p.branches);
}
