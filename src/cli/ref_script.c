/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ref_script.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/oid.h"

static const struct {
    const char *word;
    enum ref_command_kind kind;
    bool has_ref, has_new, has_old;
} table[] = {
    { "update", REF_COMMAND_UPDATE, true, true, true },
    { "create", REF_COMMAND_CREATE, true, true, false },
    { "delete", REF_COMMAND_DELETE, true, false, true },
    { "verify", REF_COMMAND_VERIFY, true, false, true },
    { "option", REF_COMMAND_OPTION, false, false, false },
    { "start", REF_COMMAND_START, false, false, false },
    { "prepare", REF_COMMAND_PREPARE, false, false, false },
    { "commit", REF_COMMAND_COMMIT, false, false, false },
    { "abort", REF_COMMAND_ABORT, false, false, false },
};

#define TABLE_SIZE (sizeof table / sizeof table[0])

void ref_script_init(struct ref_script *s, FILE *input, bool is_nul)
{
    *s = (struct ref_script){ .input = input, .is_nul = is_nul, .ref = BUFFER_INIT };
}

void ref_script_release(struct ref_script *s)
{
    free(s->line); /* getdelim's */
    buffer_release(&s->ref);
}

/* Reads up to the terminator, which is dropped.  False at the end of the input. */
static bool read_field(struct ref_script *s, size_t *ret_size)
{
    int end = s->is_nul ? '\0' : '\n';
    ssize_t size = getdelim(&s->line, &s->line_capacity, end, s->input);

    if (size <= 0) {
        return false;
    }
    if (s->line[size - 1] == end) {
        size--;
    }
    s->line[size] = '\0';
    *ret_size = (size_t)size;
    return true;
}

static int octal(const char *p)
{
    int value = 0;

    for (int i = 0; i < 3; i++) {
        if (p[i] < '0' || p[i] > (i == 0 ? '3' : '7')) {
            return -1;
        }
        value = value * 8 + (p[i] - '0');
    }
    return value;
}

/* One escape behind a backslash; returns what follows it, NULL when there is no such escape. */
static const char *unescape(const char *p, struct buffer *out)
{
    static const char from[] = "abfnrtv\\\"";
    static const char to[] = "\a\b\f\n\r\t\v\\\"";
    const char *known = *p == '\0' ? NULL : strchr(from, *p);
    int value;

    if (known != NULL) {
        buffer_put_u8(out, (uint8_t)to[known - from]);
        return p + 1;
    }
    value = octal(p);
    if (value <= 0) {
        return NULL;
    }
    buffer_put_u8(out, (uint8_t)value);
    return p + 3;
}

/*
 * One argument of a plain line into `out`, NUL-terminated: quoted as C does, or up to a blank.
 * Returns what follows it, NULL on bad quotes.
 */
static const char *take_argument(const char *p, struct buffer *out)
{
    buffer_clear(out);
    if (*p != '"') {
        size_t size = strcspn(p, " \t\v\f\r");

        buffer_put(out, p, size);
        buffer_put_u8(out, '\0');
        return p + size;
    }
    for (p++; p != NULL && *p != '"';) {
        if (*p == '\0') {
            return NULL;
        }
        if (*p == '\\') {
            p = unescape(p + 1, out);
        } else {
            buffer_put_u8(out, (uint8_t)*p++);
        }
    }
    if (p == NULL || (p[1] != '\0' && p[1] != ' ')) {
        return NULL;
    }
    buffer_put_u8(out, '\0');
    return p + 1;
}

static enum rk_status parse_oid(const char *text, bool empty_is_zero, enum script_oid *ret_has,
                                char ret_hex[65])
{
    struct oid oid;
    enum rk_status status;

    if (text[0] == '\0') {
        *ret_has = empty_is_zero ? SCRIPT_OID_ZERO : SCRIPT_OID_MISSING;
        return RK_OK;
    }
    status = oid_parse(slice_of_text(text), &oid);
    if (status != RK_OK) {
        return status;
    }
    *ret_has = oid_is_null(&oid) ? SCRIPT_OID_ZERO : SCRIPT_OID_GIVEN;
    oid_format(&oid, ret_hex);
    return RK_OK;
}

/* The next id: on the rest of the line, or the next field.  *rest moves on (plain only). */
static enum rk_status next_oid(struct ref_script *s, const char **rest, const char *what,
                               enum script_oid *ret_has, char ret_hex[65], struct errmsg *why)
{
    struct buffer argument = BUFFER_INIT;
    enum rk_status status;
    size_t size;

    *ret_has = SCRIPT_OID_MISSING;
    if (s->is_nul) {
        if (!read_field(s, &size)) {
            errmsg_set(why, "command %lu: the input ends before <%s>", s->number, what);
            return RK_BADARG;
        }
        status = parse_oid(s->line, false, ret_has, ret_hex);
        if (status != RK_OK) {
            errmsg_set(why, "command %lu: invalid <%s>: %.100s", s->number, what, s->line);
        }
        return status;
    }
    if ((*rest)[0] == '\0') {
        return RK_OK;
    }
    if ((*rest)[0] != ' ') {
        errmsg_set(why, "line %lu: expected a space before <%s>: %.100s", s->number, what, *rest);
        return RK_BADARG;
    }
    *rest = take_argument(*rest + 1, &argument);
    if (*rest == NULL) {
        buffer_release(&argument);
        errmsg_set(why, "line %lu: badly quoted <%s>", s->number, what);
        return RK_BADARG;
    }
    status = parse_oid((const char *)argument.data, true, ret_has, ret_hex);
    if (status != RK_OK) {
        errmsg_set(why, "line %lu: invalid <%s>: %.100s", s->number, what,
                   (const char *)argument.data);
    }
    buffer_release(&argument);
    return status;
}

