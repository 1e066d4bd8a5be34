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
#define NAMED_MAX 32

struct told {
    char *line; /* "old new ref", cut into words */
    const char *new_oid, *name;
};

struct confirm {
    struct told *refs;
    size_t count, capacity;
};

static void read_lines(struct confirm *c)
{
    char line[LINE_BYTES];

    while (fgets(line, sizeof line, stdin) != NULL) {
        char *new_oid = strchr(line, ' ');
        char *name = new_oid == NULL ? NULL : strchr(new_oid + 1, ' ');
        struct told *t;

        if (name == NULL) {
            continue;
        }
        line[strcspn(line, "\n")] = '\0';
        if (c->count == c->capacity) {
            c->capacity = c->capacity == 0 ? 16 : 2 * c->capacity;
            c->refs = heap_grow(c->refs, c->capacity * sizeof *c->refs);
        }
        t = &c->refs[c->count++];
        t->line = heap_copy_text(line, strlen(line));
        t->line[new_oid - line] = '\0';
        t->line[name - line] = '\0';
        t->new_oid = t->line + (new_oid + 1 - line);
        t->name = t->line + (name + 1 - line);
    }
}

/* Few refs are asked for by name: a repository may have very many. */
static enum rk_status read_disk(const struct confirm *c, struct git_refs *disk, struct errmsg *why)
{
    const char *names[NAMED_MAX + 1] = { NULL };

    for (size_t i = 0; i < c->count && c->count <= NAMED_MAX; i++) {
        names[i] = c->refs[i].name;
    }
    return git_refs_read_some(disk, NULL, names, clock_monotonic_ms() + CONFIRM_MS, why);
}

static bool is_on_disk(const struct git_refs *disk, const char *ref, const char *oid)
{
    const char *found = git_refs_find(disk, ref);

    return found == NULL ? oid[strspn(oid, "0")] == '\0' : strcmp(found, oid) == 0;
}

static size_t count_missing(const struct confirm *c, const struct git_refs *disk)
{
    size_t missing = 0;

    for (size_t i = 0; i < c->count; i++) {
        if (!is_on_disk(disk, c->refs[i].name, c->refs[i].new_oid) && ++missing <= TOLD_MAX) {
            fprintf(stderr, "refkeeper: %s is not at %s on this storage's disk\n", c->refs[i].name,
                    c->refs[i].new_oid);
        }
    }
    return missing;
}

static void release(struct confirm *c)
{
    for (size_t i = 0; i < c->count; i++) {
        heap_free(c->refs[i].line);
    }
    heap_free(c->refs);
}

int cmd_hook_post_receive(struct cli *cli, int argc, char **argv)
{
    struct confirm c = { .refs = NULL };
    struct git_refs disk;
    struct errmsg why = ERRMSG_INIT;
    size_t missing = 0;
    int code = 0;

    if (cli_parse(cli, argc, argv, NULL, 0, 0, 0) < 0) {
        return EXIT_USAGE;
    }
    read_lines(&c);
    if (read_disk(&c, &disk, &why) != RK_OK) {
        code = cli_fail_text(cli, RK_IO, "look whether the push is on disk: %s", why.text);
    } else {
        missing = count_missing(&c, &disk);
    }
    git_refs_release(&disk);
    release(&c);
    if (missing > 0) {
        fprintf(stderr,
                "refkeeper: %zu refs were accepted and are not on disk, or were changed since; if "
                "they stay so, the operator should run `refkeeper resolve`\n",
                missing);
        code = EXIT_REFUSED;
    }
    return code;
}
