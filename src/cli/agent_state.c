/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent remembers, below ROOT/.refkeeper:
 *
 *   storage      the name of the storage: a root without it is not touched, its disk may not be
 *                mounted
 *   index        where the events go on
 *   held         the paths of copies that were complete once: an absent one is lost, not new
 *   quarantine   why the agent stopped for a person to look
 *
 * Each is written beside, synced and renamed.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/heap.h"
#include "cli/agent.h"

#define LINE_BYTES 4200 /* longer than any path of a repository */

static void place_of(const struct agent *a, const char *name, char ret_path[PATH_MAX])
{
    snprintf(ret_path, PATH_MAX, "%s/" AGENT_FOLDER "/%s", a->root, name);
}

/* `text` may be NULL: then `write` fills the file. */
static bool write_file(const struct agent *a, const char *name, const char *text,
                       void (*write)(const struct agent *a, FILE *file))
{
    char path[PATH_MAX], temporary[PATH_MAX + 8];
    FILE *file;
    bool is_ok;

    place_of(a, name, path);
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    file = fopen(temporary, "w");
    if (file == NULL) {
        agent_log(a, "write %s: %s", temporary, strerror(errno));
        return false;
    }
    if (text != NULL) {
        fprintf(file, "%s\n", text);
    } else {
        write(a, file);
    }
    is_ok = fflush(file) == 0 && fsync(fileno(file)) == 0;
    is_ok = fclose(file) == 0 && is_ok && rename(temporary, path) == 0;
    if (!is_ok) {
        agent_log(a, "write %s: %s", path, strerror(errno));
    }
    return is_ok;
}

/* The first line; false when there is none. */
static bool read_line(const struct agent *a, const char *name, char ret_line[LINE_BYTES])
{
    char path[PATH_MAX];
    FILE *file;
    bool is_ok;

    place_of(a, name, path);
    file = fopen(path, "r");
    if (file == NULL) {
        return false;
    }
    is_ok = fgets(ret_line, LINE_BYTES, file) != NULL;
    (void)fclose(file);
    if (is_ok) {
        ret_line[strcspn(ret_line, "\n")] = '\0';
    }
    return is_ok;
}

static void remove_file(const struct agent *a, const char *name)
{
    char path[PATH_MAX];

    place_of(a, name, path);
    (void)unlink(path);
}

static int check_mark(struct agent *a, bool is_init)
{
    char line[LINE_BYTES], path[PATH_MAX];

    snprintf(path, sizeof path, "%s/" AGENT_FOLDER, a->root);
    if (is_init && mkdir(path, 0700) != 0 && errno != EEXIST) {
        return cli_fail_text(a->cli, RK_IO, "make %s: %s", path, strerror(errno));
    }
    if (!read_line(a, "storage", line)) {
        if (is_init && write_file(a, "storage", a->storage, NULL)) {
            return 0;
        }
        return cli_fail_text(a->cli, RK_NOT_FOUND,
                             "%s does not hold the mark of a storage: is its disk mounted?  A new "
                             "storage is marked with --init",
                             a->root);
    }
    if (strcmp(line, a->storage) != 0) {
        return cli_fail_text(a->cli, RK_FOREIGN, "%s is the root of storage %s, not of %s", a->root,
                             line, a->storage);
    }
    return 0;
}

/* Lines "id path". */
static void read_held(struct agent *a)
{
    char path[PATH_MAX], line[LINE_BYTES];
    FILE *file;

    place_of(a, "held", path);
    file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *name;
        uint64_t id = strtoull(line, &name, 10);

        line[strcspn(line, "\n")] = '\0';
        if (id != 0 && *name == ' ') {
            struct agent_copy *copy = agent_add(a, name + 1, id);

            copy->is_held = true;
            copy->is_gone = true; /* until the cluster lists it */
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

int agent_state_open(struct agent *a, bool is_init, bool is_lifted)
{
    char line[LINE_BYTES];
    int code = check_mark(a, is_init);

    if (code != 0) {
        return code;
    }
    if (is_lifted) {
        remove_file(a, "quarantine");
        remove_file(a, "held");
    }
    if (read_line(a, "quarantine", line)) {
        return cli_fail_text(a->cli, RK_STALE,
                             "storage %s is in quarantine: %s.  Look, then start with "
                             "--lift-quarantine and set the storage active",
                             a->storage, line);
    }
    if (!read_line(a, "index", line) || !parse_number(line, &a->next_index)) {
        a->next_index = 0;
    }
    read_held(a);
    return 0;
}

void agent_state_save_index(struct agent *a, uint64_t index)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRIu64, index);
    (void)write_file(a, "index", text, NULL);
}

static void write_held(const struct agent *a, FILE *file)
{
    for (size_t i = 0; i < a->count; i++) {
        if (a->copies[i]->is_held && !a->copies[i]->is_gone) {
            fprintf(file, "%" PRIu64 " %s\n", a->copies[i]->id, a->copies[i]->path);
        }
    }
}

void agent_state_save_held(struct agent *a)
{
    (void)write_file(a, "held", NULL, write_held);
}

void agent_state_quarantine(struct agent *a, const char *reason)
{
    (void)write_file(a, "quarantine", reason, NULL);
}
