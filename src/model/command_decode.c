/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one decoder of commands.  It runs on bytes of a client, a peer and the log, so every
 * count is held against the bytes that are left before it is believed.
 *
 * A reader that `failed` means PROTOCOL; a bound that was passed is kept apart as TOOLARGE.
 */
#include "base/assert.h"
#include "model/command.h"
#include "model/command_bytes.h"
#include "model/refname.h"

#define STRING_BYTES_MIN 4 /* of an encoded string: its length */

struct decoder {
    struct reader in;
    bool is_too_large;
    bool is_unsupported;
};

static enum rk_status decoder_finish(const struct decoder *d)
{
    if (d->is_unsupported) {
        return RK_UNSUPPORTED;
    }
    if (d->is_too_large) {
        return RK_TOOLARGE;
    }
    return reader_done(&d->in) ? RK_OK : RK_PROTOCOL;
}

static struct slice read_string(struct decoder *d)
{
    return reader_string(&d->in, COMMAND_BYTES_MAX);
}

static struct slice read_bounded(struct decoder *d, size_t size_bytes_max)
{
    struct slice s = read_string(d);

    d->is_too_large |= s.size > size_bytes_max;
    return s;
}

static struct slice read_short(struct decoder *d, size_t size_bytes_max)
{
    uint16_t size = reader_u16(&d->in);

    if (size > size_bytes_max) {
        d->is_too_large = true;
        return SLICE_NONE;
    }
    return reader_bytes(&d->in, size);
}

/* A byte that is one of 0..last. */
static unsigned read_choice(struct decoder *d, unsigned last)
{
    unsigned value = reader_u8(&d->in);

    d->in.failed |= value > last;
    return value;
}

static uint32_t read_count(struct decoder *d, uint32_t count_max, size_t item_bytes_min)
{
    uint32_t count = reader_u32(&d->in);

    d->is_too_large |= count > count_max;
    d->in.failed |= count > reader_left(&d->in) / item_bytes_min;
    return count;
}

/* `count` strings up to the end of the command. */
static struct slice read_strings(struct decoder *d, uint32_t count)
{
    size_t start = d->in.offset;

    for (uint32_t i = 0; i < count && !d->in.failed; i++) {
        (void)read_string(d);
    }
    return d->in.failed ? SLICE_NONE : slice_of(d->in.data + start, d->in.offset - start);
}

/* ---- Tags 0-3: the seed's ---- */

static void read_field_count(struct decoder *d, uint32_t expected)
{
    d->in.failed |= reader_u32(&d->in) != expected;
}

static void read_seed(struct decoder *d, struct command *c)
{
    d->is_too_large |= d->in.size > SEED_COMMAND_BYTES_MAX;
    switch (c->tag) {
    case COMMAND_REF_UPDATE:
        read_field_count(d, 4);
        c->u.ref_update.path = read_string(d);
        c->u.ref_update.refname = read_string(d);
        c->u.ref_update.old_value = read_string(d);
        c->u.ref_update.new_value = read_string(d);
        break;
    case COMMAND_REGISTER_REPO:
        read_field_count(d, 2);
        c->u.register_repo.path = read_string(d);
        c->u.register_repo.storage = read_string(d);
        break;
    case COMMAND_REMOVE_REPO:
        read_field_count(d, 1);
        c->u.remove_repo.path = read_string(d);
        break;
    default: /* COMMAND_SET_PRIMARY */
        c->u.set_primary.storage = read_string(d);
        c->u.set_primary.count = read_count(d, BATCH_ITEMS_MAX, STRING_BYTES_MIN);
        c->u.set_primary.paths = read_strings(d, c->u.set_primary.count);
        break;
    }
}

/* ---- Plain commands of ours ---- */

static void read_create_repo(struct decoder *d, struct command *c)
{
    c->u.create_repo.path = read_string(d);
    c->u.create_repo.primary = read_string(d);
    c->u.create_repo.format = (enum object_format)read_choice(d, OBJECT_FORMAT_SHA256);
    c->u.create_repo.head = read_string(d);
    c->u.create_repo.replica_count = read_count(d, REPLICAS_MAX, STRING_BYTES_MIN);
    c->u.create_repo.replicas = read_strings(d, c->u.create_repo.replica_count);
}

static void read_set_storage(struct decoder *d, struct command *c)
{
    unsigned fields;

    c->u.set_storage.name = read_string(d);
    fields = read_choice(d, SET_STORAGE_FIELDS_ALL);
    c->u.set_storage.fields = fields;
    if ((fields & SET_STORAGE_HTTP) != 0) {
        c->u.set_storage.http_address = read_bounded(d, ADDRESS_BYTES_MAX);
    }
    if ((fields & SET_STORAGE_SSH) != 0) {
        c->u.set_storage.ssh_address = read_bounded(d, ADDRESS_BYTES_MAX);
    }
    if ((fields & SET_STORAGE_ZONE) != 0) {
        c->u.set_storage.zone = read_bounded(d, ADDRESS_BYTES_MAX);
    }
    if ((fields & SET_STORAGE_STATE) != 0) {
        c->u.set_storage.state = (enum storage_state)read_choice(d, STORAGE_DOWN);
    }
}

