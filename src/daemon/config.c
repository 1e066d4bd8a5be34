/* SPDX-License-Identifier: Apache-2.0 */
/* The table of keys, and the sources flags and environment. */
#include "daemon/config.h"

#include <ctype.h>
#include <string.h>

#include "base/heap.h"
#include "daemon/config_value.h"

#define ENVIRONMENT_PREFIX "REFKEEPERD_"
#define KEY_BYTES_MAX 32

const struct config_key_facts config_keys[CONFIG_KEY_COUNT] = {
#define CONFIG_KEY_ROW(name, key, type, standard, least, most, value, help)                        \
    [CONFIG_##name] = { key, CONFIG_TYPE_##type, standard, least, most, value, help },
    CONFIG_KEY_LIST(CONFIG_KEY_ROW)
#undef CONFIG_KEY_ROW
};

/* ---- Names ---- */

enum config_key config_find(const char *name, size_t size)
{
    for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (strlen(config_keys[i].key) == size && memcmp(config_keys[i].key, name, size) == 0) {
            return (enum config_key)i;
        }
    }
    return CONFIG_KEY_COUNT;
}

/* How many letters must be added, dropped or changed to make one of the other. */
static unsigned edits_between(const char *a, size_t a_size, const char *b, size_t b_size)
{
    unsigned row[KEY_BYTES_MAX + 1];

    for (size_t j = 0; j <= b_size; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_size; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_size; j++) {
            unsigned changed = diagonal + (tolower((unsigned char)a[i - 1]) != b[j - 1]);

            diagonal = row[j];
            row[j] = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = changed < row[j] ? changed : row[j];
        }
    }
    return row[b_size];
}

enum config_key config_guess(const char *name, size_t size)
{
    enum config_key best = CONFIG_KEY_COUNT;
    unsigned best_edits = 3; /* more than two is another word */

    if (size == 0 || size > KEY_BYTES_MAX) {
        return CONFIG_KEY_COUNT;
    }
    for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
        const char *key = config_keys[i].key;
        unsigned edits = edits_between(name, size, key, strlen(key));

        if (edits < best_edits) {
            best = (enum config_key)i;
            best_edits = edits;
        }
    }
    return best;
}

static void variable_name(enum config_key key, char *out, size_t size)
{
    snprintf(out, size, "%s%s", ENVIRONMENT_PREFIX, config_keys[key].key);
    for (char *at = out + strlen(ENVIRONMENT_PREFIX); *at != '\0'; at++) {
        *at = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
    }
}

/* ---- Values ---- */

/* Values of a list that is given in parts are joined. */
static char *joined(const char *old, const char *text)
{
    struct buffer out = BUFFER_INIT;
    char *result;

    buffer_printf(&out, "%s,%s", old, text);
    result = heap_copy_text(out.data, out.size);
    buffer_release(&out);
    return result;
}

enum rk_status config_set(struct config *c, enum config_key key, const char *text,
                          enum config_source source, unsigned line, struct errmsg *why)
{
    struct config_value *value = &c->values[key];
    bool is_repeated = value->text != NULL && value->source == source;
    bool is_list = config_keys[key].type == CONFIG_TYPE_MEMBERS;
    char *whole;
    int64_t number;
    enum rk_status status;

    if (is_repeated && !is_list && source != CONFIG_FROM_DEFAULT) {
        errmsg_set(why, "it is given twice");
        return RK_CONFIG;
    }
    whole = is_repeated && is_list ? joined(value->text, text) : heap_copy_text(text, strlen(text));
    status = config_value_parse(&config_keys[key], whole, &number, why);
    if (status != RK_OK || (value->text != NULL && value->source > source)) {
        heap_free(whole);
        return status;
    }
    heap_free(value->text);
    *value = (struct config_value){ whole, number, source, line };
    return RK_OK;
}

static enum rk_status set_defaults(struct config *c, struct errmsg *why)
{
    for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (c->values[i].text == NULL && config_keys[i].standard != NULL) {
            enum rk_status status = config_set(c, (enum config_key)i, config_keys[i].standard,
                                               CONFIG_FROM_DEFAULT, 0, why);

            if (status != RK_OK) {
                errmsg_wrap(why, "default of %s", config_keys[i].key);
                return status;
            }
        }
    }
    return RK_OK;
}

/* ---- Flags ---- */

static const struct {
    const char *flag;
    enum config_action action;
} actions[] = {
    { "--help", CONFIG_SHOW_HELP },       { "-h", CONFIG_SHOW_HELP },
    { "--version", CONFIG_SHOW_VERSION }, { "--print-config", CONFIG_PRINT },
    { "--check-config", CONFIG_CHECK },
};

static bool take_action(struct config *c, const char *flag)
{
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (strcmp(flag, actions[i].flag) == 0) {
            c->action = actions[i].action;
            return true;
        }
    }
    return false;
}

static enum rk_status unknown_flag(const char *flag, size_t size, struct errmsg *why)
{
    enum config_key guess = config_guess(flag + 2, size - 2);

