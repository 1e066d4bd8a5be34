/* SPDX-License-Identifier: Apache-2.0 */
#include "server/request.h"

#include <stddef.h>

#include "base/assert.h"
#include "base/heap.h"
#include "model/refname.h"

/* ---- Fields ---- */

enum field_type {
    TYPE_TEXT,
    TYPE_PATH,
    TYPE_REFNAME,
    TYPE_STORAGE,
    TYPE_MEMBER,
    TYPE_NUMBER,
    TYPE_FLAG,
    TYPE_FORMAT,
    TYPE_STATE,
    TYPE_REQID, /* three numbers; in HTTP with colons between them */
    TYPE_LIST,  /* count, that many storages; not in HTTP queries */
    TYPE_FORCE, /* a reason */
    TYPE_FROM,  /* an index, or "$": from now on */
};

#define NOWHERE 0

static const struct {
    const char *word; /* RESP keyword */
    const char *name; /* HTTP parameter */
    enum field_type type;
    size_t offset; /* in struct request */
    size_t bytes_max;
} fields[FIELD_COUNT] = {
#define AT(member) offsetof(struct request, member)
    [FIELD_PATH] = { "PATH", "path", TYPE_PATH, AT(path), PATH_BYTES_MAX },
    [FIELD_REF] = { "REF", "ref", TYPE_REFNAME, AT(refname), REFNAME_BYTES_MAX },
    [FIELD_OLD] = { "OLD", "old", TYPE_TEXT, AT(old_text), OID_HEX_BYTES_MAX },
    [FIELD_NEW] = { "NEW", "new", TYPE_TEXT, AT(new_text), OID_HEX_BYTES_MAX },
    [FIELD_STORAGE] = { "STORAGE", "storage", TYPE_STORAGE, AT(storage), STORAGE_NAME_BYTES_MAX },
    [FIELD_TO] = { "TO", "to", TYPE_PATH, AT(to), PATH_BYTES_MAX },
    [FIELD_REASON_TEXT] = { "REASON", "reason", TYPE_TEXT, AT(reason), REASON_BYTES_MAX },
    [FIELD_MEMBER] = { "MEMBER", "member", TYPE_MEMBER, AT(member), NODE_NAME_BYTES_MAX },
    [FIELD_PEER] = { "PEER", "peer", TYPE_TEXT, AT(peer_address), ADDRESS_BYTES_MAX },
    [FIELD_PREFIX] = { "PREFIX", "prefix", TYPE_TEXT, AT(prefix), PATH_BYTES_MAX },
    [FIELD_FROM] = { "FROM", "from", TYPE_FROM, AT(from), 0 },
    [FIELD_EVENT_COUNT] = { "COUNT", "count", TYPE_NUMBER, AT(event_count), 0 },
    [FIELD_BLOCK] = { "BLOCK", "wait", TYPE_NUMBER, AT(block_ms), 0 },
    [FIELD_AFTER] = { "AFTER", "after", TYPE_TEXT, AT(after), PATH_BYTES_MAX },
    [FIELD_LIMIT] = { "LIMIT", "limit", TYPE_NUMBER, AT(limit), 0 },
    [FIELD_IFINDEX] = { "IFINDEX", "if_index", TYPE_NUMBER, AT(if_index), 0 },
    [FIELD_STALE] = { "STALE", "stale", TYPE_FLAG, NOWHERE, 0 },
    [FIELD_MININDEX] = { "MININDEX", "min_index", TYPE_NUMBER, AT(min_index), 0 },
    [FIELD_IN_STORAGE] = { "STORAGE", "storage", TYPE_STORAGE, AT(storage),
                           STORAGE_NAME_BYTES_MAX },
    [FIELD_REPLICAS] = { "REPLICAS", "replicas", TYPE_LIST, NOWHERE, 0 },
    [FIELD_FORMAT] = { "FORMAT", "format", TYPE_FORMAT, NOWHERE, 0 },
    [FIELD_HEAD] = { "HEAD", "head", TYPE_REFNAME, AT(head), REFNAME_BYTES_MAX },
    [FIELD_READ] = { "READ", "read", TYPE_FLAG, NOWHERE, 0 },
    [FIELD_WRITE] = { "WRITE", "write", TYPE_FLAG, NOWHERE, 0 },
    [FIELD_FORCE] = { "FORCE", "force", TYPE_FORCE, AT(envelope.reason), REASON_BYTES_MAX },
    [FIELD_HTTP] = { "HTTP", "http", TYPE_TEXT, AT(http_address), ADDRESS_BYTES_MAX },
    [FIELD_SSH] = { "SSH", "ssh", TYPE_TEXT, AT(ssh_address), ADDRESS_BYTES_MAX },
    [FIELD_ZONE] = { "ZONE", "zone", TYPE_TEXT, AT(zone), STORAGE_NAME_BYTES_MAX },
    [FIELD_STATE] = { "STATE", "state", TYPE_STATE, NOWHERE, 0 },
    [FIELD_LEARNER] = { "LEARNER", "learner", TYPE_FLAG, NOWHERE, 0 },
    [FIELD_REQID] = { "REQID", "reqid", TYPE_REQID, NOWHERE, 0 },
    [FIELD_EPOCH] = { "EPOCH", "epoch", TYPE_NUMBER, AT(envelope.epoch), 0 },
    [FIELD_BY] = { "BY", "by", TYPE_STORAGE, AT(envelope.storage), STORAGE_NAME_BYTES_MAX },
    [FIELD_ID] = { "ID", "id", TYPE_NUMBER, AT(envelope.repository_id), 0 },
    [FIELD_ACTOR] = { "ACTOR", "actor", TYPE_TEXT, AT(envelope.actor), ACTOR_BYTES_MAX },
#undef AT
};

