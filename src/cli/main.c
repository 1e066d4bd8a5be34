/* SPDX-License-Identifier: Apache-2.0 */
/* refkeeper: finds the verb and runs it. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

/* A hook in a repository is a link to this program: its own name is the verb. */
static const struct verb *verb_of_program(const char *program)
{
    const char *slash = strrchr(program, '/');
    char hook[] = "hook";
    char name[32];
    char *words[2] = { hook, name };
    int count = 0;
    const struct verb *verb;

    snprintf(name, sizeof name, "%s", slash == NULL ? program : slash + 1);
    verb = cli_find_verb(2, words, &count);
    return count == 2 ? verb : NULL;
}

/*
 * A hook may be a file whose first line is "#!PROGRAM hook NAME": the kernel then gives us "hook
 * NAME" as one word, the file's name, and the arguments.  NULL for anything else.
 */
static const struct verb *verb_of_script(int argc, char **argv)
{
    char hook[] = "hook";
    char *words[2] = { hook, NULL };
    int count = 0;
    const struct verb *verb;

    if (argc < 3 || strncmp(argv[1], "hook ", 5) != 0) {
        return NULL;
    }
    words[1] = argv[1] + 5;
    verb = cli_find_verb(2, words, &count);
    return count == 2 ? verb : NULL;
}

/* `refkeeper repo` and `refkeeper repo --help` say what there is about repositories. */
static int no_verb(struct cli *cli, int argc, char **argv)
{
    if (cli->is_help || (argc > 1 && strcmp(argv[1], "--help") == 0)) {
        if (cli_print_group(stdout, argv[0])) {
            return 0;
        }
    } else if (argc == 1 && cli_print_group(stderr, argv[0])) {
        return EXIT_USAGE;
    }
    return cli_usage_error(cli, "no such verb: %s%s%s", argv[0], argc > 1 ? " " : "",
                           argc > 1 ? argv[1] : "");
}

/* What people type when they do not know the verbs. */
static void take_version_flag(int argc, char **argv)
{
    static char verb[] = "version";

    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        argv[1] = verb;
    }
}

static int run(struct cli *cli, int argc, char **argv)
{
    int words = 0;
    int first;

    if (!cli_read_environment(cli)) {
        return EXIT_USAGE;
    }
    cli->verb = verb_of_program(argv[0]);
    if (cli->verb != NULL) {
        return cli->verb->run(cli, argc - 1, argv + 1);
    }
    cli->verb = verb_of_script(argc, argv);
    if (cli->verb != NULL) {
        return cli->verb->run(cli, argc - 3, argv + 3);
    }
    take_version_flag(argc, argv);
    first = cli_parse_global(cli, argc - 1, argv + 1);
    if (first < 0) {
        return EXIT_USAGE;
    }
    argc -= 1 + first;
    argv += 1 + first;
    if (argc == 0) {
        cli_print_help(cli);
        return cli->is_help ? 0 : EXIT_USAGE;
    }
    cli->verb = cli_find_verb(argc, argv, &words);
    if (cli->verb == NULL) {
        return no_verb(cli, argc, argv);
    }
    if (cli->is_help) {
        cli_print_help(cli);
        return 0;
    }
    return cli->verb->run(cli, argc - words, argv + words);
}

int main(int argc, char **argv)
{
    struct cli cli = { .verb = NULL };
    int code = run(&cli, argc, argv);

    /* Help asked for after the verb ends the verb's parsing, and is no usage error. */
    if (cli.is_help) {
        code = 0;
    }
    cli_release(&cli);
    return code;
}
