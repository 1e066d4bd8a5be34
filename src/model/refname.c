/* SPDX-License-Identifier: Apache-2.0 */
#include "model/refname.h"

/* Not allowed anywhere in a ref name: controls, DEL, and what revision syntax uses. */
static bool refname_byte_is_bad(uint8_t c)
{
    switch (c) {
    case ' ':
    case '~':
    case '^':
    case ':':
    case '?':
    case '*':
    case '[':
    case '\\':
    case 0x7f:
        return true;
    default:
        return c < 0x20;
    }
}

static bool slice_ends_with(struct slice s, const char *tail)
{
    size_t size = strlen(tail);

    return s.size >= size && memcmp(s.data + s.size - size, tail, size) == 0;
}

/* One component, without its slashes. */
static bool component_is_valid(struct slice c)
{
    if (c.size == 0 || c.data[0] == '.' || slice_ends_with(c, ".lock")) {
        return false;
    }
    for (size_t i = 0; i < c.size; i++) {
        uint8_t before = i == 0 ? 0 : c.data[i - 1];

        if (refname_byte_is_bad(c.data[i])) {
            return false;
        }
        if ((c.data[i] == '.' && before == '.') || (c.data[i] == '{' && before == '@')) {
            return false;
        }
    }
    return true;
}

/* Cuts the first component off *rest, with the slash behind it.  False when nothing is left. */
static bool next_component(struct slice *rest, bool *is_last, struct slice *ret_component)
{
    const uint8_t *slash;
    size_t size;

    if (*is_last) {
        return false;
    }
    slash = rest->size == 0 ? NULL : memchr(rest->data, '/', rest->size);
    size = slash == NULL ? rest->size : (size_t)(slash - rest->data);
    *ret_component = slice_of(rest->data, size);
    *is_last = slash == NULL;
    if (slash != NULL) {
        *rest = slice_of(slash + 1, rest->size - size - 1);
    }
    return true;
}

bool refname_is_valid(struct slice name)
{
    struct slice rest = name;
    struct slice component;
    bool is_last = false;

    if (name.size > REFNAME_BYTES_MAX || !slice_has_prefix(name, slice_of_text("refs/")) ||
        slice_ends_with(name, ".")) {
        return false;
    }
    while (next_component(&rest, &is_last, &component)) {
        if (!component_is_valid(component)) {
            return false;
        }
    }
    return true;
}

bool repository_path_is_valid(struct slice path)
{
    struct slice rest = path;
    struct slice component;
    bool is_last = false;

    if (path.size == 0 || path.size > PATH_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < path.size; i++) {
        if (path.data[i] < 0x20 || path.data[i] == 0x7f) {
            return false;
        }
    }
    while (next_component(&rest, &is_last, &component)) {
        if (component.size == 0 || slice_equal(component, slice_of_text(".")) ||
            slice_equal(component, slice_of_text(".."))) {
            return false;
        }
    }
    return true;
}

static bool storage_byte_is_good(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

bool storage_name_is_valid(struct slice name)
{
    if (name.size == 0 || name.size > STORAGE_NAME_BYTES_MAX || name.data[0] == '-') {
        return false;
    }
    for (size_t i = 0; i < name.size; i++) {
        if (!storage_byte_is_good(name.data[i])) {
            return false;
        }
    }
    return true;
}
