/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/hook.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"

static void set_reason(struct hook_ref *ref, const char *text)
{
    heap_free(ref->reason);
    ref->reason = heap_copy_text(text, strlen(text));
    ref->state = HOOK_REFUSED;
    /* One line: git prints it behind the ref. */
    for (char *p = ref->reason; *p != '\0'; p++) {
        *p = *p == '\n' || *p == '\r' ? ' ' : *p;
    }
}

void hook_refuse(struct hook_ref *ref, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    set_reason(ref, text);
}

void hook_refuse_all(struct hook_push *push, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (size_t i = 0; i < push->count; i++) {
        if (push->refs[i].state != HOOK_REFUSED) {
            set_reason(&push->refs[i], text);
        }
    }
}

const char *hook_try_again(const struct rk_error *error)
{
    return error->reaction == RK_RETRY ? "; nothing was changed, push again in a while" : "";
}

void hook_spread_refusal(struct hook_push *push)
{
    const struct hook_ref *first = NULL;

    for (size_t i = 0; i < push->count && first == NULL; i++) {
        first = push->refs[i].state == HOOK_REFUSED ? &push->refs[i] : NULL;
    }
    if (push->is_atomic && first != NULL) {
        hook_refuse_all(push, "atomic push: %s was refused: %s", first->name, first->reason);
    }
}

bool hook_has_state(const struct hook_push *push, enum hook_state state)
{
    for (size_t i = 0; i < push->count; i++) {
        if (push->refs[i].state == state) {
            return true;
        }
    }
    return false;
}

struct rk_ref_change hook_change(const struct hook_ref *ref, bool is_backward)
{
    struct rk_ref_change change = { .ref = ref->name };

    if (is_backward) {
        change.old_oid = ref->is_delete ? RK_ABSENT : ref->new_oid;
        change.new_oid = ref->is_create ? NULL : ref->old_oid;
    } else {
        change.old_oid = ref->is_create ? RK_ABSENT : ref->old_oid;
        change.new_oid = ref->is_delete ? NULL : ref->new_oid;
    }
    return change;
}