/* The ref name behind the word; *rest then points behind it. */
static enum rk_status take_ref(struct ref_script *s, const char **rest, struct errmsg *why)
{
    if (s->is_nul) {
        buffer_clear(&s->ref);
        buffer_put(&s->ref, *rest, strlen(*rest) + 1);
        *rest += strlen(*rest);
    } else {
        *rest = take_argument(*rest, &s->ref);
    }
    if (*rest == NULL || s->ref.size <= 1) {
        errmsg_set(why, "command %lu: missing or badly quoted <ref>", s->number);
        return RK_BADARG;
    }
    return RK_OK;
}

/* What git refuses although the fields are well-formed. */
static enum rk_status check(const struct ref_script *s, struct ref_command *c, struct errmsg *why)
{
    bool needs_new = c->kind == REF_COMMAND_UPDATE || c->kind == REF_COMMAND_CREATE;
    const char *wrong = NULL;

    if (c->kind == REF_COMMAND_UPDATE && c->has_new == SCRIPT_OID_MISSING && s->is_nul) {
        c->has_new = SCRIPT_OID_ZERO; /* as git takes it */
    }
    if (needs_new && c->has_new == SCRIPT_OID_MISSING) {
        wrong = "missing <new-oid>";
    } else if (c->kind == REF_COMMAND_CREATE && c->has_new == SCRIPT_OID_ZERO) {
        wrong = "zero <new-oid>";
    } else if (c->kind == REF_COMMAND_DELETE && c->has_old == SCRIPT_OID_ZERO) {
        wrong = "zero <old-oid>";
    }
    if (wrong != NULL) {
        errmsg_set(why, "command %lu: %s %.200s: %s", s->number, table[c->kind].word, c->ref,
                   wrong);
        return RK_BADARG;
    }
    return RK_OK;
}

static enum rk_status take_fields(struct ref_script *s, size_t row, const char *rest,
                                  struct ref_command *c, struct errmsg *why)
{
    enum rk_status status = take_ref(s, &rest, why);

    if (status == RK_OK && table[row].has_new) {
        status = next_oid(s, &rest, "new-oid", &c->has_new, c->new_oid, why);
    }
    if (status == RK_OK && table[row].has_old) {
        status = next_oid(s, &rest, "old-oid", &c->has_old, c->old_oid, why);
    }
    if (status != RK_OK) {
        return status;
    }
    if (!s->is_nul && *rest != '\0') {
        errmsg_set(why, "line %lu: extra input: %.100s", s->number, rest);
        return RK_BADARG;
    }
    c->ref = (const char *)s->ref.data;
    return check(s, c, why);
}

/* The row whose word begins the line, followed by a space or the end. */
static size_t find_row(const char *line, size_t *ret_word)
{
    size_t row;

    *ret_word = strcspn(line, " ");
    for (row = 0; row < TABLE_SIZE; row++) {
        if (strlen(table[row].word) == *ret_word && memcmp(line, table[row].word, *ret_word) == 0) {
            break;
        }
    }
    return row;
}

enum rk_status ref_script_next(struct ref_script *s, struct ref_command *ret_command,
                               struct errmsg *why)
{
    struct ref_command c = { .kind = REF_COMMAND_END };
    enum rk_status status = RK_OK;
    size_t size, row, word;

    s->number++;
    if (!read_field(s, &size)) {
        if (ferror(s->input)) {
            errmsg_set(why, "read the input: %s", strerror(errno));
            return RK_IO;
        }
        *ret_command = c;
        return RK_OK;
    }
    row = find_row(s->line, &word);
    if (row == TABLE_SIZE || strlen(s->line) != size) {
        errmsg_set(why, "command %lu: %s: %.100s", s->number,
                   size == 0 ? "empty command in the input" : "unknown command", s->line);
        return RK_BADARG;
    }
    c.kind = table[row].kind;
    if (table[row].has_ref) {
        if (s->line[word] != ' ') {
            errmsg_set(why, "command %lu: %s: missing <ref>", s->number, table[row].word);
            return RK_BADARG;
        }
        status = take_fields(s, row, s->line + word + 1, &c, why);
    } else if (strcmp(s->line + word, c.kind == REF_COMMAND_OPTION ? " no-deref" : "") != 0) {
        errmsg_set(why, "command %lu: %s: %s:%.100s", s->number, table[row].word,
                   c.kind == REF_COMMAND_OPTION ? "unknown option" : "extra input", s->line + word);
        return RK_BADARG;
    }
    if (status == RK_OK) {
        *ret_command = c;
    }
    return status;
}