static void read_set_limits(struct decoder *d, struct command *c)
{
    c->u.set_limits.fields = read_choice(d, SET_LIMITS_FIELDS_ALL);
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        if ((c->u.set_limits.fields & 1U << i) != 0) {
            c->u.set_limits.values[i] = reader_u64(&d->in);
        }
    }
}

static void read_set_filter(struct decoder *d, struct command *c)
{
    size_t start;

    c->u.set_filter.count = read_count(d, FILTER_RULES_MAX, FILTER_RULE_BYTES_MIN);
    start = d->in.offset;
    for (uint32_t i = 0; i < c->u.set_filter.count && !d->in.failed; i++) {
        (void)read_choice(d, 1);
        (void)read_bounded(d, FILTER_PATTERN_BYTES_MAX);
    }
    if (!d->in.failed) {
        c->u.set_filter.rules = slice_of(d->in.data + start, d->in.offset - start);
    }
}

static void read_move_primary(struct decoder *d, struct command *c)
{
    size_t start;

    c->u.move_primary.storage = read_string(d);
    c->u.move_primary.count = read_count(d, BATCH_ITEMS_MAX, STRING_BYTES_MIN + 8);
    start = d->in.offset;
    for (uint32_t i = 0; i < c->u.move_primary.count && !d->in.failed; i++) {
        (void)read_string(d);
        (void)reader_u64(&d->in);
    }
    if (!d->in.failed) {
        c->u.move_primary.moves = slice_of(d->in.data + start, d->in.offset - start);
    }
}

/* False when the tag is none of them. */
static bool read_plain(struct decoder *d, struct command *c)
{
    switch (c->tag) {
    case COMMAND_CREATE_REPO:
        read_create_repo(d, c);
        return true;
    case COMMAND_RENAME_REPO:
        c->u.rename_repo.is_prefix = read_choice(d, 1) != 0;
        c->u.rename_repo.from = read_string(d);
        c->u.rename_repo.to = read_string(d);
        return true;
    case COMMAND_SET_HEAD:
        c->u.set_head.path = read_string(d);
        c->u.set_head.refname = read_string(d);
        return true;
    case COMMAND_SET_STATE:
        c->u.set_state.path = read_string(d);
        c->u.set_state.state = (enum repository_state)read_choice(d, REPOSITORY_FROZEN);
        c->u.set_state.reason = read_bounded(d, REASON_BYTES_MAX);
        return true;
    case COMMAND_REMOVE_REPLICA:
        c->u.remove_replica.path = read_string(d);
        c->u.remove_replica.storage = read_string(d);
        return true;
    case COMMAND_SET_STORAGE:
        read_set_storage(d, c);
        return true;
    case COMMAND_REMOVE_STORAGE:
        c->u.remove_storage.name = read_string(d);
        return true;
    case COMMAND_OPEN_SESSION:
        return true;
    case COMMAND_SET_LIMITS:
        read_set_limits(d, c);
        return true;
    case COMMAND_SET_FILTER:
        read_set_filter(d, c);
        return true;
    case COMMAND_MOVE_PRIMARY:
        read_move_primary(d, c);
        return true;
    default:
        return false;
    }
}

/* ---- Envelopes ---- */

static bool item_flags_are_good(unsigned flags)
{
    if ((flags & ~(unsigned)ITEM_FLAGS_ALL) != 0 || (flags & ITEM_OLD_MASK) > OLD_OID) {
        return false;
    }
    if ((flags & ITEM_OLD_SHA256) != 0 && (flags & ITEM_OLD_MASK) != OLD_OID) {
        return false;
    }
    return (flags & ITEM_NEW_SHA256) == 0 || (flags & ITEM_DELETE) == 0;
}

static void read_oid(struct decoder *d, bool is_sha256, struct oid *ret_oid)
{
    struct slice bytes = reader_bytes(&d->in, is_sha256 ? 32 : 20);

    if (bytes.data != NULL) {
        ret_oid->size = (uint8_t)bytes.size;
        memcpy(ret_oid->bytes, bytes.data, bytes.size);
        /* "No object" has a flag of its own; one meaning, one encoding. */
        d->in.failed |= oid_is_null(ret_oid);
    }
}

