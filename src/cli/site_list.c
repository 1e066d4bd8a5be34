/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/site_list.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "model/refname.h"

#define COLUMNS_MAX 32

static char *copy(const char *text)
{
    return heap_copy_text(text, strlen(text));
}

/* ---- Items ---- */

static struct site_repository *add_item(struct site_list *list, const char *path)
{
    struct site_repository *item;

    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 256 : 2 * list->capacity;
        list->items = heap_grow(list->items, list->capacity * sizeof *list->items);
    }
    item = &list->items[list->count++];
    *item = (struct site_repository){ .path = copy(path) };
    return item;
}

static void add_copy(struct site_repository *item, const char *storage, long long generation)
{
    for (size_t i = 0; i < item->copy_count; i++) {
        if (strcmp(item->copies[i].storage, storage) == 0) {
            return;
        }
    }
    if (item->copy_count < SITE_COPIES_MAX) {
        item->copies[item->copy_count++] = (struct site_copy){ copy(storage), generation };
    }
}

static void release_item(struct site_repository *item)
{
    heap_free(item->path);
    heap_free(item->place);
    heap_free(item->primary);
    for (size_t i = 0; i < item->copy_count; i++) {
        heap_free(item->copies[i].storage);
    }
}

void site_list_release(struct site_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        release_item(&list->items[i]);
    }
    heap_free(list->items);
    heap_free(list->virtual_storage);
    *list = (struct site_list){ 0 };
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct site_repository *)a)->path,
                  ((const struct site_repository *)b)->path);
}

/* Rows of one path become one item. */
static void merge(struct site_repository *into, struct site_repository *from)
{
    if (into->primary == NULL && from->primary != NULL) {
        into->primary = copy(from->primary);
    }
    if (into->place == NULL && from->place != NULL) {
        into->place = copy(from->place);
    }
    for (size_t i = 0; i < from->copy_count; i++) {
        add_copy(into, from->copies[i].storage, from->copies[i].generation);
    }
    release_item(from);
}

/* What is of an older generation than the newest copy lacks something. */
static void drop_behind(struct site_repository *item)
{
    long long newest = 0;
    size_t kept = 0;

    for (size_t i = 0; i < item->copy_count; i++) {
        newest = item->copies[i].generation > newest ? item->copies[i].generation : newest;
    }
    for (size_t i = 0; i < item->copy_count; i++) {
        if (item->copies[i].generation < newest) {
            heap_free(item->copies[i].storage);
            item->behind++;
        } else {
            item->copies[kept++] = item->copies[i];
        }
    }
    item->copy_count = kept;
}

static void finish(struct site_list *list)
{
    size_t kept = 0;

    if (list->count == 0) {
        return;
    }
    qsort(list->items, list->count, sizeof *list->items, compare);
    for (size_t i = 0; i < list->count; i++) {
        if (kept > 0 && strcmp(list->items[kept - 1].path, list->items[i].path) == 0) {
            merge(&list->items[kept - 1], &list->items[i]);
        } else {
            list->items[kept++] = list->items[i];
        }
    }
    list->count = kept;
    for (size_t i = 0; i < kept; i++) {
        drop_behind(&list->items[i]);
    }
}

/* ---- One row of Praefect's, from either form ---- */

struct row {
    const char *path, *place, *primary, *storage, *virtual_storage;
    long long generation; /* 0 = not said */
    char *storages[SITE_COPIES_MAX];
    size_t storage_count;
};

static void take_storages(struct row *row, const char *text)
{
    static const char separators[] = "{},; ";

    while (*text != '\0') {
        size_t size = strcspn(text, separators);

        if (size > 0 && row->storage_count < SITE_COPIES_MAX) {
            row->storages[row->storage_count++] = heap_copy_text(text, size);
        }
        text += size + (text[size] == '\0' ? 0 : 1);
    }
}

