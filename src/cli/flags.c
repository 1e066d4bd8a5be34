/* SPDX-License-Identifier: Apache-2.0 */
/* Command-line flags and their environment variables. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "cli/cli.h"

#define TIMEOUT_MS_DEFAULT 10000

bool parse_number(const char *text, uint64_t *ret_value)
{
    char *end;
    unsigned long long value;

    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0') {
        return false;
    }
    *ret_value = value;
    return true;
}

bool parse_duration(const char *text, int64_t *ret_ms)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = { { "ms", 1 }, { "", 1000 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 } };
    char *end;
    double value;

    if ((text[0] < '0' || text[0] > '9') && text[0] != '.') {
        return false;
    }
    value = strtod(text, &end);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].unit) == 0 && value * units[i].ms < 1e12) {
            *ret_ms = (int64_t)(value * units[i].ms);
            return *ret_ms > 0;
        }
    }
    return false;
}

static bool parse_format(const char *text, enum output_format *ret_format)
{
    static const char *const names[] = { "table", "json", "jsonl", "value" };

    for (int i = 0; i < 4; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret_format = (enum output_format)i;
            return true;
        }
    }
    return false;
}

/* ---- Global flags ---- */

/* The place of a global flag's text, or NULL. */
static char **text_place(struct cli *cli, const char *name, size_t size)
{
    const struct {
        const char *name;
        char **place;
    } texts[] = {
        { "endpoints", &cli->endpoints }, { "cacert", &cli->ca_file },
        { "cert", &cli->cert_file },      { "key", &cli->key_file },
        { "user", &cli->user },           { "server-name", &cli->server_name },
        { "actor", &cli->actor },
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strlen(texts[i].name) == size && memcmp(texts[i].name, name, size) == 0) {
            return texts[i].place;
        }
    }
    return NULL;
}

static void replace_text(char **place, const char *value)
{
    heap_free(*place);
    *place = heap_copy_text(value, strlen(value));
}

static bool is_name(const char *name, size_t size, const char *wanted)
{
    return strlen(wanted) == size && memcmp(name, wanted, size) == 0;
}

enum taken { TAKEN_NOT, TAKEN_ALONE, TAKEN_WITH_VALUE, TAKEN_WRONG };

/* One global flag; `value` is what follows it, or NULL. */
static enum taken take_global(struct cli *cli, const char *name, size_t size, const char *value)
{
    char **place = text_place(cli, name, size);

    if (is_name(name, size, "help")) {
        cli->is_help = true;
        return TAKEN_ALONE;
    }
    if (place == NULL && !is_name(name, size, "output") && !is_name(name, size, "timeout")) {
        return TAKEN_NOT;
    }
    if (value == NULL) {
        (void)cli_usage_error(cli, "--%.*s needs a value", (int)size, name);
        return TAKEN_WRONG;
    }
    if (place != NULL) {
        replace_text(place, value);
    } else if (is_name(name, size, "output") && !parse_format(value, &cli->format)) {
        (void)cli_usage_error(cli, "--output is table, json, jsonl or value, not \"%s\"", value);
        return TAKEN_WRONG;
    } else if (is_name(name, size, "timeout") && !parse_duration(value, &cli->timeout_ms)) {
        (void)cli_usage_error(cli, "--timeout is a duration like 500ms, 10s or 2m, not \"%s\"",
                              value);
        return TAKEN_WRONG;
    }
    return TAKEN_WITH_VALUE;
}

static bool set_flag(const struct flag *flag, char *value)
{
    switch (flag->kind) {
    case FLAG_BOOL:
        *(bool *)flag->target = true;
        return true;
    case FLAG_TEXT:
        *(char **)flag->target = value;
        return true;
    case FLAG_NUMBER:
        return parse_number(value, flag->target);
    case FLAG_DURATION:
        return parse_duration(value, flag->target);
    }
    return false;
}

/* One flag of the verb. */
static enum taken take_own(struct cli *cli, const struct flag *flags, size_t flag_count,
                           const char *name, size_t size, char *value)
{
    for (size_t i = 0; i < flag_count; i++) {
        const struct flag *flag = &flags[i];

        if (!is_name(name, size, flag->name)) {
            continue;
        }
        if (flag->kind != FLAG_BOOL && value == NULL) {
            (void)cli_usage_error(cli, "--%s needs a value", flag->name);
            return TAKEN_WRONG;
        }
        if (!set_flag(flag, value)) {
            (void)cli_usage_error(cli, "--%s: \"%s\" is not a %s", flag->name, value,
                                  flag->kind == FLAG_NUMBER ? "number" : "duration like 10s");
            return TAKEN_WRONG;
        }
        return flag->kind == FLAG_BOOL ? TAKEN_ALONE : TAKEN_WITH_VALUE;
    }
    return TAKEN_NOT;
}

