/* SPDX-License-Identifier: Apache-2.0 */
/* What people see of the configuration. */
#include <string.h>

#include "daemon/config.h"

#define HELP_COLUMN 36
#define HELP_WIDTH 60

void config_print(const struct config *c, FILE *out)
{
    for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_value *value = &c->values[i];
        char source[256];

        config_source_text(c, (enum config_key)i, source, sizeof source);
        if (i == CONFIG_CONFIG) {
            fprintf(out, "; file: %s\n", value->text == NULL ? "none" : value->text);
        } else if (value->text == NULL) {
            fprintf(out, "; %s is not set\n", config_keys[i].key);
        } else {
            /* One member a line: long lines are not read back. */
            for (const char *at = value->text; at != NULL;) {
                const char *comma = config_keys[i].type == CONFIG_TYPE_MEMBERS ? strchr(at, ',')
                                                                               : NULL;
                int size = comma == NULL ? (int)strlen(at) : (int)(comma - at);

                fprintf(out, "%s = %.*s ; %s\n", config_keys[i].key, size, at, source);
                at = comma == NULL ? NULL : comma + 1;
            }
        }
    }
}

/* Help in lines of its own width, from the second on indented to its column. */
static void print_wrapped(const char *text, FILE *out)
{
    while (strlen(text) > HELP_WIDTH) {
        int cut = HELP_WIDTH;

        while (cut > 0 && text[cut] != ' ') {
            cut--;
        }
        fprintf(out, "%.*s\n%*s", cut, text, HELP_COLUMN, "");
        text += cut + 1;
    }
    fprintf(out, "%s", text);
}

static void print_key(const struct config_key_facts *facts, FILE *out)
{
    int used = fprintf(out, "  --%s %s", facts->key, facts->value == NULL ? "" : facts->value);

    if (used >= HELP_COLUMN) {
        fprintf(out, "\n");
        used = 0;
    }
    fprintf(out, "%*s", HELP_COLUMN - used, "");
    print_wrapped(facts->help, out);
    if (facts->standard != NULL && facts->type != CONFIG_TYPE_BOOL) {
        fprintf(out, " [%s]", facts->standard);
    }
    fprintf(out, "\n");
}

void config_print_help(FILE *out)
{
    fprintf(out, "usage: refkeeperd [--config FILE] --name NAME --data-dir DIR "
                 "--initial-members NAME=HOST:PORT,...\n"
                 "                  (--peer-ca FILE --peer-cert FILE --peer-key FILE | "
                 "--insecure-peer) [OPTION]...\n\n"
                 "One node of a cluster that keeps the refs of Git repositories.\n\n"
                 "Each option is also a key of the file (name = n1) and a variable of the\n"
                 "environment (REFKEEPERD_NAME=n1). Flags win over the environment, that over the\n"
                 "file, that over the [default].\n\n");
    for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
        print_key(&config_keys[i], out);
    }
    fprintf(out, "\n"
                 "  --print-config                    show each value and where it comes from\n"
                 "  --check-config                    judge the configuration and its files, then "
                 "exit\n"
                 "  --version                         show the versions\n"
                 "  -h, --help                        show this\n\n"
                 "exit status: 0 stopped when asked, 1 failure, 2 usage, 65 corrupt data, 74 "
                 "input/output\n"
                 "error, 75 data directory in use, 78 configuration\n");
}
