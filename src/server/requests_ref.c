/* SPDX-License-Identifier: Apache-2.0 */
/* Refs: compare-and-swap, transactions, reading. */
#include "model/refname.h"
#include "server/request.h"
#include "server/server.h"

static const char zeros[OID_HEX_BYTES_MAX + 1] =
    "0000000000000000000000000000000000000000000000000000000000000000";

/* The seed's text for an old value: ANY and ABSENT have words here, bytes there. */
static struct slice old_text_of(struct slice word, struct slice new_text)
{
    if (word_is(word, "ANY")) {
        return SLICE_NONE;
    }
    return word_is(word, "ABSENT") ? slice_of(zeros, new_text.size) : word;
}

enum rk_status request_update_parse(struct slice refname, struct slice old_text,
                                    struct slice new_text, struct ref_update *ret_update,
                                    struct failure *why)
{
    enum rk_status status;

    if (old_text.size == 0) {
        failure_set(why, RK_BADOID, "old: an object id, ABSENT or ANY was expected");
        return RK_BADOID;
    }
    status = ref_update_from_text(refname, old_text_of(old_text, new_text), new_text, ret_update);
    if (status == RK_BADOID) {
        failure_set(why, status, "40 or 64 hex digits were expected, of old and new alike");
    } else if (status != RK_OK) {
        failure_set(why, status, NULL);
    }
    return status;
}

/* ---- REF.UPDATE ---- */

static enum rk_status check_update(struct request_scratch *scratch, struct request *r,
                                   struct failure *why)
{
    struct ref_update *update = request_scratch_updates(scratch, 1);
    enum rk_status status = request_update_parse(r->refname, r->old_text, r->new_text, update, why);

    r->updates = update;
    r->update_count = 1;
    return status;
}

static void encode_update(const struct request *r, struct buffer *out)
{
    if (request_has_envelope(r)) {
        command_encode_ref_envelope(out, &r->envelope, r->path, r->updates, 1);
    } else {
        command_encode_ref_update(out, r->path, r->refname, old_text_of(r->old_text, r->new_text),
                                  r->new_text);
    }
}

/* ---- REF.TXN ---- */

static enum rk_status parse_txn(struct arguments *a, struct request_scratch *scratch,
                                struct request *r, struct failure *why)
{
    struct ref_update *updates;
    struct slice mode;
    uint64_t count;

    why->text[0] = '\0';
    if (arguments_left(a) < 2) {
        return RK_BADARG;
    }
    mode = arguments_take(a);
    if (word_is(mode, "ATOMIC")) {
        r->envelope.flags |= ENVELOPE_ATOMIC;
    } else if (!word_is(mode, "INDEPENDENT")) {
        return RK_BADARG;
    }
    if (number_parse(arguments_take(a), &count) != RK_OK || count == 0 ||
        count > arguments_left(a) / 3) {
        failure_set(why, RK_BADARG, "a count from 1 and that many times ref old new was expected");
        return RK_BADARG;
    }
    if (count > BATCH_ITEMS_MAX) {
        failure_set(why, RK_TOOLARGE, "at most %d updates", BATCH_ITEMS_MAX);
        return RK_TOOLARGE;
    }
    updates = request_scratch_updates(scratch, (uint32_t)count);
    for (uint32_t i = 0; i < count; i++) {
        struct slice refname = arguments_take(a);
        struct slice old_text = arguments_take(a);
        struct slice new_text = arguments_take(a);
        enum rk_status status = request_update_parse(refname, old_text, new_text, &updates[i], why);

        if (status != RK_OK) {
            failure_add_number(why, "item", i);
            return status;
        }
    }
    r->updates = updates;
    r->update_count = (uint32_t)count;
    return RK_OK;
}

static void encode_txn(const struct request *r, struct buffer *out)
{
    command_encode_ref_envelope(out, &r->envelope, r->path, r->updates, r->update_count);
}

/* ---- Reading ---- */

static void read_get(const struct refdb *db, const struct request *r, struct sink *s)
{
    struct refdb_ref ref;
    enum rk_status status = refdb_find_ref(db, r->path, r->refname, &ref);

    if (status == RK_OK) {
        if (s->is_json) {
            sink_field(s, "ref");
            sink_text(s, r->refname);
        }
        sink_field(s, "oid");
        sink_oid(s, &ref.oid);
    } else if (status == RK_NOREF && !s->is_json) {
        sink_nil(s);
    } else {
        sink_status(s, status);
    }
}

