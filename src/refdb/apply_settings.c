/* SPDX-License-Identifier: Apache-2.0 */
/* Limits and the tracked-ref filter: settings of the whole cluster. */
#include <inttypes.h>

#include "model/ref_filter.h"
#include "refdb/apply.h"
#include "refdb/settings.h"

const char *refdb_limit_name(enum limit limit)
{
    static const char *const names[LIMIT_COUNT] = {
        [LIMIT_REPOSITORIES] = "repositories",
        [LIMIT_REFS] = "refs",
        [LIMIT_BYTES] = "bytes",
        [LIMIT_REPOSITORY_REFS] = "refs of a repository",
    };

    return names[limit];
}

/* ---- Room ---- */

static uint64_t left(uint64_t limit, uint64_t used)
{
    if (limit == 0) {
        return UINT64_MAX;
    }
    return limit > used ? limit - used : 0;
}

struct room apply_room(const struct refdb *db, const struct repository *r, const uint64_t *freed)
{
    const uint64_t used[LIMIT_COUNT] = {
        [LIMIT_REPOSITORIES] = db->maps.repositories.count,
        [LIMIT_REFS] = db->ref_count,
        [LIMIT_BYTES] = db->repository_bytes + db->ref_bytes,
        [LIMIT_REPOSITORY_REFS] = r == NULL ? 0 : r->refs.count,
    };
    struct room room;

    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        room.left[i] = left(db->limits[i], used[i] - (freed == NULL ? 0 : freed[i]));
    }
    return room;
}

bool apply_has_limits(const struct refdb *db)
{
    return db->maps.settings.count > 0 &&
           (db->limits[LIMIT_REPOSITORIES] | db->limits[LIMIT_REFS] | db->limits[LIMIT_BYTES] |
            db->limits[LIMIT_REPOSITORY_REFS]) != 0;
}

bool apply_take_room(struct apply *a, struct room *room, const uint64_t wanted[LIMIT_COUNT],
                     struct refdb_item *item)
{
    struct buffer *text = &a->db->scratch;

    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        if (wanted[i] > room->left[i]) {
            buffer_clear(text);
            buffer_printf(text, "limited to %" PRIu64 " %s", a->db->limits[i],
                          refdb_limit_name((enum limit)i));
            apply_refuse(a, item, RK_TOOLARGE, buffer_slice(text));
            return false;
        }
    }
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        room->left[i] -= wanted[i];
    }
    return true;
}

/* ---- Setting them ---- */

static void note(struct apply *a, const char *name, struct slice value)
{
    struct refdb_change *change = result_change(&a->db->results, REFDB_CHANGE_SETTING, SLICE_NONE);

    change->name = slice_of_text(name);
    change->new_text = result_text(&a->db->results, value);
}

void apply_set_limits(struct apply *a, const struct command *c)
{
    struct refdb_item *item = apply_one_item(a);
    struct buffer *text = &a->db->scratch;
    uint64_t limits[LIMIT_COUNT];

    memcpy(limits, a->db->limits, sizeof limits);
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        if ((c->u.set_limits.fields & 1U << i) != 0) {
            limits[i] = c->u.set_limits.values[i];
        }
    }
    if (apply_has_demands(a)) {
        item->status = RK_BADARG;
        return;
    }
    if (memcmp(limits, a->db->limits, sizeof limits) == 0) {
        item->outcome = REFDB_ALREADY;
        return;
    }
    settings_put_limits(a->db, limits);
    buffer_clear(text);
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        buffer_printf(text, "%s%" PRIu64 " %s", i == 0 ? "" : ", ", limits[i],
                      refdb_limit_name((enum limit)i));
    }
    note(a, "limits", buffer_slice(text));
}

void apply_set_filter(struct apply *a, const struct command *c)
{
    struct refdb_item *item = apply_one_item(a);
    struct slice rules = c->u.set_filter.rules, rest = rules;
    struct buffer *text = &a->db->scratch;
    struct ref_rule rule;

    if (apply_has_demands(a)) {
        item->status = RK_BADARG;
        return;
    }
    buffer_clear(text);
    while (ref_filter_next(&rest, &rule)) {
        if (!ref_pattern_is_valid(rule.pattern)) {
            apply_refuse(a, item, RK_BADARG,
                         slice_of_text("a pattern starts with refs/ and has at most one * "
                                       "between slashes"));
            return;
        }
        buffer_printf(text, "%s%s ", text->size == 0 ? "" : ", ",
                      rule.is_tracked ? "track" : "ignore");
        buffer_put_slice(text, rule.pattern);
    }
    if (slice_equal(rules, buffer_slice(&a->db->filter))) {
        item->outcome = REFDB_ALREADY;
        return;
    }
    settings_put_filter(a->db, rules);
    note(a, "filter", buffer_slice(text));
}
