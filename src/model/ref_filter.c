/* SPDX-License-Identifier: Apache-2.0 */
#include "model/ref_filter.h"

void ref_filter_put(struct buffer *out, const struct ref_rule *rule)
{
    buffer_put_u8(out, rule->is_tracked);
    buffer_put_string(out, rule->pattern);
}

bool ref_filter_next(struct slice *rest, struct ref_rule *ret_rule)
{
    struct reader in = reader_of(*rest);
    uint8_t is_tracked = reader_u8(&in);
    struct slice pattern = reader_string(&in, FILTER_PATTERN_BYTES_MAX);

    if (in.failed || is_tracked > 1) {
        return false;
    }
    ret_rule->is_tracked = is_tracked == 1;
    ret_rule->pattern = pattern;
    *rest = slice_of(in.data + in.offset, in.size - in.offset);
    return true;
}

/* Takes the first component off `rest`, with the slash behind it. */
static struct slice take_component(struct slice *rest)
{
    const uint8_t *slash = memchr(rest->data, '/', rest->size);
    size_t size = slash == NULL ? rest->size : (size_t)(slash - rest->data);
    struct slice component = slice_of(rest->data, size);

    size += slash != NULL;
    *rest = slice_of(rest->data + size, rest->size - size);
    return component;
}

static bool component_is_valid(struct slice component)
{
    unsigned stars = 0;

    for (size_t i = 0; i < component.size; i++) {
        uint8_t c = component.data[i];

        if (c <= ' ' || c == 0x7f) {
            return false;
        }
        stars += c == '*';
    }
    return component.size > 0 && stars <= 1;
}

bool ref_pattern_is_valid(struct slice pattern)
{
    struct slice rest = pattern;

    if (pattern.size > FILTER_PATTERN_BYTES_MAX ||
        !slice_has_prefix(pattern, slice_of_text("refs/"))) {
        return false;
    }
    while (rest.size > 0) {
        if (!component_is_valid(take_component(&rest))) {
            return false;
        }
    }
    return true;
}

static bool component_fits(struct slice pattern, struct slice component)
{
    const uint8_t *star = memchr(pattern.data, '*', pattern.size);
    size_t before, after;

    if (star == NULL) {
        return slice_equal(pattern, component);
    }
    before = (size_t)(star - pattern.data);
    after = pattern.size - before - 1;
    return component.size >= before + after && memcmp(component.data, pattern.data, before) == 0 &&
           memcmp(component.data + component.size - after, star + 1, after) == 0;
}

bool ref_pattern_fits(struct slice pattern, struct slice refname)
{
    bool is_prefix = pattern.size > 0 && pattern.data[pattern.size - 1] == '/';

    while (pattern.size > 0 && refname.size > 0) {
        if (!component_fits(take_component(&pattern), take_component(&refname))) {
            return false;
        }
    }
    return pattern.size == 0 && (refname.size > 0) == is_prefix;
}

bool ref_filter_tracks(struct slice rules, struct slice refname)
{
    struct ref_rule rule;

    while (ref_filter_next(&rules, &rule)) {
        if (ref_pattern_fits(rule.pattern, refname)) {
            return rule.is_tracked;
        }
    }
    return true;
}