/* The refs of the page, in a list; the last name goes to *ret_last when more follow. */
static void put_page(struct refdb_ref_cursor *cursor, const struct request *r, struct sink *s,
                     struct buffer *ret_last)
{
    struct refdb_ref ref;
    uint64_t count = 0;

    sink_field(s, "refs");
    sink_begin(s, SINK_LIST);
    while (refdb_next_ref(cursor, &ref) && slice_has_prefix(ref.name, r->prefix)) {
        if (slice_equal(ref.name, r->after)) {
            continue;
        }
        if (count++ == r->limit) {
            sink_end(s);
            return;
        }
        buffer_clear(ret_last);
        buffer_put_slice(ret_last, ref.name);
        sink_begin(s, SINK_ROW);
        sink_field(s, "ref");
        sink_text(s, ref.name);
        sink_field(s, "oid");
        sink_oid(s, &ref.oid);
        sink_end(s);
    }
    buffer_clear(ret_last);
    sink_end(s);
}

/* `next` stands in front of the refs but is known only after them. */
static void put_next_and_page(struct refdb_ref_cursor *cursor, const struct request *r,
                              struct sink *s)
{
    struct sink_page page;

    sink_page_begin(s, &page);
    put_page(cursor, r, s, &page.last);
    sink_page_end(s, &page);
}

/*
 * [applied index, last index, AFTER of the next page or nil, [ref, oid, ref, oid ...]]
 * IFINDEX equal to the last index: nothing changed, nil in place of the refs.
 */
static void read_list(const struct refdb *db, const struct request *r, struct sink *s)
{
    struct refdb_repository repository;
    struct refdb_ref_cursor cursor;
    struct slice from = slice_compare(r->prefix, r->after) > 0 ? r->prefix : r->after;
    enum rk_status status = refdb_find_repository(db, r->path, 0, &repository);

    if (status == RK_OK) {
        status = refdb_seek_refs(db, r->path, from, &cursor);
    }
    if (status != RK_OK) {
        sink_status(s, status);
        return;
    }
    sink_begin(s, SINK_RECORD);
    if (!s->is_json) {
        sink_number(s, refdb_applied_index(db));
    }
    sink_field(s, "last_index");
    sink_number(s, repository.last_index);
    if ((r->given & FIELD_BIT(FIELD_IFINDEX)) != 0 && repository.last_index == r->if_index) {
        sink_field(s, "next");
        sink_nil(s);
        sink_field(s, "refs");
        sink_nil(s);
    } else {
        put_next_and_page(&cursor, r, s);
    }
    sink_end(s);
}

const struct request_type requests_ref[] = {
    {
        .name = "REF.UPDATE",
        .kind = REQUEST_WRITE,
        .scope = SERVER_MAY_WRITE,
        .arguments = "path ref old|ABSENT|ANY new [write options]",
        .summary = "Changes one ref if it has the old value; zeros as new value delete it",
        .positions = { FIELD_PATH, FIELD_REF, FIELD_OLD, FIELD_NEW },
        .position_count = 4,
        .options = FIELDS_WRITE,
        .check = check_update,
        .encode = encode_update,
        .reply = reply_index,
    },
    {
        .name = "REF.TXN",
        .kind = REQUEST_WRITE,
        .scope = SERVER_MAY_WRITE,
        .arguments = "path ATOMIC|INDEPENDENT n (ref old new)*n [write options]",
        .summary = "Changes refs of one repository in one log entry",
        .positions = { FIELD_PATH },
        .position_count = 1,
        .options = FIELDS_WRITE,
        .parse = parse_txn,
        .encode = encode_txn,
        .reply = reply_updates,
    },
    {
        .name = "REF.GET",
        .kind = REQUEST_READ,
        .scope = SERVER_MAY_READ,
        .arguments = "path ref [STALE|MININDEX n]",
        .summary = "The object id of a ref",
        .positions = { FIELD_PATH, FIELD_REF },
        .position_count = 2,
        .options = FIELDS_READ,
        .read = read_get,
    },
    {
        .name = "REF.LIST",
        .kind = REQUEST_READ,
        .scope = SERVER_MAY_READ,
        .arguments = "path [PREFIX p] [AFTER ref] [LIMIT n] [IFINDEX i] [STALE|MININDEX n]",
        .summary = "A page of the refs of a repository, in order of their bytes",
        .positions = { FIELD_PATH },
        .position_count = 1,
        .options = FIELDS_PAGE | FIELD_BIT(FIELD_IFINDEX),
        .read = read_list,
    },
    { .name = NULL },
};
