/* SPDX-License-Identifier: Apache-2.0 */
#include "server/json_body.h"

#include <jansson.h>
#include <stdio.h>

#include "base/heap.h"
#include "model/refname.h"
#include "server/http_parser.h"

struct body_reader {
    struct json_body *body;
    struct request *request;
    struct request_scratch *scratch;
    struct failure *why;
    char *pointer; /* of the body: to what is being read */
};

/* ---- Where ---- */

/* A member of the body; `~` and `/` in names are escaped [RFC 6901 3], long names are cut. */
static void at_member(struct body_reader *r, const char *name)
{
    size_t used = 0;

    r->pointer[used++] = '/';
    for (; *name != '\0' && used + 3 < sizeof r->body->pointer; name++) {
        if (*name == '~' || *name == '/') {
            r->pointer[used++] = '~';
            r->pointer[used++] = *name == '~' ? '0' : '1';
        } else {
            r->pointer[used++] = *name;
        }
    }
    r->pointer[used] = '\0';
}

static void at_item(struct body_reader *r, const char *list, size_t i, const char *member)
{
    (void)snprintf(r->pointer, sizeof r->body->pointer, "/%s/%zu%s%s", list, i,
                   member[0] == '\0' ? "" : "/", member);
}

static enum rk_status pointed(struct body_reader *r, enum rk_status status)
{
    if (status != RK_OK) {
        failure_add_text(r->why, "pointer", slice_of_text(r->pointer));
    }
    return status;
}

static enum rk_status refuse(struct body_reader *r, enum rk_status status, const char *problem)
{
    failure_set(r->why, status, "%s", problem);
    return pointed(r, status);
}

static struct slice text_of(const json_t *value)
{
    return slice_of((const uint8_t *)json_string_value(value), json_string_length(value));
}

/* ---- What every type has: fields ---- */

/* Text, or a whole number that is not negative. */
static enum rk_status set_field(struct body_reader *r, enum request_field field,
                                const json_t *value)
{
    char digits[24];
    enum rk_status status;

    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        (void)snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        /* Numbers are taken at once; a text that is all digits would not outlive this. */
        if (!request_field_is_number(field)) {
            return refuse(r, RK_BADARG, "text was expected");
        }
        status = request_set_field(r->request, field, slice_of_text(digits), r->why);
    } else if (json_is_string(value)) {
        status = request_set_field(r->request, field, text_of(value), r->why);
    } else {
        return refuse(r, RK_BADARG, "text was expected, or a whole number where ids are");
    }
    return pointed(r, status);
}

/* ---- Lists ---- */

static enum rk_status take_names(struct body_reader *r, const char *name, const json_t *value,
                                 size_t count_max)
{
    size_t count = json_array_size(value);
    struct slice *items;

    if (!json_is_array(value)) {
        return refuse(r, RK_BADARG, "a list of texts was expected");
    }
    if (count > count_max) {
        return refuse(r, RK_TOOLARGE, "too many");
    }
    items = request_scratch_items(r->scratch, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(value, i);

        if (!json_is_string(item)) {
            at_item(r, name, i, "");
            return refuse(r, RK_BADARG, "text was expected");
        }
        items[i] = text_of(item);
    }
    r->request->items = items;
    r->request->item_count = (uint32_t)count;
    return RK_OK;
}

/* Replicas are checked here, as RESP does while it takes them; paths by the type. */
static enum rk_status take_replicas(struct body_reader *r, const json_t *value)
{
    enum rk_status status = take_names(r, "replicas", value, REPLICAS_MAX);

    for (uint32_t i = 0; status == RK_OK && i < r->request->item_count; i++) {
        if (!storage_name_is_valid(r->request->items[i])) {
            at_item(r, "replicas", i, "");
            status = refuse(r, RK_BADARG, "not a storage name");
        }
    }
    return status;
}

/* ---- Updates ---- */