static void take_column(struct row *row, const char *name, const char *value)
{
    static const struct {
        const char *name;
        size_t offset;
    } texts[] = {
        { "relative_path", offsetof(struct row, path) },
        { "replica_path", offsetof(struct row, place) },
        { "primary", offsetof(struct row, primary) },
        { "authoritative_storage", offsetof(struct row, primary) },
        { "storage", offsetof(struct row, storage) },
        { "virtual_storage", offsetof(struct row, virtual_storage) },
    };

    if (value[0] == '\0') {
        return;
    }
    if (strcmp(name, "storages") == 0 || strcmp(name, "replicas") == 0) {
        take_storages(row, value);
    } else if (strcmp(name, "generation") == 0) {
        row->generation = strtoll(value, NULL, 10);
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(name, texts[i].name) == 0) {
            *(const char **)(void *)((char *)row + texts[i].offset) = value;
        }
    }
}

static enum rk_status check_row(struct site_list *list, const struct row *row, size_t number,
                                struct errmsg *why)
{
    if (row->path == NULL || !repository_path_is_valid(slice_of_text(row->path))) {
        errmsg_set(why, "row %zu: relative_path is %s%s", number,
                   row->path == NULL ? "missing" : "not a canonical path: ",
                   row->path == NULL ? "" : row->path);
        return RK_BADARG;
    }
    if ((row->primary != NULL && !storage_name_is_valid(slice_of_text(row->primary))) ||
        (row->storage != NULL && !storage_name_is_valid(slice_of_text(row->storage)))) {
        errmsg_set(why, "row %zu: not the name of a storage", number);
        return RK_BADARG;
    }
    if (row->virtual_storage != NULL && list->virtual_storage == NULL) {
        list->virtual_storage = copy(row->virtual_storage);
    }
    if (row->virtual_storage != NULL && strcmp(list->virtual_storage, row->virtual_storage) != 0) {
        errmsg_set(why, "row %zu: virtual storage %s, before it %s: import them one by one", number,
                   row->virtual_storage, list->virtual_storage);
        return RK_BADARG;
    }
    return RK_OK;
}

static enum rk_status take_row(struct site_list *list, struct row *row, size_t number,
                               struct errmsg *why)
{
    enum rk_status status = check_row(list, row, number, why);
    struct site_repository *item;

    if (status == RK_OK) {
        item = add_item(list, row->path);
        item->place = row->place == NULL ? NULL : copy(row->place);
        item->primary = row->primary == NULL ? NULL : copy(row->primary);
        if (row->storage != NULL) {
            add_copy(item, row->storage, row->generation);
        }
        for (size_t i = 0; i < row->storage_count; i++) {
            add_copy(item, row->storages[i], row->generation);
        }
    }
    for (size_t i = 0; i < row->storage_count; i++) {
        heap_free(row->storages[i]);
    }
    return status;
}

/* ---- CSV ---- */

/* Splits a line in place [RFC 4180]; quotes may not span lines. Returns the count. */
static size_t split_csv(char *line, char **cells)
{
    size_t count = 0;
    bool is_more = true;

    while (is_more && count < COLUMNS_MAX) {
        char *out = line;

        cells[count++] = line;
        if (*line == '"') {
            for (line++; *line != '\0' && (line[0] != '"' || line[1] == '"'); line++) {
                line += *line == '"' ? 1 : 0;
                *out++ = *line;
            }
            line += strcspn(line, ",");
        } else {
            out = line += strcspn(line, ",");
        }
        is_more = *line == ',';
        *out = '\0';
        line++;
    }
    return count;
}

static enum rk_status parse_csv(struct site_list *list, char *text, struct errmsg *why)
{
    char *names[COLUMNS_MAX], *cells[COLUMNS_MAX], *rest = NULL;
    char *line = strtok_r(text, "\r\n", &rest);
    size_t columns = line == NULL ? 0 : split_csv(line, names);
    enum rk_status status = RK_OK;

    for (size_t number = 1; status == RK_OK && (line = strtok_r(NULL, "\r\n", &rest)) != NULL;
         number++) {
        size_t count = split_csv(line, cells);
        struct row row = { 0 };

        if (count != columns) {
            errmsg_set(why, "row %zu: %zu cells, the header has %zu", number, count, columns);
            return RK_BADARG;
        }
        for (size_t i = 0; i < count; i++) {
            take_column(&row, names[i], cells[i]);
        }
        status = take_row(list, &row, number, why);
    }
    return status;
}

/* ---- JSON ---- */