static void read_item(struct decoder *d, struct ref_update *ret_update)
{
    unsigned flags = reader_u8(&d->in);

    d->in.failed |= !item_flags_are_good(flags);
    ret_update->refname = read_short(d, SHORT_STRING_REFUSED - 1);
    ret_update->old_value = (enum old_value)(flags & ITEM_OLD_MASK);
    ret_update->old_oid.size = 0;
    ret_update->is_delete = (flags & ITEM_DELETE) != 0;
    ret_update->new_oid.size = 0;
    if (ret_update->old_value == OLD_OID) {
        read_oid(d, (flags & ITEM_OLD_SHA256) != 0, &ret_update->old_oid);
    }
    if (!ret_update->is_delete) {
        read_oid(d, (flags & ITEM_NEW_SHA256) != 0, &ret_update->new_oid);
    }
}

static void read_updates(struct decoder *d, struct command *c)
{
    size_t start;

    c->u.envelope.path = read_short(d, SHORT_STRING_REFUSED - 1);
    c->u.envelope.count = read_count(d, BATCH_ITEMS_MAX, ITEM_BYTES_MIN);
    d->in.failed |= c->u.envelope.path.size == 0 || c->u.envelope.count == 0;
    start = d->in.offset;
    for (uint32_t i = 0; i < c->u.envelope.count && !d->in.failed && !d->is_too_large; i++) {
        struct ref_update update;

        read_item(d, &update);
    }
    c->u.envelope.items = slice_of(d->in.data + start, d->in.offset - start);
}

static enum rk_status decode_plain(struct slice bytes, struct command *c);

/* The rest of the envelope is one command; it is walked by the same decoder. */
static enum rk_status read_inner(struct decoder *d, struct command *c)
{
    struct command inner;

    if (d->in.failed || d->is_too_large) {
        return decoder_finish(d);
    }
    c->u.envelope.path = SLICE_NONE;
    c->u.envelope.count = 1;
    c->u.envelope.items = reader_bytes(&d->in, reader_left(&d->in));
    return decode_plain(c->u.envelope.items, &inner);
}

static void read_envelope_fields(struct decoder *d, struct envelope *e)
{
    e->wall_ms = (int64_t)reader_u64(&d->in);
    e->cluster_ms = (int64_t)reader_u64(&d->in);
    if ((e->flags & ENVELOPE_HAS_SESSION) != 0) {
        e->session = reader_u64(&d->in);
        e->sequence = reader_u64(&d->in);
        e->lowest_unanswered = reader_u64(&d->in);
    }
    if ((e->flags & ENVELOPE_HAS_EPOCH) != 0) {
        e->epoch = reader_u64(&d->in);
    }
    if ((e->flags & ENVELOPE_HAS_ID) != 0) {
        e->repository_id = reader_u64(&d->in);
    }
    if ((e->flags & ENVELOPE_HAS_STORAGE) != 0) {
        e->storage = read_short(d, STORAGE_NAME_BYTES_MAX);
    }
    e->actor = read_short(d, ACTOR_BYTES_MAX);
    e->reason = read_short(d, REASON_BYTES_MAX);
}

static enum rk_status decode_envelope(struct decoder *d, struct command *c)
{
    struct envelope *e = &c->u.envelope.envelope;
    unsigned kind;

    memset(e, 0, sizeof *e);
    e->flags = reader_u8(&d->in);
    kind = reader_u8(&d->in);
    d->in.failed |= reader_u8(&d->in) != 0;
    d->is_unsupported = (e->flags & ~(unsigned)ENVELOPE_FLAGS_ALL) != 0 ||
                        kind > ENVELOPE_KIND_COMMAND;
    if (d->is_unsupported) {
        return RK_UNSUPPORTED;
    }
    read_envelope_fields(d, e);
    if (kind == ENVELOPE_KIND_COMMAND) {
        return read_inner(d, c);
    }
    read_updates(d, c);
    return decoder_finish(d);
}

/* ---- All tags ---- */

static enum rk_status decode_plain(struct slice bytes, struct command *c)
{
    struct decoder d = { .in = reader_of(bytes) };
    uint8_t tag = reader_u8(&d.in);

    if (d.in.failed) {
        return RK_PROTOCOL;
    }
    c->tag = (enum command_tag)tag;
    if (tag <= COMMAND_SET_PRIMARY) {
        read_seed(&d, c);
    } else {
        d.is_unsupported = !read_plain(&d, c);
    }
    if (tag >= COMMAND_NOOP && tag <= COMMAND_ENVELOPE) {
        return RK_PROTOCOL; /* known, but not allowed inside an envelope */
    }
    return decoder_finish(&d);
}

/* Without a voter in each half nothing could ever be agreed again. */
static bool can_decide(const struct membership *m)
{
    unsigned halves = 0;

    for (unsigned i = 0; i < m->count; i++) {
        halves |= m->members[i].flags;
    }
    return (halves & MEMBER_VOTES) == MEMBER_VOTES;
}

enum rk_status command_membership(struct slice bytes, struct membership *ret_m)
{
    struct reader in = reader_of(bytes);
    struct membership m;