struct update_texts {
    struct slice ref, old_text, new_text;
    bool has_ref, has_old, has_new;
};

static enum rk_status take_base64(struct body_reader *r, const json_t *value, struct slice *ret_ref)
{
    struct json_body *body = r->body;
    size_t size;

    /* Decoded it is shorter, and the whole body had room. */
    if (!json_is_string(value) ||
        !http_decode_base64(text_of(value), body->bytes + body->size, &size)) {
        return refuse(r, RK_BADREF, "base64 was expected");
    }
    *ret_ref = slice_of(body->bytes + body->size, size);
    body->size += size;
    return RK_OK;
}

static enum rk_status take_update_member(struct body_reader *r, const char *name,
                                         const json_t *value, struct update_texts *texts)
{
    if (strcmp(name, "ref_b64") == 0 && !texts->has_ref) {
        texts->has_ref = true;
        return take_base64(r, value, &texts->ref);
    }
    if (strcmp(name, "ref") == 0 && json_is_null(value)) {
        return RK_OK; /* as answers write it beside ref_b64 */
    }
    if (strcmp(name, "ref") == 0 && !texts->has_ref && json_is_string(value)) {
        texts->has_ref = true;
        texts->ref = text_of(value);
    } else if (strcmp(name, "old") == 0 && (json_is_string(value) || json_is_null(value))) {
        texts->has_old = true;
        texts->old_text = json_is_null(value) ? slice_of_text("ABSENT") : text_of(value);
    } else if (strcmp(name, "new") == 0 && (json_is_string(value) || json_is_null(value))) {
        texts->has_new = true;
        texts->new_text = text_of(value);
    } else {
        return refuse(r, RK_BADARG, "ref or ref_b64, old and new were expected, as text");
    }
    return RK_OK;
}

static enum rk_status take_update(struct body_reader *r, size_t i, json_t *object,
                                  struct ref_update *ret_update)
{
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    struct update_texts texts = { 0 };
    enum rk_status status = RK_OK;
    const char *name;
    json_t *value;

    at_item(r, "updates", i, "");
    if (!json_is_object(object)) {
        return refuse(r, RK_BADARG, "an object was expected");
    }
    json_object_foreach(object, name, value)
    {
        at_item(r, "updates", i, name);
        status = take_update_member(r, name, value, &texts);
        if (status != RK_OK) {
            return status;
        }
    }
    at_item(r, "updates", i, "");
    if (!texts.has_ref || !texts.has_old || !texts.has_new) {
        return refuse(r, RK_BADARG, "ref, old and new are needed");
    }
    if (texts.new_text.data == NULL) { /* as long as the old one, where that is an id */
        texts.new_text = slice_of((const uint8_t *)zeros, texts.old_text.size == 64 ? 64 : 40);
    }
    return pointed(
        r, request_update_parse(texts.ref, texts.old_text, texts.new_text, ret_update, r->why));
}

static enum rk_status take_updates(struct body_reader *r, const json_t *list)
{
    size_t count = json_array_size(list);
    struct ref_update *updates;
    enum rk_status status = RK_OK;

    if (count == 0) {
        return refuse(r, RK_BADARG, "a list of updates was expected");
    }
    if (count > BATCH_ITEMS_MAX) {
        return refuse(r, RK_TOOLARGE, "too many updates");
    }
    updates = request_scratch_updates(r->scratch, (uint32_t)count);
    for (size_t i = 0; status == RK_OK && i < count; i++) {
        status = take_update(r, i, json_array_get(list, i), &updates[i]);
    }
    r->request->updates = updates;
    r->request->update_count = (uint32_t)count;
    return status;
}

/* ---- The body ---- */

static bool is_type(const struct body_reader *r, const char *name)
{
    return strcmp(r->request->type->name, name) == 0;
}

static enum rk_status take_member(struct body_reader *r, const char *name, const json_t *value)
{
    enum request_field field;

