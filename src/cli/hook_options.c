/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/hook_options.h"

#include <stdbool.h>
#include <string.h>

#include "base/heap.h"
#include "base/limits.h"
#include "cli/cli.h"

static const char ours[] = "refkeeper.";

/* The text behind "refkeeper.NAME=", NULL when it is another option. */
static const char *value_of(const char *text, const char *name)
{
    size_t size = strlen(name);

    text += strlen(ours);
    return strncmp(text, name, size) == 0 && text[size] == '=' ? text + size + 1 : NULL;
}

/* It is printed on terminals, behind the actor. */
static bool is_printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

static void take_reason(struct hook_options *o, const char *text)
{
    if (o->reason != NULL) {
        errmsg_set(&o->refusal, "push option refkeeper.reason is there twice");
    } else if (text[0] == '\0' || strlen(text) > PUSH_REASON_BYTES_MAX || !is_printable(text)) {
        errmsg_set(&o->refusal,
                   "push option refkeeper.reason takes 1 to %d bytes without control characters",
                   PUSH_REASON_BYTES_MAX);
    } else {
        o->reason = heap_copy_text(text, strlen(text));
    }
}

static void take_sync_replicas(struct hook_options *o, const char *text)
{
    if (!parse_number(text, &o->sync_replicas) || o->sync_replicas > REPLICAS_MAX) {
        errmsg_set(&o->refusal, "push option refkeeper.syncReplicas takes a number up to %d",
                   REPLICAS_MAX);
    }
}

void hook_options_take(struct hook_options *o, const char *text)
{
    const char *value;

    if (o->refusal.text[0] != '\0') {
        return;
    }
    if (++o->count > PUSH_OPTIONS_MAX) {
        errmsg_set(&o->refusal, "more than %d push options", PUSH_OPTIONS_MAX);
    } else if (strncmp(text, ours, strlen(ours)) != 0) {
        return;
    } else if ((value = value_of(text, "reason")) != NULL) {
        take_reason(o, value);
    } else if ((value = value_of(text, "syncReplicas")) != NULL) {
        take_sync_replicas(o, value);
    } else {
        errmsg_set(&o->refusal,
                   "push option %.80s is not known here: refkeeper.reason=TEXT and "
                   "refkeeper.syncReplicas=N are",
                   text);
    }
}

void hook_options_release(struct hook_options *o)
{
    heap_free(o->reason);
    o->reason = NULL;
}