static enum rk_status take_object(struct site_list *list, json_t *object, size_t number,
                                  struct errmsg *why)
{
    struct row row = { 0 };
    const char *name;
    json_t *value, *item;
    size_t i;

    if (!json_is_object(object)) {
        errmsg_set(why, "row %zu: an object was expected", number);
        return RK_BADARG;
    }
    json_object_foreach(object, name, value)
    {
        if (json_is_string(value)) {
            take_column(&row, name, json_string_value(value));
        } else if (json_is_integer(value) && strcmp(name, "generation") == 0) {
            row.generation = json_integer_value(value);
        } else if (json_is_array(value)) {
            json_array_foreach(value, i, item)
            {
                if (json_is_string(item) &&
                    (strcmp(name, "storages") == 0 || strcmp(name, "replicas") == 0)) {
                    take_storages(&row, json_string_value(item));
                }
            }
        }
    }
    return take_row(list, &row, number, why);
}

/* An array, or one object after the other. */
static enum rk_status parse_json(struct site_list *list, struct slice text, struct errmsg *why)
{
    const char *at = (const char *)text.data;
    size_t left = text.size, number = 0;
    enum rk_status status = RK_OK;

    while (status == RK_OK && left > 0 && strspn(at, " \t\r\n") < left) {
        json_error_t error;
        json_t *value = json_loadb(at, left, JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES,
                                   &error);
        json_t *item;
        size_t i;

        if (value == NULL) {
            errmsg_set(why, "row %zu: %s", number + 1, error.text);
            return RK_BADARG;
        }
        if (json_is_array(value)) {
            json_array_foreach(value, i, item)
            {
                status = status == RK_OK ? take_object(list, item, ++number, why) : status;
            }
        } else {
            status = take_object(list, value, ++number, why);
        }
        json_decref(value);
        at += error.position;
        left -= (size_t)error.position;
    }
    return status;
}

/* ---- Gerrit ---- */

static enum rk_status add_project(struct site_list *list, const char *name, struct errmsg *why)
{
    size_t size = strlen(name) + sizeof ".git";
    char *path = heap_alloc(size);
    enum rk_status status = RK_OK;

    (void)snprintf(path, size, "%s.git", name);
    if (repository_path_is_valid(slice_of_text(path))) {
        (void)add_item(list, path);
    } else {
        errmsg_set(why, "project %s: not a canonical path", name);
        status = RK_BADARG;
    }
    heap_free(path);
    return status;
}

static enum rk_status parse_gerrit_json(struct site_list *list, struct slice text,
                                        struct errmsg *why)
{
    json_error_t error;
    json_t *root = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &error);
    enum rk_status status = RK_OK;
    const char *name;
    json_t *value;

    if (!json_is_object(root)) {
        errmsg_set(why, "line %d: %s", error.line,
                   root == NULL ? error.text : "an object was expected");
        json_decref(root);
        return RK_BADARG;
    }
    json_object_foreach(root, name, value)
    {
        status = status == RK_OK ? add_project(list, name, why) : status;
    }
    json_decref(root);
    return status;
}

static enum rk_status parse_gerrit_lines(struct site_list *list, char *text, struct errmsg *why)
{
    char *rest = NULL;
    enum rk_status status = RK_OK;

    for (char *line = strtok_r(text, "\r\n", &rest); line != NULL && status == RK_OK;
         line = strtok_r(NULL, "\r\n", &rest)) {
        status = add_project(list, line, why);
    }
    return status;
}

/* ---- Which ---- */

enum rk_status site_list_parse(struct site_list *list, const char *format, struct slice text,
                               struct errmsg *why)
{
    char *own = heap_copy_text((const char *)text.data, text.size);
    char first = own[strspn(own, " \t\r\n")];
    bool is_json = first == '{' || first == '[';
    enum rk_status status;

    *list = (struct site_list){ 0 };
    if (strcmp(format, "gerrit") == 0) {
        status = is_json ? parse_gerrit_json(list, text, why) : parse_gerrit_lines(list, own, why);
    } else if (strcmp(format, "praefect") == 0) {
        status = is_json ? parse_json(list, text, why) : parse_csv(list, own, why);
    } else {
        errmsg_set(why, "format is praefect or gerrit");
        status = RK_BADARG;
    }
    finish(list);
    heap_free(own);
    return status;
}