static struct slice *text_at(struct request *r, enum request_field field)
{
    return (struct slice *)(void *)((char *)r + fields[field].offset);
}

bool word_is(struct slice word, const char *upper)
{
    size_t i = 0;

    for (; i < word.size && upper[i] != '\0'; i++) {
        uint8_t byte = word.data[i];

        if (byte >= 'a' && byte <= 'z') {
            byte = (uint8_t)(byte - 'a' + 'A');
        }
        if (byte != (uint8_t)upper[i]) {
            return false;
        }
    }
    return i == word.size && upper[i] == '\0';
}

enum rk_status number_parse(struct slice text, uint64_t *ret_number)
{
    uint64_t number = 0;

    if (text.size == 0 || text.size > 20) {
        return RK_BADARG;
    }
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)text.data[i] - '0';

        if (digit > 9 || number > (UINT64_MAX - digit) / 10) {
            return RK_BADARG;
        }
        number = number * 10 + digit;
    }
    *ret_number = number;
    return RK_OK;
}

static enum rk_status refuse(struct failure *why, enum rk_status status, enum request_field field,
                             const char *problem)
{
    failure_set(why, status, "%s: %s", fields[field].name, problem);
    return status;
}

static enum rk_status set_text(struct request *r, enum request_field field, struct slice value,
                               struct failure *why)
{
    if (value.size > fields[field].bytes_max) {
        return refuse(why, fields[field].type == TYPE_REFNAME ? RK_BADREF : RK_BADARG, field,
                      "too long");
    }
    switch (fields[field].type) {
    case TYPE_PATH:
        if (!r->is_prefix && !repository_path_is_valid(value)) {
            return refuse(why, RK_BADARG, field, "not a canonical repository path");
        }
        break;
    case TYPE_REFNAME:
        if (!refname_is_valid(value)) {
            return refuse(why, RK_BADREF, field, "not a valid ref name below refs/");
        }
        break;
    case TYPE_STORAGE:
        if (!storage_name_is_valid(value)) {
            return refuse(why, RK_BADARG, field, "not a storage name");
        }
        break;
    case TYPE_MEMBER:
        if (!member_name_is_valid(value)) {
            return refuse(why, RK_BADARG, field, "not the name of a member");
        }
        break;
    default:
        break;
    }
    *text_at(r, field) = value;
    return RK_OK;
}

