/* SPDX-License-Identifier: Apache-2.0 */
/* The file: "key = value" lines, comments after ; or #, no sections. */
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/config.h"

#define FILE_BYTES_MAX (1 * MIB)

/* A file being parsed. */
struct parse {
    struct config *config;
    const char *path;
    struct slice rest;
    unsigned line;
    bool has_failed; /* `why` holds the first error */
    struct errmsg *why;
};

/* ---- Reading ---- */

static enum rk_status check_facts(int fd, const char *path, struct errmsg *why)
{
    struct stat facts;

    if (fstat(fd, &facts) != 0) {
        errmsg_set(why, "%s: %s", path, strerror(errno));
        return RK_CONFIG;
    }
    if (!S_ISREG(facts.st_mode)) {
        errmsg_set(why, "%s: not a regular file", path);
        return RK_CONFIG;
    }
    if ((facts.st_mode & S_IWOTH) != 0) {
        errmsg_set(why, "%s: everybody may write to it; chmod o-w it", path);
        return RK_CONFIG;
    }
    return RK_OK;
}

static enum rk_status read_all(int fd, const char *path, struct buffer *out, struct errmsg *why)
{
    ssize_t got;

    do {
        if (buffer_reserve(out, 64 * KIB) != RK_OK || out->size > FILE_BYTES_MAX) {
            errmsg_set(why, "%s: over 1 MiB, this is no configuration", path);
            return RK_CONFIG;
        }
        got = read(fd, out->data + out->size, out->capacity - out->size);
        if (got < 0 && errno != EINTR) {
            errmsg_set(why, "%s: %s", path, strerror(errno));
            return RK_CONFIG;
        }
        out->size += got > 0 ? (size_t)got : 0;
    } while (got != 0);
    if (out->size > 0 && memchr(out->data, '\0', out->size) != NULL) {
        errmsg_set(why, "%s: has a NUL byte, this is no text", path);
        return RK_CONFIG;
    }
    return RK_OK;
}

static enum rk_status read_file(const char *path, struct buffer *out, struct errmsg *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    enum rk_status status;

    if (fd < 0) {
        errmsg_set(why, "%s: %s", path, strerror(errno));
        return RK_CONFIG;
    }
    status = check_facts(fd, path, why);
    if (status == RK_OK) {
        status = read_all(fd, path, out, why);
    }
    close(fd);
    return status;
}

/* ---- Parsing ---- */

static void fail_at_line(struct parse *p, const char *what)
{
    if (!p->has_failed) {
        p->has_failed = true;
        errmsg_set(p->why, "%s:%u: %s", p->path, p->line, what);
    }
}

/* Gives inih one line as fgets() would, and counts it. */
static char *next_line(char *out, int size, void *argument)
{
    struct parse *p = argument;
    const uint8_t *end;
    size_t length;

    if (p->rest.size == 0) {
        return NULL;
    }
    p->line++;
    end = memchr(p->rest.data, '\n', p->rest.size);
    length = end == NULL ? p->rest.size : (size_t)(end - p->rest.data) + 1;
    if (length > (size_t)size - 1) {
        fail_at_line(p, "the line is too long; give a long list in several lines");
        return NULL;
    }
    memcpy(out, p->rest.data, length);
    out[length] = '\0';
    p->rest = slice_of(p->rest.data + length, p->rest.size - length);
    return out;
}

static int take_pair(void *argument, const char *section, const char *name, const char *value)
{
    struct parse *p = argument;
    enum config_key key = config_find(name, strlen(name));
    struct errmsg why = ERRMSG_INIT;
    char what[512];

    if (p->has_failed) {
        return 0;
    }
    if (section[0] != '\0') {
        fail_at_line(p, "there are no [sections] in this file");
        return 0;
    }
    if (key == CONFIG_CONFIG) {
        fail_at_line(p, "the file cannot name another file");
        return 0;
    }
    if (key == CONFIG_KEY_COUNT) {
        enum config_key guess = config_guess(name, strlen(name));

        snprintf(what, sizeof what, "unknown key \"%.60s\"%s%s%s", name,
                 guess == CONFIG_KEY_COUNT ? "" : "; did you mean ",
                 guess == CONFIG_KEY_COUNT ? "" : config_keys[guess].key,
                 guess == CONFIG_KEY_COUNT ? "" : "?");
        fail_at_line(p, what);
        return 0;
    }
    if (config_set(p->config, key, value, CONFIG_FROM_FILE, p->line, &why) != RK_OK) {
        snprintf(what, sizeof what, "%s: %.440s", name, why.text);
        fail_at_line(p, what);
        return 0;
    }
    return 1;
}

enum rk_status config_read_file(struct config *c, const char *path, struct errmsg *why)
{
    struct buffer text = BUFFER_INIT;
    struct parse p = { .config = c, .path = path, .why = why };
    enum rk_status status = read_file(path, &text, why);

    if (status == RK_OK) {
        int line;

        p.rest = buffer_slice(&text);
        line = ini_parse_stream(next_line, &p, take_pair, &p);
        if (line != 0) {
            p.line = line > 0 ? (unsigned)line : p.line;
            fail_at_line(&p, "expected key = value");
        }
        status = p.has_failed ? RK_CONFIG : RK_OK;
    }
    buffer_release(&text);
    return status;
}