    if (reader_u8(&in) != COMMAND_MEMBERSHIP || membership_decode(&in, &m) != RK_OK ||
        !reader_done(&in) || !can_decide(&m)) {
        return RK_PROTOCOL;
    }
    *ret_m = m;
    return RK_OK;
}

static enum rk_status decode_membership(struct slice bytes, struct command *c)
{
    struct membership m;

    c->u.membership = NULL;
    return command_membership(bytes, &m);
}

static enum rk_status decode_any(struct slice bytes, struct command *c)
{
    struct decoder d = { .in = reader_of(bytes) };
    uint8_t tag = reader_u8(&d.in);

    c->tag = (enum command_tag)tag;
    switch (tag) {
    case COMMAND_NOOP:
        return reader_done(&d.in) ? RK_OK : RK_PROTOCOL;
    case COMMAND_MEMBERSHIP:
        return decode_membership(bytes, c);
    case COMMAND_ENVELOPE:
        return decode_envelope(&d, c);
    default:
        return decode_plain(bytes, c);
    }
}

enum rk_status command_decode(struct slice bytes, struct command *ret_command)
{
    struct command command;
    enum rk_status status;

    if (bytes.size > COMMAND_BYTES_MAX) {
        return RK_TOOLARGE;
    }
    if (bytes.size == 0) {
        return RK_PROTOCOL;
    }
    memset(&command, 0, sizeof command);
    status = decode_any(bytes, &command);
    if (status == RK_OK) {
        *ret_command = command;
    }
    return status;
}

/* ---- Walking what was decoded ---- */

bool command_next_string(struct slice *rest, struct slice *ret_string)
{
    struct reader in = reader_of(*rest);
    struct slice s = reader_string(&in, COMMAND_BYTES_MAX);

    if (rest->size == 0 || in.failed) {
        return false;
    }
    *ret_string = s;
    *rest = slice_of(in.data + in.offset, in.size - in.offset);
    return true;
}

bool command_next_move(struct slice *rest, struct slice *ret_path, raft_index *ret_seen_index)
{
    struct reader in = reader_of(*rest);
    struct slice path = reader_string(&in, COMMAND_BYTES_MAX);
    raft_index seen_index = reader_u64(&in);

    if (rest->size == 0 || in.failed) {
        return false;
    }
    *ret_path = path;
    *ret_seen_index = seen_index;
    *rest = slice_of(in.data + in.offset, in.size - in.offset);
    return true;
}

bool command_next_update(struct slice *rest, struct ref_update *ret_update)
{
    struct decoder d = { .in = reader_of(*rest) };

    if (rest->size == 0) {
        return false;
    }
    read_item(&d, ret_update);
    if (d.in.failed || d.is_too_large) {
        return false;
    }
    *rest = slice_of(d.in.data + d.in.offset, d.in.size - d.in.offset);
    return true;
}

void command_inner(const struct command *envelope, struct command *ret_inner)
{
    enum rk_status status;

    PRE(envelope->tag == COMMAND_ENVELOPE && envelope->u.envelope.path.size == 0);
    memset(ret_inner, 0, sizeof *ret_inner);
    status = decode_plain(envelope->u.envelope.items, ret_inner);
    PRE(status == RK_OK);
}

/* ---- The seed's text ---- */

/* All zeros of either length is git's null oid. */
static enum rk_status parse_old(struct slice text, struct ref_update *u)
{
    if (text.size == 0) {
        u->old_value = OLD_ANY;
        return RK_OK;
    }
    if (oid_parse(text, &u->old_oid) != RK_OK) {
        return RK_BADOID;
    }
    u->old_value = oid_is_null(&u->old_oid) ? OLD_ABSENT : OLD_OID;
    return RK_OK;
}

enum rk_status ref_update_from_text(struct slice refname, struct slice old_text,
                                    struct slice new_text, struct ref_update *ret_update)
{
    struct ref_update u = { .refname = refname };

    if (!refname_is_valid(refname)) {
        return RK_BADREF;
    }
    if (parse_old(old_text, &u) != RK_OK || oid_parse(new_text, &u.new_oid) != RK_OK) {
        return RK_BADOID;
    }
    u.is_delete = oid_is_null(&u.new_oid);
    *ret_update = u;
    return RK_OK;
}

uint32_t command_feature_level(const struct command *command)
{
    struct command inner;

    switch (command->tag) {
    case COMMAND_SET_LIMITS:
    case COMMAND_SET_FILTER:
    case COMMAND_MOVE_PRIMARY:
        return 1;
    case COMMAND_ENVELOPE:
        if (command->u.envelope.path.size > 0) {
            return 0; /* a batch of ref updates */
        }
        command_inner(command, &inner);
        return command_feature_level(&inner);
    default:
        return 0;
    }
}
