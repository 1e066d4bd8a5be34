/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of the whole cluster: how much it may hold, and which refs it decides about. */
#include "model/ref_filter.h"
#include "server/request.h"
#include "server/requests_repo.h"
#include "server/server.h"

/* ---- LIMITS ---- */

static const char *const limit_words[LIMIT_COUNT] = {
    [LIMIT_REPOSITORIES] = "REPOSITORIES",
    [LIMIT_REFS] = "REFS",
    [LIMIT_BYTES] = "BYTES",
    [LIMIT_REPOSITORY_REFS] = "REPOSITORY_REFS",
};

static bool find_limit(struct slice word, unsigned *ret_limit)
{
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        if (word_is(word, limit_words[i])) {
            *ret_limit = i;
            return true;
        }
    }
    return false;
}

/* name number [name number ...] */
static enum rk_status parse_limits(struct arguments *a, struct request_scratch *scratch,
                                   struct request *r, struct failure *why)
{
    unsigned limit;

    (void)scratch;
    why->text[0] = '\0';
    while (arguments_left(a) >= 2 && find_limit(a->words[a->next], &limit)) {
        a->next++;
        if ((r->limit_fields & 1U << limit) != 0 ||
            number_parse(arguments_take(a), &r->limits[limit]) != RK_OK) {
            failure_set(why, RK_BADARG, "%s: one decimal number, 0 = no limit", limit_words[limit]);
            return RK_BADARG;
        }
        r->limit_fields |= 1U << limit;
    }
    return r->limit_fields == 0 ? RK_BADARG : RK_OK;
}

static void encode_limits(const struct request *r, struct buffer *out)
{
    struct command command = { .tag = COMMAND_SET_LIMITS };

    command.u.set_limits.fields = r->limit_fields;
    memcpy(command.u.set_limits.values, r->limits, sizeof r->limits);
    request_encode_envelope(r, &command, out);
}

/* What there is stands beside what there may be. */
static void read_limits(const struct refdb *db, const struct request *r, struct sink *s)
{
    uint64_t limits[LIMIT_COUNT];
    struct refdb_gauges gauges;

    (void)r;
    refdb_get_limits(db, limits);
    refdb_get_gauges(db, &gauges);
    sink_begin(s, SINK_MAP);
    sink_field(s, "repositories");
    sink_number(s, gauges.repositories);
    sink_field(s, "repositories_limit");
    sink_number(s, limits[LIMIT_REPOSITORIES]);
    sink_field(s, "refs");
    sink_number(s, gauges.refs);
    sink_field(s, "refs_limit");
    sink_number(s, limits[LIMIT_REFS]);
    sink_field(s, "bytes");
    sink_number(s, gauges.ref_bytes + gauges.repository_bytes);
    sink_field(s, "bytes_limit");
    sink_number(s, limits[LIMIT_BYTES]);
    sink_field(s, "repository_refs_limit");
    sink_number(s, limits[LIMIT_REPOSITORY_REFS]);
    sink_end(s);
}

/* ---- FILTER ---- */

/* n (TRACK|IGNORE pattern)*n */
static enum rk_status parse_filter(struct arguments *a, struct request_scratch *scratch,
                                   struct request *r, struct failure *why)
{
    uint64_t count;

    (void)scratch;
    why->text[0] = '\0';
    if (arguments_left(a) == 0 || number_parse(arguments_take(a), &count) != RK_OK ||
        count > arguments_left(a) / 2) {
        return RK_BADARG;
    }
    if (count > FILTER_RULES_MAX) {
        failure_set(why, RK_TOOLARGE, "at most %d rules", FILTER_RULES_MAX);
        return RK_TOOLARGE;
    }
    r->items = a->words + a->next;
    r->item_count = (uint32_t)(2 * count);
    a->next += r->item_count;
    for (uint32_t i = 0; i < r->item_count; i += 2) {
        if (!word_is(r->items[i], "TRACK") && !word_is(r->items[i], "IGNORE")) {
            return RK_BADARG;
        }
        if (!ref_pattern_is_valid(r->items[i + 1])) {
            failure_set(why, RK_BADARG,
                        "a pattern starts with refs/ and has at most one * between slashes");
            failure_add_text(why, "pattern", r->items[i + 1]);
            return RK_BADARG;
        }
    }
    return RK_OK;
}