static enum rk_status set_number(struct request *r, enum request_field field, struct slice value,
                                 struct failure *why)
{
    uint64_t *number = (uint64_t *)(void *)((char *)r + fields[field].offset);

    if (number_parse(value, number) != RK_OK) {
        return refuse(why, RK_BADARG, field, "not a decimal number");
    }
    return RK_OK;
}

static enum rk_status set_session(struct request *r, const struct slice numbers[3],
                                  struct failure *why)
{
    struct envelope *e = &r->envelope;

    if (number_parse(numbers[0], &e->session) != RK_OK ||
        number_parse(numbers[1], &e->sequence) != RK_OK ||
        number_parse(numbers[2], &e->lowest_unanswered) != RK_OK) {
        return refuse(why, RK_BADARG, FIELD_REQID, "three decimal numbers were expected");
    }
    if (e->session == 0 || e->sequence == 0 || e->lowest_unanswered > e->sequence) {
        return refuse(why, RK_BADARG, FIELD_REQID,
                      "session and sequence start at 1, the lowest unanswered is not above it");
    }
    e->flags |= ENVELOPE_HAS_SESSION;
    return RK_OK;
}

/* session:sequence:lowest */
static enum rk_status set_session_text(struct request *r, struct slice value, struct failure *why)
{
    struct slice numbers[3];
    unsigned count = 0;
    size_t begin = 0;

    for (size_t i = 0; i <= value.size; i++) {
        if (i < value.size && value.data[i] != ':') {
            continue;
        }
        if (count == 3) {
            return refuse(why, RK_BADARG, FIELD_REQID, "session:sequence:lowest was expected");
        }
        numbers[count++] = slice_of(value.data + begin, i - begin);
        begin = i + 1;
    }
    if (count != 3) {
        return refuse(why, RK_BADARG, FIELD_REQID, "session:sequence:lowest was expected");
    }
    return set_session(r, numbers, why);
}

static enum rk_status set_format(struct request *r, struct slice value, struct failure *why)
{
    if (word_is(value, "SHA1")) {
        r->format = OBJECT_FORMAT_SHA1;
    } else if (word_is(value, "SHA256")) {
        r->format = OBJECT_FORMAT_SHA256;
    } else {
        return refuse(why, RK_BADARG, FIELD_FORMAT, "sha1 or sha256 was expected");
    }
    return RK_OK;
}

static enum rk_status set_state(struct request *r, struct slice value, struct failure *why)
{
    if (word_is(value, "ACTIVE")) {
        r->storage_state = STORAGE_ACTIVE;
    } else if (word_is(value, "DRAINING")) {
        r->storage_state = STORAGE_DRAINING;
    } else if (word_is(value, "DOWN")) {
        r->storage_state = STORAGE_DOWN;
    } else {
        return refuse(why, RK_BADARG, FIELD_STATE, "active, draining or down was expected");
    }
    return RK_OK;
}

static void set_envelope_flag(struct request *r, enum request_field field)
{
    unsigned *flags = &r->envelope.flags;

    if (field == FIELD_EPOCH) {
        *flags |= ENVELOPE_HAS_EPOCH;
    } else if (field == FIELD_BY) {
        *flags |= ENVELOPE_HAS_STORAGE;
    } else if (field == FIELD_ID) {
        *flags |= ENVELOPE_HAS_ID;
    } else if (field == FIELD_FORCE) {
        *flags |= ENVELOPE_FORCE;
    }
}

