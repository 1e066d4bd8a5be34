/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pins: what holds a value between its pack and its ref.
 *
 * A pin goes when a ref of this copy has its value, the push has landed; or after PIN_S: no hook
 * waits that long for a decision, so what was not decided by then was refused.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "cli/agent.h"
#include "cli/git.h"
#include "cli/git_refs.h"
#include "sys/clock.h"

#define GIT_MS 60000
#define PIN_S 600

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_pin(const char *name)
{
    return strncmp(name, COPY_PINS, strlen(COPY_PINS)) == 0;
}

/* The values of all refs but pins, sorted.  Owned by the caller. */
static const char **list_values(const struct git_refs *refs, size_t *ret_count)
{
    const char **values = heap_alloc((refs->count + 1) * sizeof *values);
    size_t count = 0;

    for (size_t i = 0; i < refs->count; i++) {
        if (!is_pin(refs->refs[i].name)) {
            values[count++] = refs->refs[i].oid;
        }
    }
    qsort(values, count, sizeof *values, compare_texts);
    *ret_count = count;
    return values;
}

static bool has_pin(const struct git_refs *refs)
{
    for (size_t i = 0; i < refs->count; i++) {
        if (is_pin(refs->refs[i].name)) {
            return true;
        }
    }
    return false;
}

static void put_drops(const struct git_refs *refs, struct buffer *script)
{
    int64_t now_s = clock_wall_ms() / 1000;
    size_t count = 0;
    const char **values;

    if (!has_pin(refs)) {
        return;
    }
    values = list_values(refs, &count);

    for (size_t i = 0; i < refs->count; i++) {
        const struct git_ref *ref = &refs->refs[i];

        if (is_pin(ref->name) &&
            (strtoll(ref->name + strlen(COPY_PINS), NULL, 10) + PIN_S < now_s ||
             bsearch(&ref->oid, values, count, sizeof *values, compare_texts) != NULL)) {
            buffer_printf(script, "delete %s %s\n", ref->name, ref->oid);
        }
    }
    heap_free(values);
}

void agent_drop_pins(const struct agent *a, const char *git_dir, const struct git_refs *refs)
{
    static const char *const words[] = { "-c", "core.hooksPath=/dev/null", "update-ref", "--stdin",
                                         NULL };
    struct buffer script = BUFFER_INIT;
    struct errmsg why = ERRMSG_INIT;

    put_drops(refs, &script);
    if (script.size > 0 && git_run(git_dir, words, buffer_slice(&script),
                                   clock_monotonic_ms() + GIT_MS, NULL, NULL, &why) != RK_OK) {
        agent_log(a, "drop pins of %s: %s", git_dir, why.text);
    }
    buffer_release(&script);
}