/*
 * One argument that begins with "-".  Returns how many arguments it takes up (1 or 2), 0 when it
 * is no flag, -1 after saying what is wrong.
 */
static int take_flag(struct cli *cli, int argc, char **argv, const struct flag *flags,
                     size_t flag_count)
{
    const char *name = argv[0] + (argv[0][1] == '-' ? 2 : 1);
    char *equals = strchr(name, '=');
    size_t size = equals == NULL ? strlen(name) : (size_t)(equals - name);
    char *value = equals != NULL ? equals + 1 : argc > 1 ? argv[1] : NULL;
    enum taken taken;

    if (argv[0][1] == '\0') {
        return 0;
    }
    if (strcmp(argv[0], "-h") == 0) {
        name = "help";
        size = 4;
    } else if (strcmp(argv[0], "-o") == 0) {
        name = "output";
        size = 6;
    }
    taken = take_own(cli, flags, flag_count, name, size, value);
    if (taken == TAKEN_NOT) {
        taken = take_global(cli, name, size, value);
    }
    if (taken == TAKEN_NOT) {
        (void)cli_usage_error(cli, "unknown flag %s", argv[0]);
        return -1;
    }
    if (taken == TAKEN_ALONE && equals != NULL) {
        (void)cli_usage_error(cli, "--%.*s takes no value", (int)size, name);
        return -1;
    }
    return taken == TAKEN_WRONG ? -1 : taken == TAKEN_WITH_VALUE && equals == NULL ? 2 : 1;
}

int cli_parse(struct cli *cli, int argc, char **argv, const struct flag *flags, size_t flag_count,
              int least, int most)
{
    bool is_open = true;
    int count = 0;

    for (int i = 0; i < argc;) {
        int used = 0;

        if (is_open && strcmp(argv[i], "--") == 0) {
            is_open = false;
            i++;
            continue;
        }
        if (is_open && argv[i][0] == '-') {
            used = take_flag(cli, argc - i, argv + i, flags, flag_count);
        }
        if (used < 0) {
            return -1;
        }
        if (used == 0) {
            argv[count++] = argv[i];
        }
        i += used == 0 ? 1 : used;
    }
    if (cli->is_help) {
        cli_print_help(cli);
        return -1;
    }
    if (count < least || count > most) {
        (void)cli_usage_error(cli, "%s arguments: usage is `refkeeper %s %s`",
                              count < least ? "too few" : "too many", cli->verb->name,
                              cli->verb->usage);
        return -1;
    }
    return count;
}

int cli_parse_global(struct cli *cli, int argc, char **argv)
{
    int i = 0;

    while (i < argc && argv[i][0] == '-' && argv[i][1] != '\0') {
        int used = take_flag(cli, argc - i, argv + i, NULL, 0);

        if (used < 0) {
            return -1;
        }
        i += used;
    }
    return i;
}

bool cli_read_environment(struct cli *cli)
{
    static const struct {
        const char *variable, *flag;
    } variables[] = {
        { "REFKEEPER_ENDPOINTS", "endpoints" },
        { "REFKEEPER_OUTPUT", "output" },
        { "REFKEEPER_TIMEOUT", "timeout" },
        { "REFKEEPER_CACERT", "cacert" },
        { "REFKEEPER_CERT", "cert" },
        { "REFKEEPER_KEY", "key" },
        { "REFKEEPER_SERVER_NAME", "server-name" },
        { "REFKEEPER_USER", "user" },
        { "REFKEEPER_ACTOR", "actor" },
    };
    const char *password = getenv("REFKEEPER_PASSWORD");

    cli->timeout_ms = TIMEOUT_MS_DEFAULT;
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        const char *value = getenv(variables[i].variable);
        const char *flag = variables[i].flag;

        if (value != NULL && value[0] != '\0' &&
            take_global(cli, flag, strlen(flag), value) == TAKEN_WRONG) {
            fprintf(stderr, "  (from the environment variable %s)\n", variables[i].variable);
            return false;
        }
    }
    if (password != NULL) {
        replace_text(&cli->password, password);
    }
    return true;
}