enum rk_status request_set_field(struct request *r, enum request_field field, struct slice value,
                                 struct failure *why)
{
    enum rk_status status = RK_OK;

    PRE(field < FIELD_COUNT);
    if ((r->given & FIELD_BIT(field)) != 0) {
        return refuse(why, RK_BADARG, field, "given twice");
    }
    switch (fields[field].type) {
    case TYPE_TEXT:
    case TYPE_PATH:
    case TYPE_REFNAME:
    case TYPE_STORAGE:
    case TYPE_MEMBER:
        status = set_text(r, field, value, why);
        break;
    case TYPE_FORCE:
        status = value.size == 0 ? refuse(why, RK_BADARG, field, "a reason is needed")
                                 : set_text(r, field, value, why);
        break;
    case TYPE_FROM:
        r->is_from_now = slice_equal(value, slice_of_text("$"));
        status = r->is_from_now ? RK_OK : set_number(r, field, value, why);
        break;
    case TYPE_NUMBER:
        status = set_number(r, field, value, why);
        break;
    case TYPE_FORMAT:
        status = set_format(r, value, why);
        break;
    case TYPE_STATE:
        status = set_state(r, value, why);
        break;
    case TYPE_REQID:
        status = set_session_text(r, value, why);
        break;
    case TYPE_FLAG:
        break;
    case TYPE_LIST:
        status = refuse(why, RK_BADARG, field, "not allowed here");
        break;
    }
    if (status == RK_OK) {
        r->given |= FIELD_BIT(field);
        set_envelope_flag(r, field);
    }
    return status;
}

/* ---- Scratch ---- */

void request_scratch_release(struct request_scratch *scratch)
{
    heap_free(scratch->items);
    heap_free(scratch->updates);
    *scratch = (struct request_scratch){ 0 };
}

struct slice *request_scratch_items(struct request_scratch *scratch, uint32_t count)
{
    PRE(count <= RESP_ARGUMENTS_MAX);
    if (count > scratch->item_capacity) {
        scratch->items = heap_grow(scratch->items, count * sizeof(*scratch->items));
        scratch->item_capacity = count;
    }
    return scratch->items;
}

struct ref_update *request_scratch_updates(struct request_scratch *scratch, uint32_t count)
{
    PRE(count <= BATCH_ITEMS_MAX);
    if (count > scratch->update_capacity) {
        scratch->updates = heap_grow(scratch->updates, count * sizeof(*scratch->updates));
        scratch->update_capacity = count;
    }
    return scratch->updates;
}

/* ---- From words ---- */

static enum rk_status wrong_words(const struct request_type *type, struct failure *why)
{
    failure_set(why, RK_BADARG, "usage: %s%s%s", type->name, type->arguments[0] != '\0' ? " " : "",
                type->arguments);
    return RK_BADARG;
}

/* REPLICAS n storage.. */
static enum rk_status take_list(struct arguments *a, struct request_scratch *scratch,
                                struct request *r, struct failure *why)
{
    uint64_t count;
    struct slice *items;

    if (arguments_left(a) == 0 || number_parse(arguments_take(a), &count) != RK_OK ||
        count > arguments_left(a)) {
        return refuse(why, RK_BADARG, FIELD_REPLICAS, "a count and that many storages");
    }
    if (count > REPLICAS_MAX) {
        return refuse(why, RK_TOOLARGE, FIELD_REPLICAS, "too many");
    }
    if ((r->given & FIELD_BIT(FIELD_REPLICAS)) != 0) {
        return refuse(why, RK_BADARG, FIELD_REPLICAS, "given twice");
    }
    items = request_scratch_items(scratch, (uint32_t)count);
    for (uint32_t i = 0; i < count; i++) {
        items[i] = arguments_take(a);
        if (!storage_name_is_valid(items[i])) {
            return refuse(why, RK_BADARG, FIELD_REPLICAS, "not a storage name");
        }
    }
    r->items = items;
    r->item_count = (uint32_t)count;
    r->given |= FIELD_BIT(FIELD_REPLICAS);
    return RK_OK;
}

