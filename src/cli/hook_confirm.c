/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refkeeper hook post-receive: git lists what it tells the pusher is done; the disk must agree.
 * [githooks(5)]
 *
 * proc-receive has written the disk before it answered, so a difference means that something else
 * wrote in between or that the disk lies.  Nobody can refuse here any more: the pusher and the
 * operator are told, and `refkeeper resolve` repairs.
 */
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "base/limits.h"
#include "cli/git_refs.h"
#include "cli/hook.h"
#include "cli/verbs.h"
#include "sys/clock.h"

#define CONFIRM_MS 30000
#define LINE_BYTES (2 * (RK_OID_TEXT_MAX + 1) + REFNAME_BYTES_MAX + 2)
#define TOLD_MAX 10

static bool is_on_disk(const struct git_refs *disk, const char *ref, const char *oid)
{
    const char *found = git_refs_find(disk, ref);

    return found == NULL ? oid[strspn(oid, "0")] == '\0' : strcmp(found, oid) == 0;
}

/* Compares each "old new ref" line of stdin. */
static size_t count_missing(const struct git_refs *disk)
{
    char line[LINE_BYTES];
    size_t missing = 0;

    while (fgets(line, sizeof line, stdin) != NULL) {
        char *new_oid = strchr(line, ' ');
        char *name = new_oid == NULL ? NULL : strchr(new_oid + 1, ' ');

        if (name == NULL) {
            continue;
        }
        line[strcspn(line, "\n")] = '\0';
        *new_oid++ = '\0';
        *name++ = '\0';
        if (!is_on_disk(disk, name, new_oid) && ++missing <= TOLD_MAX) {
            fprintf(stderr, "refkeeper: %s is not at %s on this storage's disk\n", name, new_oid);
        }
    }
    return missing;
}

int cmd_hook_post_receive(struct cli *cli, int argc, char **argv)
{
    struct git_refs disk;
    struct errmsg why = ERRMSG_INIT;
    size_t missing = 0;
    int code = 0;

    if (cli_parse(cli, argc, argv, NULL, 0, 0, 0) < 0) {
        return EXIT_USAGE;
    }
    if (git_refs_read(&disk, NULL, clock_monotonic_ms() + CONFIRM_MS, &why) != RK_OK) {
        code = cli_fail_text(cli, RK_IO, "look whether the push is on disk: %s", why.text);
    } else {
        missing = count_missing(&disk);
    }
    git_refs_release(&disk);
    if (missing > 0) {
        fprintf(stderr,
                "refkeeper: %zu refs were accepted and are not on disk, or were changed since; if "
                "they stay so, the operator should run `refkeeper resolve`\n",
                missing);
        code = EXIT_REFUSED;
    }
    return code;
}
