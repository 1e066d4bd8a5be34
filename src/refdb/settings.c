/* SPDX-License-Identifier: Apache-2.0 */
#include "refdb/settings.h"

#include "model/ref_filter.h"

#define LIMITS_NAME "limits"
#define FILTER_NAME "filter"

static const struct digest SETTING_SEED = { 0x73657474696e672dULL, 0x7265636f72642d6fULL };

struct digest settings_digest(struct slice name, struct slice record)
{
    return digest_bytes(digest_bytes(SETTING_SEED, name), record);
}

/* Replaces the record; an empty one removes it. */
static void put_record(struct refdb *db, struct slice name, struct slice record)
{
    struct slice old;

    if (map_find(&db->maps.settings, name, &old)) {
        digest_subtract(&db->at.sum, settings_digest(name, old));
        map_remove(&db->pool, &db->maps.settings, name);
    }
    if (record.size > 0) {
        digest_add(&db->at.sum, settings_digest(name, record));
        map_put(&db->pool, &db->maps.settings, name, record);
    }
}

void settings_put_limits(struct refdb *db, const uint64_t limits[LIMIT_COUNT])
{
    uint8_t record[8 * LIMIT_COUNT];
    uint64_t any = 0;

    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        db->limits[i] = limits[i];
        put_be64(record + 8 * (size_t)i, limits[i]);
        any |= limits[i];
    }
    put_record(db, slice_of_text(LIMITS_NAME),
               any == 0 ? SLICE_NONE : slice_of(record, sizeof record));
}

void settings_put_filter(struct refdb *db, struct slice rules)
{
    buffer_clear(&db->filter);
    buffer_put_slice(&db->filter, rules);
    put_record(db, slice_of_text(FILTER_NAME), rules);
}

static bool rules_are_good(struct slice rules)
{
    struct ref_rule rule;
    unsigned count = 0;

    while (rules.size > 0) {
        if (++count > FILTER_RULES_MAX || !ref_filter_next(&rules, &rule) ||
            !ref_pattern_is_valid(rule.pattern)) {
            return false;
        }
    }
    return count > 0;
}

static bool put_limits_record(struct refdb *db, struct slice record)
{
    uint64_t limits[LIMIT_COUNT], any = 0;

    if (record.size != sizeof limits) {
        return false;
    }
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        limits[i] = get_be64(record.data + 8 * (size_t)i);
        any |= limits[i];
    }
    if (any != 0) {
        settings_put_limits(db, limits);
    }
    return any != 0;
}

bool settings_put(struct refdb *db, struct slice name, struct slice record)
{
    if (slice_equal(name, slice_of_text(LIMITS_NAME))) {
        return put_limits_record(db, record);
    }
    if (!slice_equal(name, slice_of_text(FILTER_NAME)) || !rules_are_good(record)) {
        return false;
    }
    settings_put_filter(db, record);
    return true;
}
