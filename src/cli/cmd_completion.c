/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeper completion: the verbs for the shell, made from the verb table. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/verbs.h"

#define GLOBAL_FLAGS                                                                               \
    "--endpoints --output --timeout --cacert --cert --key --server-name --user --actor --help"

/* Verbs of one word, or the second words behind `first`; each once. */
static void print_words(const char *first)
{
    for (const struct verb *v = cli_verbs; v->name != NULL; v++) {
        const char *space = strchr(v->name, ' ');
        size_t size = space == NULL ? strlen(v->name) : (size_t)(space - v->name);
        bool is_known = first == NULL && v > cli_verbs && strncmp(v[-1].name, v->name, size) == 0 &&
                        v[-1].name[size] == ' ';

        if (first == NULL && !is_known) {
            printf("%.*s ", (int)size, v->name);
        } else if (first != NULL && space != NULL && strlen(first) == size &&
                   memcmp(first, v->name, size) == 0) {
            printf("%s ", space + 1);
        }
    }
}

/* Calls `each` with every first word that has second words. */
static void for_groups(void (*each)(const char *first))
{
    char last[32] = "";

    for (const struct verb *v = cli_verbs; v->name != NULL; v++) {
        const char *space = strchr(v->name, ' ');

        if (space == NULL || strncmp(last, v->name, (size_t)(space - v->name) + 1) == 0) {
            continue;
        }
        snprintf(last, sizeof last, "%.*s", (int)(space - v->name) + 1, v->name);
        last[space - v->name] = '\0';
        each(last);
        last[space - v->name] = ' ';
    }
}

static void bash_group(const char *first)
{
    printf("        %s) words=\"", first);
    print_words(first);
    printf("\" ;;\n");
}

static void fish_group(const char *first)
{
    printf("complete -c refkeeper -n '__fish_seen_subcommand_from %s' -a '", first);
    print_words(first);
    printf("'\n");
}

static void print_bash(void)
{
    printf("_refkeeper() {\n"
           "    local words word=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]}\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        words=\"");
    print_words(NULL);
    printf("%s\"\n    elif [ \"$COMP_CWORD\" -eq 2 ]; then\n        case $verb in\n", GLOBAL_FLAGS);
    for_groups(bash_group);
    printf("        *) words=\"%s\" ;;\n        esac\n    else\n        words=\"%s\"\n    fi\n"
           "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
           "}\ncomplete -o default -F _refkeeper refkeeper\n",
           GLOBAL_FLAGS, GLOBAL_FLAGS);
}

static void print_fish(void)
{
    printf("complete -c refkeeper -n '__fish_use_subcommand' -a '");
    print_words(NULL);
    printf("'\n");
    for_groups(fish_group);
    printf("complete -c refkeeper -l endpoints -x\ncomplete -c refkeeper -l output -s o -x -a "
           "'table json jsonl value'\ncomplete -c refkeeper -l timeout -x\n"
           "complete -c refkeeper -l cacert -r\ncomplete -c refkeeper -l cert -r\n"
           "complete -c refkeeper -l key -r\ncomplete -c refkeeper -l help\n");
}

int cmd_completion(struct cli *cli, int argc, char **argv)
{
    if (cli_parse(cli, argc, argv, NULL, 0, 1, 1) < 0) {
        return EXIT_USAGE;
    }
    if (strcmp(argv[0], "bash") == 0) {
        print_bash();
    } else if (strcmp(argv[0], "zsh") == 0) {
        printf("autoload -U +X bashcompinit && bashcompinit\n");
        print_bash();
    } else if (strcmp(argv[0], "fish") == 0) {
        print_fish();
    } else {
        return cli_usage_error(cli, "completion is for bash, zsh or fish, not %s", argv[0]);
    }
    return fflush(stdout) == 0 ? 0 : EXIT_OTHER;
}
