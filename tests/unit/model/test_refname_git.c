/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generated names, held against `git check-ref-format`.
 *
 * One process judges one name, so a few thousand are tried, several at a time:
 *   RK_TEST_NAMES=100000 RK_TEST_SEED=7 tests/unit/model/test_refname_git
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rng.h"
#include "model/refname.h"

#define NAMES_DEFAULT 3000
#define NAME_BYTES_MAX 80
#define PARALLEL_MAX 4

/* Pieces that rules speak of, put together at random. */
static const char *const pieces[] = {
    "a",  "b",  "x", "main", "/",  "/",  "/",  ".",    "..", ".lock", "lock", "@",        "{",
    "@{", "}",  "~", "^",    ":",  "?",  "*",  "[",    "]",  "\\",    " ",    "\t",       "\x7f",
    "-",  "//", "!", "refs", "\n", "\1", "'",  "\x1f", "#",  "%",     "HEAD", "\xc3\xa9", "\x80",
    "1",  "+",  "=", ",",    ";",  "_",  "\"", "$",    "|",  "<",     ">",    "\xff",     ".l",
};

static void make_name(struct rng *r, char *name)
{
    size_t count = 1 + rng_below(r, 6);
    size_t used;

    used = (size_t)snprintf(name, NAME_BYTES_MAX, "%s",
                            rng_below(r, 8) == 0 ? "refs" : "refs/heads/x");
    if (rng_below(r, 2) == 0) {
        used = (size_t)snprintf(name, NAME_BYTES_MAX, "refs/");
    }
    for (size_t i = 0; i < count; i++) {
        if (rng_below(r, 3) == 0) { /* any byte but NUL, which no argument can hold */
            name[used++] = (char)(1 + rng_below(r, 255));
            name[used] = '\0';
        } else {
            const char *piece = pieces[rng_below(r, sizeof pieces / sizeof *pieces)];

            used += (size_t)snprintf(name + used, NAME_BYTES_MAX - used, "%s", piece);
        }
    }
}

static pid_t start_git(const char *name)
{
    char *argv[] = { (char[]){ "git" }, (char[]){ "check-ref-format" }, (char *)(uintptr_t)name,
                     NULL };
    posix_spawn_file_actions_t actions;
    pid_t pid;

    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0), 0);
    assert_int_equal(posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0), 0);
    if (posix_spawnp(&pid, "git", &actions, NULL, argv, environ) != 0) {
        pid = -1;
    }
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

/* 1 valid, 0 refused, -1 there is no git. */
static int wait_for_git(pid_t pid)
{
    int status;

    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
        WEXITSTATUS(status) > 1) {
        return -1;
    }
    return WEXITSTATUS(status) == 0;
}

static bool git_is_there(void)
{
    return wait_for_git(start_git("refs/heads/main")) == 1;
}

static unsigned long from_environment(const char *variable, unsigned long otherwise)
{
    const char *text = getenv(variable);

    return text == NULL ? otherwise : strtoul(text, NULL, 10);
}

static void expect_verdict(const char *name, int verdict)
{
    /* What starts with refs/ has two components or an empty one, so git's rule is ours. */
    int expected = verdict == 1 && strncmp(name, "refs/", 5) == 0;

    assert_int_not_equal(verdict, -1);
    if (refname_is_valid(slice_of_text(name)) != (bool)expected) {
        printf("# ");
        for (const char *c = name; *c != '\0'; c++) {
            printf(*c > 0x20 && *c < 0x7f ? "%c" : "\\x%02x", *c & 0xff);
        }
        printf("\n");
        fail_msg("git says %s", expected ? "valid" : "refused");
    }
}

static void generated_names_are_judged_as_git_does(void **state)
{
    unsigned long count = from_environment("RK_TEST_NAMES", NAMES_DEFAULT);
    unsigned long seed = from_environment("RK_TEST_SEED", 1);
    char names[PARALLEL_MAX][NAME_BYTES_MAX];
    pid_t pids[PARALLEL_MAX];
    struct rng r;
    unsigned long valid_count = 0;

    (void)state;
    if (!git_is_there()) {
        skip();
    }
    rng_init(&r, seed);
    for (unsigned long done = 0; done < count; done += PARALLEL_MAX) {
        for (size_t i = 0; i < PARALLEL_MAX; i++) {
            make_name(&r, names[i]);
            pids[i] = start_git(names[i]);
        }
        for (size_t i = 0; i < PARALLEL_MAX; i++) {
            int verdict = wait_for_git(pids[i]);

            expect_verdict(names[i], verdict);
            valid_count += verdict == 1;
        }
    }
    printf("# seed %lu: %lu names, %lu of them valid\n", seed, count, valid_count);
    assert_in_range(valid_count, count / 20, count - count / 20);
}

static void every_byte_is_judged_as_git_does(void **state)
{
    (void)state;
    if (!git_is_there()) {
        skip();
    }
    for (int c = 1; c < 256; c++) {
        char name[] = "refs/heads/xyz";

        name[12] = (char)c;
        expect_verdict(name, wait_for_git(start_git(name)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_judged_as_git_does),
        cmocka_unit_test(generated_names_are_judged_as_git_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
