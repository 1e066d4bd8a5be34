/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/hook_pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/git.h"
#include "cli/git_refs.h"
#include "sys/clock.h"

#define PACK_MS (30 * 60 * 1000)
#define HEADER_BYTES 12 /* "PACK", version, number of objects  [gitformat-pack(5)] */

bool hook_pack_has(const struct tracked_refs *tracked, const struct hook_ref *ref)
{
    return ref->state == HOOK_ASKED && !ref->is_delete && tracked_refs_has(tracked, ref->name);
}

enum rk_status hook_pack_start(struct hook_push *push, struct errmsg *why)
{
    static const char *const argv[] = { "git",      "pack-objects",        "--revs",  "--thin",
                                        "--stdout", "--delta-base-offset", "--quiet", NULL };

    if (push->packer.pid != 0) {
        return RK_OK;
    }
    if (push->pack < 0) {
        push->pack = open(hook_git_dir(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    }
    if (push->pack < 0) {
        errmsg_set(why, "make a file for the pack: %s", strerror(errno));
        return RK_IO;
    }
    push->packer = (struct process){ .argv = argv,
                                     .awaits_input = true,
                                     .has_output_fd = true,
                                     .output_fd = push->pack,
                                     .deadline_ms = clock_monotonic_ms() + PACK_MS };
    return process_start(&push->packer, why);
}

bool hook_pack_start_early(struct hook_push *push)
{
    struct errmsg why = ERRMSG_INIT;

    /* One that does not start is tried again when it is needed. */
    return (push->options.sync_replicas > 0 || getenv("REFKEEPER_SYNC_REPLICAS") != NULL ||
            git_config_may_have(hook_git_dir(), "syncreplicas")) &&
           hook_pack_start(push, &why) == RK_OK;
}

/* What a replica has: the old values; where refs are new, all branches and tags. */
static void put_known(const struct hook_push *push, const struct tracked_refs *tracked,
                      struct buffer *out)
{
    static const char *const folders[] = { "refs/heads", "refs/tags", NULL };
    struct git_refs refs = { .count = 0 };
    bool has_creation = false;

    for (size_t i = 0; i < push->count; i++) {
        const struct hook_ref *ref = &push->refs[i];

        if (!hook_pack_has(tracked, ref)) {
            continue;
        }
        if (ref->is_create) {
            has_creation = true;
        } else {
            buffer_printf(out, "^%s\n", ref->old_oid);
        }
    }
    /* Without them the pack is only larger. */
    if (has_creation &&
        git_refs_read_some(&refs, NULL, folders, clock_monotonic_ms() + PACK_MS, NULL) == RK_OK) {
        for (size_t i = 0; i < refs.count; i++) {
            if (tracked_refs_has(tracked, refs.refs[i].name)) {
                buffer_printf(out, "^%s\n", refs.refs[i].oid);
            }
        }
    }
    git_refs_release(&refs);
}

void hook_pack_feed(struct hook_push *push, const struct tracked_refs *tracked)
{
    struct buffer revisions = BUFFER_INIT;

    for (size_t i = 0; i < push->count; i++) {
        if (hook_pack_has(tracked, &push->refs[i])) {
            buffer_printf(&revisions, "%s\n", push->refs[i].new_oid);
        }
    }
    put_known(push, tracked, &revisions);
    /* One that does not read says why at its end. */
    (void)!process_feed(&push->packer, revisions.data, revisions.size);
    process_end_input(&push->packer);
    buffer_release(&revisions);
}

static enum rk_status measure(const struct hook_push *push, off_t *ret_bytes, struct errmsg *why)
{
    uint8_t header[HEADER_BYTES];
    struct stat st;

    if (fstat(push->pack, &st) != 0 ||
        pread(push->pack, header, sizeof header, 0) != (ssize_t)sizeof header) {
        errmsg_set(why, "git pack-objects made no pack");
        return RK_IO;
    }
    *ret_bytes = get_be32(header + 8) == 0 ? 0 : st.st_size;
    return RK_OK;
}

enum rk_status hook_pack_finish(struct hook_push *push, off_t *ret_bytes, struct errmsg *why)
{
    enum rk_status status = process_finish(&push->packer, why);

    if (status == RK_OK && push->packer.exit_code != 0) {
        errmsg_set(why, "git pack-objects: %s", process_last_words(&push->packer));
        status = RK_IO;
    }
    return status == RK_OK ? measure(push, ret_bytes, why) : status;
}
