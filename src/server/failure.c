/* SPDX-License-Identifier: Apache-2.0 */
#include "server/failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

void failure_set(struct failure *f, enum rk_status status, const char *format, ...)
{
    va_list args;

    f->status = status;
    f->word = NULL;
    f->field_count = 0;
    if (format == NULL) {
        (void)snprintf(f->text, sizeof(f->text), "%s", rk_status_text(status));
        return;
    }
    va_start(args, format);
    (void)vsnprintf(f->text, sizeof(f->text), format, args);
    va_end(args);
}

void failure_of_node(struct failure *f, const struct node *n, enum rk_status status)
{
    const struct membership *members = node_membership(n);
    struct node_status self;
    size_t size;

    failure_set(f, status, NULL);
    if (status != RK_NOMEMBER || members == NULL) {
        return;
    }
    node_get_status(n, &self);
    for (unsigned i = 0; i < members->count; i++) {
        const struct member *m = &members->members[i];

        size = strlen(f->text);
        if (m->id != self.id && m->client_address[0] != '\0' &&
            size + strlen(m->client_address) + sizeof("; ask ") < sizeof(f->text)) {
            (void)snprintf(f->text + size, sizeof(f->text) - size, "%s%s",
                           strchr(f->text, ';') == NULL ? "; ask " : ", ", m->client_address);
        }
    }
}

static struct failure_field *add_field(struct failure *f, const char *key,
                                       enum failure_field_type type)
{
    static struct failure_field dropped;
    struct failure_field *field = f->field_count < FAILURE_FIELDS_MAX ? &f->fields[f->field_count++]
                                                                      : &dropped;

    field->key = key;
    field->type = type;
    return field;
}

void failure_add_number(struct failure *f, const char *key, uint64_t number)
{
    add_field(f, key, FAILURE_NUMBER)->number = number;
}

void failure_add_text(struct failure *f, const char *key, struct slice text)
{
    add_field(f, key, FAILURE_TEXT)->text = text;
}

void failure_add_oid(struct failure *f, const char *key, const struct oid *oid)
{
    add_field(f, key, FAILURE_OID)->oid = *oid;
}

static void add_detail(struct failure *f, const char *key, const struct refdb_item *item)
{
    if (item->detail.size > 0) {
        failure_add_text(f, key, item->detail);
    }
}

/* Of a ref what it is at; of a repository, replica or storage why. */
static void from_current(struct failure *f, const struct refdb_item *item)
{
    if (item->detail.size > 0 && item->status == RK_EXISTS) {
        failure_set(f, RK_EXISTS, "a repository has that path already");
        failure_add_text(f, "path", item->detail);
        return;
    }
    if (item->detail.size > 0) {
        failure_set(f, RK_CONFLICT, "not while this is so");
        failure_add_text(f, "reason", item->detail);
        return;
    }
    failure_add_oid(f, "current", &item->current);
    failure_add_number(f, "index", item->current_index);
    failure_add_text(f, "actor", item->current_actor);
}

void failure_from_item(struct failure *f, const struct refdb_item *item)
{
    PRE(item->status != RK_OK);

    failure_set(f, item->status, NULL);
    switch (item->status) {
    case RK_CONFLICT:
    case RK_EXISTS:
        from_current(f, item);
        break;
    case RK_BADOID:
        failure_set(f, RK_BADOID, "not an object id of this repository: %s",
                    "40 hex digits where it is sha1, 64 where it is sha256");
        break;
    case RK_NAMECONFLICT:
        failure_add_text(f, "with", item->detail);
        break;
    case RK_FROZEN:
        failure_add_text(f, "reason", item->detail);
        break;
    case RK_RENAMED:
        failure_add_text(f, "path", item->detail);
        break;
    case RK_STALE:
        failure_set(f, RK_STALE,
                    "no report says that this replica holds all of it; FORCE with a reason moves "
                    "the primary all the same");
        failure_add_number(f, "last_index", item->current_index);
        break;
    case RK_FENCED:
        add_detail(f, "primary", item);
        break;
    case RK_NOSTORAGE:
        add_detail(f, "storage", item);
        break;
    case RK_TOOLARGE:
    case RK_BADARG:
        add_detail(f, "reason", item);
        break;
    default:
        break;
    }
}

const char *failure_word(const struct failure *f)
{
    return f->word != NULL ? f->word : rk_status_word(f->status);
}
