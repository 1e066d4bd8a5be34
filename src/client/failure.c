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

/* The value behind ` key=`, up to the next space; `ret_end` is where it ends. */
static const char *find_value(const char *text, const char *key, size_t *ret_size)
{
    size_t key_size = strlen(key);

    for (const char *at = strstr(text, key); at != NULL; at = strstr(at + 1, key)) {
        if (at == text || at[-1] == ' ') {
            *ret_size = strcspn(at + key_size, " ");
            return at + key_size;
        }
    }
    return NULL;
}

/* Takes the three facts out of the text.  False when they are not there. */
static bool take_current(struct rk_error *error, const char *text)
{
    size_t size;
    const char *value = find_value(text, "current=", &size);

    if (value == NULL || size > RK_OID_TEXT_MAX) {
        return false;
    }
    memcpy(error->current_oid, value, size);
    error->current_oid[size] = '\0';
    value = find_value(text, "index=", &size);
    if (value != NULL) {
        error->current_index = strtoull(value, NULL, 10);
    }
    /* The actor comes last and may hold spaces. */
    value = find_value(text, "actor=", &size);
    if (value != NULL) {
        snprintf(error->current_actor, sizeof error->current_actor, "%s", value);
    }
    return true;
}

static void explain_current(struct rk_error *error, const char *word)
{
    char since[48] = "";
    bool is_absent = strcmp(error->current_oid, RK_ABSENT) == 0;
    const char *actor = error->current_actor;

    if (error->current_index != 0) {
        snprintf(since, sizeof since, " since log index %llu",
                 (unsigned long long)error->current_index);
    }
    snprintf(error->message, sizeof error->message, "%s: %s: it %s%s%s%s%s", word,
             rk_status_text(error->status), is_absent ? "does not exist" : "is at ",
             is_absent ? "" : error->current_oid, since, actor[0] == '\0' ? "" : ", set by ",
             actor);
}

enum rk_status failure_parse(struct rk_error *error, const char *text, size_t size,
                             const char *endpoint)
{
    enum rk_status status = failure_status(text, size);
    const char *space = memchr(text, ' ', size);
    const char *rest = space == NULL ? "" : space + 1;
    const char *word = rk_status_word(status);

    if (error == NULL) {
        return status;
    }
    if (status == RK_PROTOCOL) {
        return failure_set(error, status, endpoint, "unexpected answer: %.500s", text);
    }
    failure_set(error, status, endpoint, "%s: %s%s%.600s", word, rk_status_text(status),
                rest[0] == '\0' ? "" : ": ", rest);
    if ((status == RK_CONFLICT || status == RK_EXISTS) && take_current(error, rest)) {
        explain_current(error, word);
    }
    return status;
}
