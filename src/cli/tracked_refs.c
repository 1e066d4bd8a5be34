/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tracked_refs.h"

#include <stdio.h>
#include <string.h>

#include "cli/copy.h"
#include "model/ref_filter.h"

static bool take_rules(const struct rk_reply *maps, struct buffer *out)
{
    for (size_t i = 0; i < maps->count; i++) {
        const char *word = rk_reply_get_text(maps->items[i], "rule");
        const char *pattern = rk_reply_get_text(maps->items[i], "pattern");
        struct ref_rule rule = { .is_tracked = strcmp(word, "track") == 0,
                                 .pattern = slice_of_text(pattern) };

        if ((!rule.is_tracked && strcmp(word, "ignore") != 0) ||
            !ref_pattern_is_valid(rule.pattern)) {
            return false;
        }
        ref_filter_put(out, &rule);
    }
    return true;
}

static enum rk_status take_filter(struct tracked_refs *tracked, const struct rk_reply *list,
                                  struct rk_error *error)
{
    struct buffer rules = BUFFER_INIT;

    if (list->type != RK_REPLY_ARRAY || !take_rules(list, &rules)) {
        /* One rule read wrongly would leave refs undecided that must be decided. */
        *error = (struct rk_error){ .status = RK_PROTOCOL };
        (void)snprintf(error->message, sizeof error->message,
                       "the cluster's filter of refs holds a rule that this program does not know");
        buffer_release(&rules);
        return RK_PROTOCOL;
    }
    buffer_release(&tracked->rules);
    tracked->rules = rules;
    return RK_OK;
}

enum rk_status tracked_refs_read(struct tracked_refs *tracked, struct rk_client *client,
                                 bool is_stale, struct rk_error *error)
{
    const char *request[] = { "FILTER.SHOW", "STALE" };
    struct rk_reply *maps = NULL;
    enum rk_status status = rk_call(client, RK_CALL_READ, is_stale ? 2 : 1, request, NULL, &maps,
                                    error);

    if (status == RK_OK) {
        status = take_filter(tracked, maps, error);
    }
    rk_reply_free(maps);
    return status;
}

enum rk_status tracked_refs_of(struct tracked_refs *tracked, const struct rk_reply *repository,
                               struct rk_client *client, struct rk_error *error)
{
    const struct rk_reply *list = rk_reply_get(repository, "filter");

    return list == NULL ? tracked_refs_read(tracked, client, false, error)
                        : take_filter(tracked, list, error);
}

void tracked_refs_release(struct tracked_refs *tracked)
{
    buffer_release(&tracked->rules);
}

bool tracked_refs_has(const struct tracked_refs *tracked, const char *ref)
{
    return strncmp(ref, COPY_OWN_PREFIX, strlen(COPY_OWN_PREFIX)) != 0 &&
           ref_filter_tracks(buffer_slice(&tracked->rules), slice_of_text(ref));
}

bool tracked_refs_has_filter(const struct tracked_refs *tracked)
{
    return tracked->rules.size > 0;
}