    at_member(r, name);
    if (is_type(r, "REF.TXN") && strcmp(name, "updates") == 0) {
        return take_updates(r, value);
    }
    if (is_type(r, "REF.TXN") && strcmp(name, "atomic") == 0) {
        if (!json_is_boolean(value)) {
            return refuse(r, RK_BADARG, "true or false was expected");
        }
        r->request->envelope.flags &= json_is_true(value) ? ~0U : ~(unsigned)ENVELOPE_ATOMIC;
        return RK_OK;
    }
    if (is_type(r, "PRIMARY.SET") && strcmp(name, "paths") == 0) {
        return take_names(r, "paths", value, BATCH_ITEMS_MAX);
    }
    if (is_type(r, "REPO.CREATE") && strcmp(name, "replicas") == 0) {
        return take_replicas(r, value);
    }
    if (is_type(r, "REPO.CREATE") && strcmp(name, "primary") == 0) {
        return set_field(r, FIELD_STORAGE, value);
    }
    field = request_field_find(r->request->type, slice_of_text(name));
    if (field == FIELD_NONE || field == FIELD_REQID) {
        return refuse(r, RK_BADARG, "not a member of this request");
    }
    return set_field(r, field, value);
}

static enum rk_status take_members(struct body_reader *r, json_t *root, struct slice key)
{
    enum rk_status status = RK_OK;
    const char *name;
    json_t *value;

    json_object_foreach(root, name, value)
    {
        status = take_member(r, name, value);
        if (status != RK_OK) {
            return status;
        }
    }
    r->pointer[0] = '\0';
    if (is_type(r, "REF.TXN") && r->request->update_count == 0) {
        return refuse(r, RK_BADARG, "updates: missing");
    }
    if (key.data != NULL) {
        status = request_set_field(r->request, FIELD_REQID, key, r->why);
    }
    if (status == RK_OK) {
        status = request_check_positions(r->request, r->why);
    }
    return status == RK_OK ? request_finish(r->request, r->scratch, r->why) : status;
}

/* Counts what opens or separates values, and how deep: nothing is allocated yet. */
static bool is_modest(struct slice text)
{
    unsigned values = 0, depth = 0;
    bool is_string = false;

    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];

        if (is_string) {
            i += byte == '\\' ? 1 : 0;
            is_string = byte != '"';
        } else if (byte == '"') {
            is_string = true;
        } else if (byte == '{' || byte == '[') {
            values++;
            depth++;
        } else if (byte == '}' || byte == ']') {
            depth -= depth > 0 ? 1 : 0;
        } else if (byte == ',') {
            values++;
        }
        if (depth > JSON_DEPTH_MAX || values > JSON_VALUES_MAX) {
            return false;
        }
    }
    return true;
}

enum rk_status json_body_parse(struct json_body *body, const struct request_type *type,
                               struct slice text, struct slice key, struct request_scratch *scratch,
                               struct request *ret_request, struct failure *why)
{
    struct body_reader r = { body, ret_request, scratch, why, body->pointer };
    json_error_t error;

    *body = (struct json_body){ 0 };
    request_init(ret_request, type);
    if (is_type(&r, "REF.TXN")) {
        ret_request->envelope.flags |= ENVELOPE_ATOMIC;
    }
    if (!is_modest(text)) {
        failure_set(why, RK_TOOLARGE, "the body holds too many values, or they are too deep");
        return RK_TOOLARGE;
    }
    body->root = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object((json_t *)body->root)) {
        failure_set(why, RK_BADARG, "a JSON object was expected");
        failure_add_number(why, "offset", error.position > 0 ? (uint64_t)error.position : 0);
        return RK_BADARG;
    }
    body->bytes = heap_alloc(text.size);
    return take_members(&r, body->root, key);
}

void json_body_release(struct json_body *body)
{
    json_decref(body->root);
    heap_free(body->bytes);
}