static enum request_field keyword_find(uint64_t options, struct slice word)
{
    for (unsigned field = FIELD_PREFIX; field < FIELD_COUNT; field++) {
        if ((options & FIELD_BIT(field)) != 0 && word_is(word, fields[field].word)) {
            return (enum request_field)field;
        }
    }
    return FIELD_NONE;
}

static enum rk_status take_option(struct arguments *a, struct request_scratch *scratch,
                                  struct request *r, struct failure *why)
{
    enum request_field field = keyword_find(r->type->options, arguments_take(a));

    if (field == FIELD_NONE) {
        return wrong_words(r->type, why);
    }
    if (fields[field].type == TYPE_LIST) {
        return take_list(a, scratch, r, why);
    }
    if (fields[field].type == TYPE_FLAG) {
        return request_set_field(r, field, SLICE_NONE, why);
    }
    if (fields[field].type == TYPE_REQID) {
        if (arguments_left(a) < 3 || (r->given & FIELD_BIT(FIELD_REQID)) != 0) {
            return wrong_words(r->type, why);
        }
        a->next += 3;
        r->given |= FIELD_BIT(FIELD_REQID);
        return set_session(r, &a->words[a->next - 3], why);
    }
    if (arguments_left(a) == 0) {
        return wrong_words(r->type, why);
    }
    return request_set_field(r, field, arguments_take(a), why);
}

void request_init(struct request *r, const struct request_type *type)
{
    memset(r, 0, sizeof(*r));
    r->type = type;
    r->kind = type->kind;
}

enum rk_status request_finish(struct request *r, struct request_scratch *scratch,
                              struct failure *why)
{
    if ((r->given & FIELDS_READ) == FIELDS_READ) {
        failure_set(why, RK_BADARG, "stale and min_index exclude each other");
        return RK_BADARG;
    }
    if ((r->given & FIELD_BIT(FIELD_LIMIT)) == 0) {
        r->limit = LIST_LIMIT_DEFAULT;
    } else if (r->limit == 0 || r->limit > LIST_LIMIT_MAX) {
        failure_set(why, RK_BADARG, "limit: 1 to %d", LIST_LIMIT_MAX);
        return RK_BADARG;
    }
    return r->type->check == NULL ? RK_OK : r->type->check(scratch, r, why);
}

enum rk_status request_parse_words(const struct request_type *type, const struct slice *words,
                                   uint32_t count, struct request_scratch *scratch,
                                   struct request *ret_request, struct failure *why)
{
    struct arguments a = { words, count, 1 };
    struct request *r = ret_request;
    enum rk_status status = RK_OK;

    PRE(count > 0);
    request_init(r, type);
    if (arguments_left(&a) < type->position_count) {
        return wrong_words(type, why);
    }
    for (unsigned i = 0; i < type->position_count && status == RK_OK; i++) {
        status = request_set_field(r, type->positions[i], arguments_take(&a), why);
    }
    if (status == RK_OK && type->parse != NULL) {
        status = type->parse(&a, scratch, r, why);
        if (status == RK_BADARG && why->text[0] == '\0') {
            status = wrong_words(type, why);
        }
    }
    while (status == RK_OK && arguments_left(&a) > 0) {
        status = take_option(&a, scratch, r, why);
    }
    return status == RK_OK ? request_finish(r, scratch, why) : status;
}

/* ---- From parameters ---- */

enum rk_status request_check_positions(const struct request *r, struct failure *why)
{
    const struct request_type *type = r->type;

    for (unsigned i = 0; i < type->position_count; i++) {
        if ((r->given & FIELD_BIT(type->positions[i])) == 0) {
            return refuse(why, RK_BADARG, type->positions[i], "missing");
        }
    }
    return RK_OK;
}