    if (guess == CONFIG_KEY_COUNT) {
        errmsg_set(why, "unknown flag %.*s (see --help)", (int)size, flag);
    } else {
        errmsg_set(why, "unknown flag %.*s; did you mean --%s?", (int)size, flag,
                   config_keys[guess].key);
    }
    return RK_BADARG;
}

/* Takes argv[*at] and its value; *at is left on the last one used. */
static enum rk_status take_flag(struct config *c, int argc, char *const *argv, int *at,
                                struct errmsg *why)
{
    const char *flag = argv[*at];
    const char *equals = strchr(flag, '=');
    size_t size = equals == NULL ? strlen(flag) : (size_t)(equals - flag);
    enum config_key key = config_find(flag + 2, size - 2);
    const char *text;

    if (key == CONFIG_KEY_COUNT) {
        return unknown_flag(flag, size, why);
    }
    if (equals != NULL) {
        text = equals + 1;
    } else if (config_keys[key].type == CONFIG_TYPE_BOOL) {
        text = "true";
    } else if (*at + 1 < argc) {
        text = argv[++*at];
    } else {
        errmsg_set(why, "%s needs a value: %s", flag, config_keys[key].value);
        return RK_BADARG;
    }
    if (config_set(c, key, text, CONFIG_FROM_FLAG, 0, why) != RK_OK) {
        errmsg_wrap(why, "--%s", config_keys[key].key);
        return RK_BADARG;
    }
    return RK_OK;
}

static enum rk_status read_flags(struct config *c, int argc, char *const *argv, struct errmsg *why)
{
    for (int at = 1; at < argc; at++) {
        enum rk_status status = RK_OK;

        if (take_action(c, argv[at])) {
            if (c->action == CONFIG_SHOW_HELP || c->action == CONFIG_SHOW_VERSION) {
                return RK_OK;
            }
        } else if (strncmp(argv[at], "--", 2) == 0 && argv[at][2] != '\0') {
            status = take_flag(c, argc, argv, &at, why);
        } else {
            errmsg_set(why, "unexpected argument \"%.100s\" (see --help)", argv[at]);
            status = RK_BADARG;
        }
        if (status != RK_OK) {
            return status;
        }
    }
    return RK_OK;
}

/* ---- Environment ---- */

static enum rk_status take_variable(struct config *c, const char *variable, struct errmsg *why)
{
    const char *equals = strchr(variable, '=');
    char name[64];

    for (int i = 0; equals != NULL && i < CONFIG_KEY_COUNT; i++) {
        variable_name((enum config_key)i, name, sizeof name);
        if (strlen(name) == (size_t)(equals - variable) &&
            strncmp(name, variable, strlen(name)) == 0) {
            enum rk_status status = RK_OK;

            if (equals[1] != '\0') { /* set but empty is how compose files say "not set" */
                status = config_set(c, (enum config_key)i, equals + 1, CONFIG_FROM_ENVIRONMENT, 0,
                                    why);
            }
            if (status != RK_OK) {
                errmsg_wrap(why, "environment %s", name);
            }
            return status;
        }
    }
    if (equals != NULL) {
        buffer_printf(&c->warnings, "environment %.*s names no key; it is ignored\n",
                      (int)(equals - variable > 60 ? 60 : equals - variable), variable);
    }
    return RK_OK;
}

static enum rk_status read_environment(struct config *c, char *const *environment,
                                       struct errmsg *why)
{
    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, ENVIRONMENT_PREFIX, strlen(ENVIRONMENT_PREFIX)) == 0) {
            enum rk_status status = take_variable(c, *environment, why);

            if (status != RK_OK) {
                return status;
            }
        }
    }
    return RK_OK;
}

/* ---- All ---- */

enum rk_status config_load(struct config *c, int argc, char *const *argv, char *const *environment,
                           struct errmsg *why)
{
    enum rk_status status;

    *c = (struct config){ .action = CONFIG_RUN };
    status = read_flags(c, argc, argv, why);
    if (status != RK_OK || c->action == CONFIG_SHOW_HELP || c->action == CONFIG_SHOW_VERSION) {
        return status;
    }
    status = read_environment(c, environment, why);
    if (status == RK_OK && config_text(c, CONFIG_CONFIG) != NULL) {
        status = config_read_file(c, config_text(c, CONFIG_CONFIG), why);
    }
    if (status == RK_OK) {
        status = set_defaults(c, why);
    }
    return status == RK_OK ? config_validate(c, why) : status;
}

void config_release(struct config *c)
{
    for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
        heap_free(c->values[i].text);
    }
    buffer_release(&c->warnings);
    *c = (struct config){ .action = CONFIG_RUN };
}

void config_source_text(const struct config *c, enum config_key key, char *out, size_t size)
{
    switch (c->values[key].source) {
    case CONFIG_FROM_DEFAULT:
        snprintf(out, size, "default");
        break;
    case CONFIG_FROM_FILE:
        snprintf(out, size, "%s:%u", config_text(c, CONFIG_CONFIG), c->values[key].line);
        break;
    case CONFIG_FROM_ENVIRONMENT:
        variable_name(key, out, size);
        break;
    case CONFIG_FROM_FLAG:
        snprintf(out, size, "--%s", config_keys[key].key);
        break;
    }
}
