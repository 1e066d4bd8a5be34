/* SPDX-License-Identifier: Apache-2.0 */
/* What clients ask for over ssh, and where ssh goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/heap.h"
#include "cli/ssh_command.h"

static void one_service_and_one_path_are_taken(void **state)
{
    static const struct {
        const char *text, *service, *path;
        bool is_write;
    } rows[] = {
        { "git-upload-pack '/a/b.git'", "git-upload-pack", "a/b.git", false },
        { "git-upload-pack 'a/b.git'", "git-upload-pack", "a/b.git", false },
        { "git upload-pack '/a/b.git'", "git-upload-pack", "a/b.git", false },
        { "git-receive-pack '/a/b.git'", "git-receive-pack", "a/b.git", true },
        { "git receive-pack a/b.git", "git-receive-pack", "a/b.git", true },
        { "git-upload-archive '/a/b.git'", "git-upload-archive", "a/b.git", false },
        { "git-upload-pack '/it'\\''s.git'", "git-upload-pack", "it's.git", false },
        { "git-upload-pack '/wow'\\!'.git'", "git-upload-pack", "wow!.git", false },
        { "git-upload-pack '/a b.git'", "git-upload-pack", "a b.git", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct errmsg why = ERRMSG_INIT;
        struct ssh_command command;

        assert_int_equal(ssh_command_parse(rows[i].text, &command, &why), RK_OK);
        assert_string_equal(command.service, rows[i].service);
        assert_string_equal(command.path, rows[i].path);
        assert_int_equal(command.is_write, rows[i].is_write);
    }
}

static void anything_else_is_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "git-upload-pack",
        "git-upload-pack ",
        "git-shell '/a.git'",
        "git-upload-packs '/a.git'",
        "gitXupload-pack '/a.git'",
        "git-upload-pack '/a.git' --upload-pack=x",
        "git-upload-pack '/a.git'; id",
        "git-upload-pack '/a.git",
        "git-upload-pack '/../a.git'",
        "git-upload-pack '//a.git'",
        "git-upload-pack '/a/./b.git'",
        "git-upload-pack '/a/'",
        "git-upload-pack ''",
        "git-upload-pack '/a\n.git'",
        "git-upload-pack --help",
    };
    char *long_text = heap_alloc(3000);

    (void)state;
    memset(long_text, 'a', 2999);
    memcpy(long_text, "git-upload-pack ", 16);
    long_text[2999] = '\0';
    for (size_t i = 0; i <= sizeof rows / sizeof rows[0]; i++) {
        const char *text = i < sizeof rows / sizeof rows[0] ? rows[i] : long_text;
        struct errmsg why = ERRMSG_INIT;
        struct ssh_command command;

        if (ssh_command_parse(text, &command, &why) != RK_BADARG) {
            fail_msg("taken: %s", text);
        }
        assert_int_not_equal(why.text[0], '\0');
    }
    heap_free(long_text);
}

static void what_is_written_anew_reads_the_same(void **state)
{
    static const char *const paths[] = { "a/b.git", "it's.git", "wow!.git",
                                         "a b$(id)`id`\"\\.git" };

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct errmsg why = ERRMSG_INIT;
        struct ssh_command command = { .service = "git-upload-pack" }, again;
        char *text;

        memcpy(command.path, paths[i], strlen(paths[i]) + 1);
        text = ssh_command_format(&command);
        assert_int_equal(ssh_command_parse(text, &again, &why), RK_OK);
        assert_string_equal(again.path, paths[i]);
        heap_free(text);
    }
}

static void addresses_are_split(void **state)
{
    static const struct {
        const char *text, *destination, *port;
    } rows[] = {
        { "h1", "h1", "" },
        { "git@h1", "git@h1", "" },
        { "git@h1:2222", "git@h1", "2222" },
        { "10.0.0.1:22", "10.0.0.1", "22" },
        { "[::1]:22", "::1", "22" },
        { "git@[fe80::1%eth0]", "git@fe80::1%eth0", "" },
        { "", NULL, NULL },
        { "-oProxyCommand=id", NULL, NULL },
        { "h1:", NULL, NULL },
        { "h1:22x", NULL, NULL },
        { "h1 h2", NULL, NULL },
        { "h1:123456789", NULL, NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct errmsg why = ERRMSG_INIT;
        struct ssh_address address;
        enum rk_status status = ssh_address_parse(rows[i].text, &address, &why);

        assert_int_equal(status, rows[i].destination == NULL ? RK_BADARG : RK_OK);
        if (status == RK_OK) {
            assert_string_equal(address.destination, rows[i].destination);
            assert_string_equal(address.port, rows[i].port);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_service_and_one_path_are_taken),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(what_is_written_anew_reads_the_same),
        cmocka_unit_test(addresses_are_split),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
