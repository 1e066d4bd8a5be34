/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http_pages.h"

#include "base/assert.h"
#include "server/request.h"

struct body_member {
    const char *name;
    const char *schema;
};

/* Members of bodies that are no fields: see json_body.h. */
static const struct {
    const char *request;
    struct body_member members[2];
} body_members[] = {
    { "REF.TXN",
      { { "updates", "{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"object\","
                     "\"required\":[\"old\",\"new\"],\"properties\":{"
                     "\"ref\":{\"type\":\"string\",\"nullable\":true},"
                     "\"ref_b64\":{\"type\":\"string\",\"format\":\"byte\"},"
                     "\"old\":{\"type\":\"string\",\"nullable\":true,"
                     "\"description\":\"an object id, ABSENT (or null), or ANY\"},"
                     "\"new\":{\"type\":\"string\",\"nullable\":true,"
                     "\"description\":\"an object id; null deletes\"}}}}" },
        { "atomic", "{\"type\":\"boolean\",\"default\":true}" } } },
    { "PRIMARY.SET", { { "paths", "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}" } } },
    { "REPO.CREATE",
      { { "primary", "{\"type\":\"string\"}" },
        { "replicas", "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}" } } },
};

/* Fields that HTTP writes in another way, or not at all. */
static bool is_hidden(enum request_field field)
{
    return field == FIELD_REQID || field == FIELD_STALE || field == FIELD_READ ||
           field == FIELD_WRITE || field == FIELD_REPLICAS;
}

static bool has_field(const struct request_type *type, enum request_field field)
{
    for (unsigned i = 0; i < type->position_count; i++) {
        if (type->positions[i] == field) {
            return true;
        }
    }
    return (type->options & FIELD_BIT(field)) != 0;
}

static bool is_position(const struct request_type *type, enum request_field field)
{
    return has_field(type, field) && (type->options & FIELD_BIT(field)) == 0;
}

static void put_parameter(struct buffer *out, const char *name, bool is_required,
                          const char *schema)
{
    buffer_printf(out, "{\"name\":\"%s\",\"in\":\"query\",\"required\":%s,\"schema\":%s},", name,
                  is_required ? "true" : "false", schema);
}

static void put_parameters(struct buffer *out, const struct request_type *type)
{
    for (unsigned i = 0; i < FIELD_COUNT; i++) {
        enum request_field field = (enum request_field)i;

        if (has_field(type, field) && !is_hidden(field)) {
            put_parameter(out, request_field_name(field), is_position(type, field),
                          request_field_is_number(field) ? "{\"type\":\"integer\",\"minimum\":0}"
                                                         : "{\"type\":\"string\"}");
        }
    }
    if (has_field(type, FIELD_STALE)) {
        put_parameter(out, "consistency", false,
                      "{\"type\":\"string\",\"enum\":[\"linearizable\",\"stale\"]}");
    }
    if (has_field(type, FIELD_WRITE)) {
        put_parameter(out, "op", false, "{\"type\":\"string\",\"enum\":[\"read\",\"write\"]}");
    }
}

static void put_properties(struct buffer *out, const struct request_type *type)
{
    for (size_t i = 0; i < sizeof body_members / sizeof body_members[0]; i++) {
        for (size_t k = 0; k < 2 && strcmp(type->name, body_members[i].request) == 0; k++) {
            const struct body_member *m = &body_members[i].members[k];

            if (m->name != NULL) {
                buffer_printf(out, "\"%s\":%s,", m->name, m->schema);
            }
        }
    }
    for (unsigned i = 0; i < FIELD_COUNT; i++) {
        enum request_field field = (enum request_field)i;
        bool is_renamed = field == FIELD_STORAGE && strcmp(type->name, "REPO.CREATE") == 0;

        if (has_field(type, field) && !is_hidden(field) && !is_renamed) {
            buffer_printf(out, "\"%s\":{\"type\":\"string\"},", request_field_name(field));
        }
    }
}

/* Lists are written with a comma behind each item; the last one goes. */
static void end_list(struct buffer *out, char end)
{
    if (out->data[out->size - 1] == ',') {
        out->size--;
    }
    buffer_put_u8(out, (uint8_t)end);
}

static void put_operation(struct buffer *out, const struct http_route_row *row)
{
    const struct request_type *type = request_type_find(slice_of_text(row->request));
    bool is_post = strcmp(row->method, "POST") == 0;
    bool is_map = strcmp(row->path, HTTP_MAP_PATH) == 0; /* the same as text */

    INVARIANT(type != NULL);
    buffer_put_u8(out, '"');
    for (const char *p = row->method; *p != '\0'; p++) {
        buffer_put_u8(out, (uint8_t)(*p | 0x20));
    }
    buffer_printf(out, "\":{\"operationId\":\"%s%s\",\"summary\":\"%s\",\"parameters\":[",
                  type->name, is_map ? ".haproxy" : "", type->summary);
    if (!is_post) {
        put_parameters(out, type);
    }
    if (type->kind == REQUEST_WRITE) {
        buffer_printf(out, "{\"name\":\"Idempotency-Key\",\"in\":\"header\",\"required\":false,"
                           "\"description\":\"session:sequence:lowest unanswered\","
                           "\"schema\":{\"type\":\"string\"}},");
    }
    end_list(out, ']');
    if (is_post) {
        buffer_printf(out, ",\"requestBody\":{\"required\":true,\"content\":{\"application/json\":{"
                           "\"schema\":{\"type\":\"object\",\"additionalProperties\":false,"
                           "\"properties\":{");
        put_properties(out, type);
        end_list(out, '}');
        buffer_printf(out, "}}}}");
    }
    buffer_printf(out, ",\"responses\":{\"200\":{\"description\":\"done\"},"
                       "\"default\":{\"$ref\":\"#/components/responses/error\"}}},");
}

static const char *const codes[][2] = {
    { "400", "bad input; `pointer` or `parameter` says where" },
    { "401", "a password is needed" },
    { "403", "this user may not, or the repository is frozen" },
    { "404", "there is no such thing" },
    { "409", "conflict, with the current value" },
    { "410", "compacted, or removed" },
    { "413", "too large" },
    { "415", "a body that is not application/json" },
    { "429", "overloaded; again later" },
    { "503", "no leader; again later" },
    { "504", "the outcome is unknown, or this node is behind" },
    { "507", "no space" },
};

void http_put_openapi(struct buffer *out)
{
    const struct http_route_row *row = http_route_rows;

    buffer_printf(out,
                  "{\"openapi\":\"3.0.3\",\"info\":{\"title\":\"Refkeeper\",\"version\":\"%s\"},"
                  "\"paths\":{",
                  PACKAGE_VERSION);
    while (row->method != NULL) {
        const char *path = row->path;

        buffer_printf(out, "\"%s\":{", path);
        for (; row->method != NULL && strcmp(row->path, path) == 0; row++) {
            put_operation(out, row);
        }
        end_list(out, '}');
        buffer_put_u8(out, ',');
    }
    end_list(out, '}');
    buffer_printf(out, ",\"components\":{\"responses\":{\"error\":{\"description\":\"");
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        buffer_printf(out, "%s%s: %s", i == 0 ? "" : "; ", codes[i][0], codes[i][1]);
    }
    buffer_printf(out, "\",\"content\":{\"application/json\":{\"schema\":{\"type\":\"object\","
                       "\"properties\":{\"error\":{\"type\":\"object\",\"properties\":{"
                       "\"code\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"},"
                       "\"retryable\":{\"type\":\"boolean\"}}}}}}}}}}}\n");
}