static void encode_filter(const struct request *r, struct buffer *out)
{
    struct command command = { .tag = COMMAND_SET_FILTER };
    struct buffer rules = BUFFER_INIT;

    for (uint32_t i = 0; i < r->item_count; i += 2) {
        const struct ref_rule rule = { .is_tracked = word_is(r->items[i], "TRACK"),
                                       .pattern = r->items[i + 1] };

        ref_filter_put(&rules, &rule);
    }
    command.u.set_filter.count = r->item_count / 2;
    command.u.set_filter.rules = buffer_slice(&rules);
    request_encode_envelope(r, &command, out);
    buffer_release(&rules);
}

void sink_ref_filter(struct sink *s, const struct refdb *db)
{
    struct slice rest = refdb_filter(db);
    struct ref_rule rule;

    sink_begin(s, SINK_LIST);
    while (ref_filter_next(&rest, &rule)) {
        sink_begin(s, SINK_MAP);
        sink_field(s, "rule");
        sink_c_text(s, rule.is_tracked ? "track" : "ignore");
        sink_field(s, "pattern");
        sink_text(s, rule.pattern);
        sink_end(s);
    }
    sink_end(s);
}

static void read_filter(const struct refdb *db, const struct request *r, struct sink *s)
{
    (void)r;
    sink_field(s, "rules");
    sink_ref_filter(s, db);
}

/* ---- STATE.DIGEST ---- */

/* The digest of now, and those of the indexes at which members compare: newest first. */
static void show_digest(const struct request_context *c, const struct request *r, struct sink *s)
{
    const struct refdb *db = node_refdb(c->node);
    raft_index applied = refdb_applied_index(db), index;
    uint8_t digest[16];
    struct node_status status;

    (void)r;
    node_get_status(c->node, &status);
    refdb_digest(db, digest);
    sink_begin(s, SINK_MAP);
    if (!s->is_json) {
        sink_field(s, "node");
        sink_c_text(s, status.name);
        sink_field(s, "applied_index");
        sink_number(s, applied);
    }
    sink_field(s, "digest");
    sink_hex(s, digest, sizeof digest);
    sink_field(s, "marks");
    sink_begin(s, SINK_LIST);
    index = applied - applied % DIGEST_INTERVAL;
    for (unsigned i = 0; i < DIGESTS_KEPT && index > 0; i++, index -= DIGEST_INTERVAL) {
        if (refdb_digest_at(db, index, digest)) {
            sink_begin(s, SINK_ROW);
            sink_field(s, "index");
            sink_number(s, index);
            sink_field(s, "digest");
            sink_hex(s, digest, sizeof digest);
            sink_end(s);
        }
    }
    sink_end(s);
    sink_end(s);
}

const struct request_type requests_settings[] = {
    {
        .name = "LIMITS.SET",
        .kind = REQUEST_WRITE,
        .scope = SERVER_MAY_ADMIN,
        .arguments = "(REPOSITORIES|REFS|BYTES|REPOSITORY_REFS n).. [REQID session seq low] "
                     "[ACTOR text]",
        .summary = "Limits what the cluster holds; 0 = no limit; those not named stay",
        .options = FIELD_BIT(FIELD_REQID) | FIELD_BIT(FIELD_ACTOR),
        .parse = parse_limits,
        .encode = encode_limits,
        .reply = reply_index,
    },
    {
        .name = "LIMITS.SHOW",
        .kind = REQUEST_READ,
        .scope = SERVER_MAY_READ,
        .arguments = "[STALE|MININDEX n]",
        .summary = "What the cluster holds and may hold; a limit of 0 is none",
        .options = FIELDS_READ,
        .read = read_limits,
    },
    {
        .name = "FILTER.SET",
        .kind = REQUEST_WRITE,
        .scope = SERVER_MAY_ADMIN,
        .arguments = "n (TRACK|IGNORE pattern)*n [REQID session seq low] [ACTOR text]",
        .summary = "Says which refs the cluster decides about: the first rule that fits",
        .options = FIELD_BIT(FIELD_REQID) | FIELD_BIT(FIELD_ACTOR),
        .parse = parse_filter,
        .encode = encode_filter,
        .reply = reply_index,
    },
    {
        .name = "FILTER.SHOW",
        .kind = REQUEST_READ,
        .scope = SERVER_MAY_READ,
        .arguments = "[STALE|MININDEX n]",
        .summary = "The rules in their order",
        .options = FIELDS_READ,
        .read = read_filter,
    },
    {
        .name = "STATE.DIGEST",
        .kind = REQUEST_LOCAL,
        .scope = SERVER_MAY_READ,
        .arguments = "",
        .summary = "The digest of this node's state, now and at earlier indexes",
        .local = show_digest,
    },
    { .name = NULL },
};
