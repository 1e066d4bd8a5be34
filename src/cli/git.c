/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/git.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/heap.h"
#include "base/limits.h"
#include "cli/process.h"
#include "model/refname.h"

#define WORDS_MAX 32

enum rk_status git_run(const char *git_dir, const char *const *words, struct slice input,
                       int64_t deadline_ms, struct buffer *out, int *ret_exit, struct errmsg *why)
{
    static const char *const plain[] = { "LC_ALL=C", NULL };
    const char *argv[WORDS_MAX + 4];
    struct process p = { .argv = argv, .input = input, .deadline_ms = deadline_ms };
    enum rk_status status;
    size_t n = 0;

    p.environment = plain; /* messages are matched in English */
    argv[n++] = "git";
    if (git_dir != NULL) {
        argv[n++] = "--git-dir";
        argv[n++] = git_dir;
    }
    while (*words != NULL && n < WORDS_MAX + 3) {
        argv[n++] = *words++;
    }
    argv[n] = NULL;
    status = process_run(&p, why);
    if (status == RK_OK && ret_exit != NULL) {
        *ret_exit = p.exit_code;
    } else if (status == RK_OK && p.exit_code != 0) {
        errmsg_set(why, "git %s: %s", argv[git_dir == NULL ? 1 : 3], process_last_words(&p));
        status = RK_IO;
    }
    if (status == RK_OK && out != NULL) {
        buffer_put_slice(out, buffer_slice(&p.output));
    }
    process_release(&p);
    return status;
}

char *git_line(const char *git_dir, const char *const *words, int64_t deadline_ms)
{
    struct buffer out = BUFFER_INIT;
    int exit_code = 0;
    char *line;

    if (git_run(git_dir, words, SLICE_NONE, deadline_ms, &out, &exit_code, NULL) != RK_OK ||
        exit_code != 0) {
        buffer_clear(&out);
    }
    while (out.size > 0 && out.data[out.size - 1] == '\n') {
        out.size--;
    }
    line = heap_copy_text(out.data, out.size);
    buffer_release(&out);
    return line;
}

/* The first line of a file below git_dir; "" when there is none. */
static void read_line(const char *git_dir, const char *name, char *ret_line, size_t size)
{
    char path[PATH_MAX];
    FILE *file = snprintf(path, sizeof path, "%s/%s", git_dir, name) < (int)sizeof path
                     ? fopen(path, "re")
                     : NULL;

    ret_line[0] = '\0';
    if (file != NULL) {
        if (fgets(ret_line, (int)size, file) == NULL) {
            ret_line[0] = '\0';
        }
        (void)fclose(file);
    }
    ret_line[strcspn(ret_line, "\n")] = '\0';
}

char *git_read_head(const char *git_dir, int64_t deadline_ms)
{
    static const char *const words[] = { "symbolic-ref", "-q", "HEAD", NULL };
    char line[REFNAME_BYTES_MAX + 16];

    read_line(git_dir, "HEAD", line, sizeof line);
    /* With reftable the file names a ref that cannot be. */
    if (strncmp(line, "ref: refs/", 10) == 0 && strstr(line, "/.invalid") == NULL) {
        return heap_copy_text(line + 5, strlen(line + 5));
    }
    return git_line(git_dir, words, deadline_ms);
}

bool git_read_loose(const char *git_dir, const char *ref, char ret_oid[65])
{
    char line[128];
    size_t size;

    /* A linked work tree keeps its refs elsewhere, a pushed name may not be one. */
    read_line(git_dir, "commondir", line, sizeof line);
    if (line[0] != '\0' || !refname_is_valid(slice_of_text(ref))) {
        return false;
    }
    read_line(git_dir, ref, line, sizeof line);
    size = strspn(line, "0123456789abcdef");
    if (line[size] != '\0' || (size != 40 && size != 64)) {
        return false;
    }
    memcpy(ret_oid, line, size + 1);
    return true;
}

static const char *const config_words[] = { "config", "--null", "--list", NULL };

void git_config_start(struct git_config *config)
{
    static const char *const argv[] = { "git", "config", "--null", "--list", NULL };
    struct errmsg why = ERRMSG_INIT;

    config->reader = (struct process){ .argv = argv };
    /* One that cannot be started now is when it is waited for, and then says why not. */
    (void)!process_start(&config->reader, &why);
}

static enum rk_status finish_reading(struct git_config *config, int64_t deadline_ms,
                                     struct errmsg *why)
{
    struct process *p = &config->reader;
    enum rk_status status;

    p->deadline_ms = deadline_ms;
    status = process_finish(p, why);
    if (status == RK_OK && p->exit_code != 0) {
        errmsg_set(why, "git config: %s", process_last_words(p));
        status = RK_IO;
    }
    if (status == RK_OK) {
        buffer_put_slice(&config->text, buffer_slice(&p->output));
    }
    process_release(p);
    return status;
}

enum rk_status git_config_read(struct git_config *config, const char *git_dir, int64_t deadline_ms,
                               struct errmsg *why)
{
    enum rk_status status;

    config->text = (struct buffer)BUFFER_INIT;
    status = config->reader.pid != 0 ? finish_reading(config, deadline_ms, why)
                                     : git_run(git_dir, config_words, SLICE_NONE, deadline_ms,
                                               &config->text, NULL, why);
    /* So that every record ends with a NUL, also one cut short. */
    buffer_put_u8(&config->text, '\0');
    return status;
}

bool git_config_may_have(const char *git_dir, const char *word)
{
    char path[PATH_MAX], line[4096];
    bool is_found = false;
    FILE *file = snprintf(path, sizeof path, "%s/config", git_dir) < (int)sizeof path
                     ? fopen(path, "re")
                     : NULL;

    while (file != NULL && !is_found && fgets(line, sizeof line, file) != NULL) {
        is_found = strcasestr(line, word) != NULL;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return is_found;
}

void git_config_release(struct git_config *config)
{
    buffer_release(&config->text);
    process_release(&config->reader);
}

const char *git_config_get(const struct git_config *config, const char *key)
{
    const char *found = NULL;
    size_t key_size = strlen(key);

    /* Records are "key LF value NUL", or "key NUL" for a key without a value. */
    for (size_t at = 0; at < config->text.size;) {
        const char *record = (const char *)config->text.data + at;
        size_t size = strlen(record);

        if (strncmp(record, key, key_size) == 0 && record[key_size] == '\n') {
            found = record + key_size + 1;
        } else if (size == key_size && strcmp(record, key) == 0) {
            found = "true";
        }
        at += size + 1;
    }
    return found;
}

bool git_config_get_bool(const struct git_config *config, const char *key, bool otherwise)
{
    const char *value = git_config_get(config, key);

    if (value == NULL) {
        return otherwise;
    }
    return strcasecmp(value, "true") == 0 || strcasecmp(value, "yes") == 0 ||
           strcasecmp(value, "on") == 0 || (value[0] >= '1' && value[0] <= '9');
}
