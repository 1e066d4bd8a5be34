/* SPDX-License-Identifier: Apache-2.0 */
#include "client/failure.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum rk_status failure_set(struct rk_error *error, enum rk_status status, const char *endpoint,
                           const char *format, ...)
{
    va_list args;

    if (error == NULL) {
        return status;
    }
    memset(error, 0, sizeof *error);
    error->status = status;
    error->reaction = rk_status_reaction(status);
    snprintf(error->endpoint, sizeof error->endpoint, "%s", endpoint == NULL ? "" : endpoint);
    va_start(args, format);
    vsnprintf(error->message, sizeof error->message, format, args);
    va_end(args);
    return status;
}

enum rk_status failure_status(const char *text, size_t size)
{
    const char *space = memchr(text, ' ', size);
    size_t word = space == NULL ? size : (size_t)(space - text);
    enum rk_status status = rk_status_from_word(text, word);

    return status == RK_STATUS_COUNT || status == RK_OK ? RK_PROTOCOL : status;
}

/* ---- The text of an error reply: WORD key=value key=value text ---- */

struct fact {
    const char *key;
    size_t key_size;
    char value[RK_ACTOR_BYTES_MAX + 1];
};

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

/* Values hold no spaces: the server writes %XX for what is not graphic. */
static void unescape(const char *text, size_t size, char *out, size_t capacity)
{
    size_t n = 0;

    for (size_t i = 0; i < size && n + 1 < capacity; i++) {
        char c = text[i];

        if (c == '%' && i + 2 < size && hex_digit(text[i + 1]) >= 0 &&
            hex_digit(text[i + 2]) >= 0) {
            c = (char)(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
            i += 2;
        }
        /* Shown on terminals and in one line of git's output. */
        out[n++] = (unsigned char)c < ' ' || c == 127 ? '?' : c;
    }
    out[n] = '\0';
}

/* Takes the next key=value off the text; returns what follows, NULL when there is none. */
static const char *take_fact(const char *text, struct fact *ret_fact)
{
    size_t word = strcspn(text, " ");
    const char *equals = memchr(text, '=', word);

    if (equals == NULL || equals == text) {
        return NULL;
    }
    for (const char *p = text; p < equals; p++) {
        if ((*p < 'a' || *p > 'z') && *p != '_') {
            return NULL;
        }
    }
    ret_fact->key = text;
    ret_fact->key_size = (size_t)(equals - text);
    unescape(equals + 1, (size_t)(text + word - equals) - 1, ret_fact->value,
             sizeof ret_fact->value);
    return text[word] == ' ' ? text + word + 1 : text + word;
}

static bool is_key(const struct fact *fact, const char *key)
{
    return strlen(key) == fact->key_size && memcmp(key, fact->key, fact->key_size) == 0;
}

/* Whether the fact is of what a ref is at, and thus kept in fields of its own. */
static bool keep_fact(struct rk_error *error, const struct fact *fact)
{
    if (error->status != RK_CONFLICT && error->status != RK_EXISTS) {
        return false;
    }
    if (is_key(fact, "current")) {
        snprintf(error->current_oid, sizeof error->current_oid, "%.64s", fact->value);
    } else if (is_key(fact, "index")) {
        error->current_index = strtoull(fact->value, NULL, 10);
    } else if (is_key(fact, "actor")) {
        snprintf(error->current_actor, sizeof error->current_actor, "%s", fact->value);
    } else {
        return false;
    }
    return true;
}

static void append(char *out, size_t capacity, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void append(char *out, size_t capacity, const char *format, ...)
{
    size_t used = strlen(out);
    va_list args;

    va_start(args, format);
    vsnprintf(out + used, capacity - used, format, args);
    va_end(args);
}

/* "it is at X since log index N, set by A". */
static void explain_current(struct rk_error *e)
{
    if (strcmp(e->current_oid, RK_ABSENT) == 0) {
        if (e->status != RK_CONFLICT) {
            return;
        }
        append(e->message, sizeof e->message, ": it does not exist");
    } else {
        append(e->message, sizeof e->message, ": it is at %s", e->current_oid);
    }
    if (e->current_index != 0) {
        append(e->message, sizeof e->message, " since log index %llu",
               (unsigned long long)e->current_index);
    }
    if (e->current_actor[0] != '\0') {
        append(e->message, sizeof e->message, ", set by %s", e->current_actor);
    }
}

enum rk_status failure_parse(struct rk_error *error, const char *text, size_t size,
                             const char *endpoint)
{
    enum rk_status status = failure_status(text, size);
    const char *space = memchr(text, ' ', size);
    const char *rest = space == NULL ? "" : space + 1;
    const char *next;
    struct fact fact;
    char facts[sizeof error->message] = "";

    if (error == NULL) {
        return status;
    }
    if (status == RK_PROTOCOL) {
        return failure_set(error, status, endpoint, "unexpected answer: %.500s", text);
    }
    failure_set(error, status, endpoint, "%s: ", rk_status_word(status));
    while ((next = take_fact(rest, &fact)) != NULL) {
        if (!keep_fact(error, &fact)) {
            append(facts, sizeof facts, "; %.*s: %s", (int)fact.key_size, fact.key, fact.value);
        }
        rest = next;
    }
    append(error->message, sizeof error->message, "%s",
           rest[0] != '\0' ? rest : rk_status_text(status));
    if (error->current_oid[0] != '\0') {
        explain_current(error);
    }
    append(error->message, sizeof error->message, "%s", facts);
    return status;
}
