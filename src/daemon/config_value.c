/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config_value.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "node/address.h"
#include "node/node.h"

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit duration_units[] = {
    { "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 }, { "h", HOUR_MS }, { NULL, 0 }
};
static const struct unit size_units[] = {
    { "", 1 },      { "B", 1 }, { "KiB", KIB }, { "MiB", MIB }, { "GiB", 1024LL * MIB },
    { "TiB", TIB }, { NULL, 0 }
};
static const struct unit count_units[] = { { "", 1 }, { NULL, 0 } };

static enum rk_status refuse(struct errmsg *why, const char *text, const char *wanted)
{
    errmsg_set(why, "\"%.100s\" is not %s", text, wanted);
    return RK_CONFIG;
}

/* Digits and a unit.  False when it is neither, or too large for any key. */
static bool parse_scaled(const char *text, const struct unit *units, int64_t *ret_number)
{
    int64_t number = 0;
    const char *at = text;

    for (; *at >= '0' && *at <= '9'; at++) {
        if (number > INT64_MAX / 100) {
            return false;
        }
        number = number * 10 + (*at - '0');
    }
    if (at == text) {
        return false;
    }
    for (; units->name != NULL; units++) {
        if (strcmp(at, units->name) == 0 && number <= INT64_MAX / units->factor) {
            *ret_number = number * units->factor;
            return true;
        }
    }
    return false;
}

static const char *format_number(enum config_type type, int64_t number, char *out, size_t size)
{
    const struct unit *units = type == CONFIG_TYPE_DURATION ? duration_units
                               : type == CONFIG_TYPE_SIZE   ? size_units
                                                            : count_units;
    const struct unit *best = units;

    for (const struct unit *unit = units; unit->name != NULL; unit++) {
        if (number >= unit->factor && number % unit->factor == 0) {
            best = unit;
        }
    }
    snprintf(out, size, "%" PRId64 "%s", number / best->factor, best->name);
    return out;
}

static enum rk_status parse_number(const struct config_key_facts *facts, const char *text,
                                   int64_t *ret_number, struct errmsg *why)
{
    char least[32], most[32];
    int64_t number = 0;

    if (facts->type == CONFIG_TYPE_DURATION) {
        if (!parse_scaled(text, duration_units, &number)) {
            return refuse(why, text, "a time such as 250ms, 2s, 10m");
        }
    } else if (facts->type == CONFIG_TYPE_SIZE) {
        if (!parse_scaled(text, size_units, &number)) {
            return refuse(why, text, "a size such as 65536, 512KiB, 100MiB, 2GiB");
        }
    } else if (!parse_scaled(text, count_units, &number)) {
        return refuse(why, text, "a number");
    }
    if (number < facts->least || number > facts->most) {
        errmsg_set(why, "\"%.40s\" is out of range: %s to %s", text,
                   format_number(facts->type, facts->least, least, sizeof least),
                   format_number(facts->type, facts->most, most, sizeof most));
        return RK_CONFIG;
    }
    *ret_number = number;
    return RK_OK;
}

static enum rk_status parse_word(const char *text, const char *const *words, const char *wanted,
                                 int64_t *ret_number, struct errmsg *why)
{
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret_number = i;
            return RK_OK;
        }
    }
    return refuse(why, text, wanted);
}

static enum rk_status parse_bool(const char *text, int64_t *ret_number, struct errmsg *why)
{
    static const char *const words[] = {
        "false", "true", "no", "yes", "0", "1", "off", "on", NULL
    };
    enum rk_status status = parse_word(text, words, "true or false", ret_number, why);

    if (status == RK_OK) {
        *ret_number %= 2;
    }
    return status;
}

static enum rk_status parse_name(const char *text, struct errmsg *why)
{
    return member_name_is_valid(slice_of_text(text))
               ? RK_OK
               : refuse(why, text, "a node name: 1 to 63 letters, digits, \".\", \"_\", \"-\"");
}

static enum rk_status parse_address(enum config_type type, const char *text, struct errmsg *why)
{
    struct address address;
    enum rk_status status = address_parse(text, &address, why);

    if (status == RK_OK && type == CONFIG_TYPE_ADVERTISED &&
        (address.host[0] == '\0' || address_port(&address) == 0)) {
        return refuse(why, text, "an address others can connect to: host and port are needed");
    }
    return status;
}