bool request_field_is_number(enum request_field field)
{
    return fields[field].type == TYPE_NUMBER;
}

const char *request_field_name(enum request_field field)
{
    return fields[field].name;
}

enum request_field request_field_find(const struct request_type *type, struct slice name)
{
    for (unsigned i = 0; i < type->position_count; i++) {
        if (slice_equal(name, slice_of_text(fields[type->positions[i]].name))) {
            return type->positions[i];
        }
    }
    for (unsigned field = FIELD_PREFIX; field < FIELD_COUNT; field++) {
        if ((type->options & FIELD_BIT(field)) != 0 &&
            slice_equal(name, slice_of_text(fields[field].name))) {
            return (enum request_field)field;
        }
    }
    return FIELD_NONE;
}

/* consistency=linearizable|stale */
static enum rk_status set_consistency(struct request *r, struct slice value, struct failure *why)
{
    if (slice_equal(value, slice_of_text("stale"))) {
        return request_set_field(r, FIELD_STALE, SLICE_NONE, why);
    }
    if (!slice_equal(value, slice_of_text("linearizable"))) {
        failure_set(why, RK_BADARG, "consistency: linearizable or stale was expected");
        return RK_BADARG;
    }
    return RK_OK;
}

static enum rk_status set_parameter(struct request *r, const struct parameter *parameter,
                                    struct failure *why)
{
    enum request_field field;

    if ((r->type->options & FIELD_BIT(FIELD_STALE)) != 0 &&
        slice_equal(parameter->name, slice_of_text("consistency"))) {
        return set_consistency(r, parameter->value, why);
    }
    if ((r->type->options & FIELD_BIT(FIELD_WRITE)) != 0 &&
        slice_equal(parameter->name, slice_of_text("op"))) {
        if (word_is(parameter->value, "READ")) {
            return request_set_field(r, FIELD_READ, SLICE_NONE, why);
        }
        if (word_is(parameter->value, "WRITE")) {
            return request_set_field(r, FIELD_WRITE, SLICE_NONE, why);
        }
        failure_set(why, RK_BADARG, "op: read or write was expected");
        return RK_BADARG;
    }
    field = request_field_find(r->type, parameter->name);
    if (field == FIELD_NONE || fields[field].type == TYPE_FLAG) {
        failure_set(why, RK_BADARG, "a parameter this request does not take");
        failure_add_text(why, "parameter", parameter->name);
        return RK_BADARG;
    }
    return request_set_field(r, field, parameter->value, why);
}

enum rk_status request_parse_parameters(const struct request_type *type,
                                        const struct parameter *parameters, size_t count,
                                        struct request_scratch *scratch,
                                        struct request *ret_request, struct failure *why)
{
    struct request *r = ret_request;
    enum rk_status status;

    request_init(r, type);
    for (size_t i = 0; i < count; i++) {
        status = set_parameter(r, &parameters[i], why);
        if (status != RK_OK) {
            return status;
        }
    }
    status = request_check_positions(r, why);
    return status == RK_OK ? request_finish(r, scratch, why) : status;
}

void request_read(const struct node *n, const struct request *r, struct sink *s)
{
    if (r->type->read_node != NULL) {
        r->type->read_node(n, r, s);
    } else {
        r->type->read(node_refdb(n), r, s);
    }
}

void request_encode(const struct node *n, const struct request *r, struct buffer *out)
{
    if (r->type->encode_node != NULL) {
        r->type->encode_node(n, r, out);
    } else {
        r->type->encode(r, out);
    }
}

enum node_consistency request_consistency(const struct request *r)
{
    if ((r->given & FIELD_BIT(FIELD_STALE)) != 0) {
        return NODE_STALE;
    }
    return (r->given & FIELD_BIT(FIELD_MININDEX)) != 0 ? NODE_MIN_INDEX : NODE_LINEARIZABLE;
}