enum rk_status config_value_parse(const struct config_key_facts *facts, const char *text,
                                  int64_t *ret_number, struct errmsg *why)
{
    static const char *const levels[] = { [NODE_LOG_DEBUG] = "debug",
                                          [NODE_LOG_INFO] = "info",
                                          [NODE_LOG_WARN] = "warn",
                                          [NODE_LOG_ERROR] = "error",
                                          NULL };
    static const char *const formats[] = {
        [CONFIG_LOGFMT] = "logfmt", [CONFIG_JSON] = "json", NULL
    };
    struct membership members;

    *ret_number = 0;
    if (text[0] == '\0') {
        errmsg_set(why, "the value is empty");
        return RK_CONFIG;
    }
    switch (facts->type) {
    case CONFIG_TYPE_PATH:
        return RK_OK;
    case CONFIG_TYPE_NAME:
        return parse_name(text, why);
    case CONFIG_TYPE_ADDRESS:
    case CONFIG_TYPE_ADVERTISED:
        return parse_address(facts->type, text, why);
    case CONFIG_TYPE_MEMBERS:
        return config_members_parse(text, &members, why);
    case CONFIG_TYPE_BOOL:
        return parse_bool(text, ret_number, why);
    case CONFIG_TYPE_LEVEL:
        return parse_word(text, levels, "debug, info, warn or error", ret_number, why);
    case CONFIG_TYPE_FORMAT:
        return parse_word(text, formats, "logfmt or json", ret_number, why);
    case CONFIG_TYPE_DURATION:
    case CONFIG_TYPE_SIZE:
    case CONFIG_TYPE_COUNT:
        break;
    }
    return parse_number(facts, text, ret_number, why);
}

/* ---- Members ---- */

static enum rk_status member_parse(const char *text, size_t size, struct member *ret_member,
                                   struct errmsg *why)
{
    const char *equals = memchr(text, '=', size);
    struct member member = { .flags = MEMBER_VOTER | MEMBER_VOTER_OLD };
    size_t name_size = equals == NULL ? 0 : (size_t)(equals - text);
    size_t address_size = equals == NULL ? 0 : size - name_size - 1;
    enum rk_status status;

    if (equals == NULL || !member_name_is_valid(slice_of(text, name_size)) ||
        address_size > ADDRESS_BYTES_MAX) {
        errmsg_set(why, "\"%.*s\" is not NAME=HOST:PORT", (int)(size > 100 ? 100 : size), text);
        return RK_CONFIG;
    }
    memcpy(member.name, text, name_size);
    memcpy(member.peer_address, equals + 1, address_size);
    status = parse_address(CONFIG_TYPE_ADVERTISED, member.peer_address, why);
    if (status != RK_OK) {
        errmsg_wrap(why, "member %s", member.name);
        return status;
    }
    *ret_member = member;
    return RK_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct member *)a)->name, ((const struct member *)b)->name);
}

/* Sorts by name, numbers, and finds what is there twice. */
static enum rk_status members_number(struct member *members, unsigned count,
                                     struct membership *ret_members, struct errmsg *why)
{
    *ret_members = (struct membership){ .count = 0 };
    qsort(members, count, sizeof members[0], compare_names);
    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = 0; j < i; j++) {
            if (strcmp(members[i].peer_address, members[j].peer_address) == 0) {
                errmsg_set(why, "members %s and %s have the same address %s", members[j].name,
                           members[i].name, members[i].peer_address);
                return RK_CONFIG;
            }
        }
        members[i].id = i + 1;
        if (membership_add(ret_members, &members[i]) != RK_OK) {
            errmsg_set(why, "member %s is there twice", members[i].name);
            return RK_CONFIG;
        }
    }
    return RK_OK;
}

enum rk_status config_members_parse(const char *text, struct membership *ret_members,
                                    struct errmsg *why)
{
    struct member members[MEMBERS_MAX];
    unsigned count = 0;

    for (;;) {
        const char *comma = strchr(text, ',');
        size_t size = comma == NULL ? strlen(text) : (size_t)(comma - text);
        enum rk_status status;

        if (count == MEMBERS_MAX) {
            errmsg_set(why, "more than %d members", MEMBERS_MAX);
            return RK_CONFIG;
        }
        while (size > 0 && text[0] == ' ') {
            text++;
            size--;
        }
        status = member_parse(text, size, &members[count], why);
        if (status != RK_OK) {
            return status;
        }
        count++;
        if (comma == NULL) {
            return members_number(members, count, ret_members, why);
        }
        text = comma + 1;
    }
}
