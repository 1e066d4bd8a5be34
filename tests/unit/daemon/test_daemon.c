/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon as a process of its own: its exit codes, signals, and what it tells the service
 * manager.  It runs in a child that is this program again after fork(), without exec().
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/daemon.h"
#include "daemon/notify.h"
#include "support/certs.h"
#include "support/loop.h"

#define DEADLINE_MS 20000
#define FLAGS_MAX 24

struct fixture {
    char dir[64];
    int manager; /* the socket of the service manager */
    pid_t child;
    int log; /* the child's standard error */
    char said[65536];
};

static int setup(void **state)
{
    static struct fixture f;
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    f = (struct fixture){ .dir = "/tmp/rk-daemon-XXXXXX" };
    assert_non_null(mkdtemp(f.dir));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", f.dir);
    f.manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f.manager, (struct sockaddr *)&address, sizeof address), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];

    if (f->child > 0) {
        kill(f->child, SIGKILL);
        waitpid(f->child, NULL, 0);
    }
    close(f->manager);
    close(f->log);
    unsetenv("NOTIFY_SOCKET");
    snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    return system(command);
}

static const char *in_dir(struct fixture *f, const char *name)
{
    static char paths[4][128];
    static unsigned turn;
    char *path = paths[turn++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", f->dir, name);
    return path;
}

/* ---- The child ---- */

static int run_child(char **flags, int count)
{
    static char *nothing[] = { NULL };
    struct daemon d = { .argc = count, .argv = flags, .environment = nothing };
    struct errmsg why = ERRMSG_INIT;
    enum rk_status status = config_load(&d.config, count, flags, nothing, &why);
    int code = status == RK_OK ? daemon_run(&d) : daemon_exit_code(status);

    config_release(&d.config);
    return code;
}

/* Starts a node of a cluster of one, with more flags at the end (NULL-terminated). */
static void start(struct fixture *f, const char *const *more)
{
    static char listen_peer[32], listen_client[32], listen_http[32], members[64], data[128];
    const char *flags[FLAGS_MAX] = {
        "refkeeperd",  "--name",        "n1",        "--data-dir",
        data,          "--listen-peer", listen_peer, "--listen-client",
        listen_client, "--listen-http", listen_http, "--initial-members",
        members
    };
    int count = 13, fds[2];
    unsigned port = loop_free_port();

    snprintf(data, sizeof data, "%s/data", f->dir);
    snprintf(listen_peer, sizeof listen_peer, "127.0.0.1:%u", port);
    snprintf(members, sizeof members, "n1=127.0.0.1:%u", port);
    snprintf(listen_client, sizeof listen_client, "127.0.0.1:%u", loop_free_port());
    snprintf(listen_http, sizeof listen_http, "127.0.0.1:%u", loop_free_port());
    for (; *more != NULL; more++) {
        assert_true(count < FLAGS_MAX);
        flags[count++] = *more;
    }
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    fflush(NULL);
    f->said[0] = '\0';
    f->child = fork();
    assert_true(f->child >= 0);
    if (f->child == 0) {
        dup2(fds[1], STDERR_FILENO);
        exit(run_child((char **)(uintptr_t)flags, count));
    }
    close(fds[1]);
    f->log = fds[0];
}

static int wait_exit(struct fixture *f)
{
    int result = 0;

    /* Its end closes the pipe; a child that hangs is killed by the time limit of the test. */
    for (ssize_t got = 1; got > 0;) {
        size_t used = strlen(f->said);

        got = read(f->log, f->said + used, sizeof f->said - 1 - used);
        f->said[used + (got > 0 ? (size_t)got : 0)] = '\0';
    }
    assert_int_equal(waitpid(f->child, &result, 0), f->child);
    f->child = 0;
    assert_true(WIFEXITED(result));
    return WEXITSTATUS(result);
}

static void expect_told(struct fixture *f, const char *wanted)
{
    struct pollfd ready = { f->manager, POLLIN, 0 };
    char text[256];
    ssize_t got;

    if (poll(&ready, 1, DEADLINE_MS) != 1) {
        fail_msg("the service manager was not told %s", wanted);
    }
    got = recv(f->manager, text, sizeof text - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    assert_string_equal(text, wanted);
}

/* Reads the log until it has `text`. */
static void expect_said(struct fixture *f, const char *text)
{
    struct pollfd ready = { f->log, POLLIN, 0 };

    while (strstr(f->said, text) == NULL) {
        size_t used = strlen(f->said);
        ssize_t got = 0;

        if (poll(&ready, 1, DEADLINE_MS) == 1) {
            got = read(f->log, f->said + used, sizeof f->said - 1 - used);
        }
        if (got <= 0) {
            fail_msg("no \"%s\" in:\n%s", text, f->said);
        }
        f->said[used + (size_t)got] = '\0';
    }
}

static const char *const plain[] = { "--insecure-peer", NULL };

/* ---- Tests ---- */

static void a_node_starts_tells_and_stops(void **state)
{
    struct fixture *f = *state;
    struct stat facts;

    start(f, plain);
    expect_told(f, "READY=1");
    assert_int_equal(stat(in_dir(f, "data"), &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0700);
    kill(f->child, SIGTERM);
    expect_told(f, "STOPPING=1");
    assert_int_equal(wait_exit(f), 0);
    assert_non_null(strstr(f->said, "level=info node=n1 msg=\"refkeeperd "));
    assert_non_null(strstr(f->said, "name=n1 (--name), data-dir="));
    assert_non_null(strstr(f->said, "read-timeout=5s (default)"));
    assert_non_null(strstr(f->said, "stopped, exit code 0"));
}

static void an_interrupt_stops_too_and_twice_at_once(void **state)
{
    struct fixture *f = *state;

    start(f, plain);
    expect_told(f, "READY=1");
    kill(f->child, SIGINT);
    kill(f->child, SIGTERM);
    assert_int_equal(wait_exit(f), 0);
}

static void a_directory_in_use_is_75(void **state)
{
    struct fixture *f = *state;
    pid_t first;
    int log;

    start(f, plain);
    expect_told(f, "READY=1");
    first = f->child;
    log = f->log;
    start(f, plain);
    assert_int_equal(wait_exit(f), EXIT_LOCKED);
    assert_non_null(strstr(f->said, "level=error node=n1 msg=\"cannot start: "));
    f->child = first;
    close(f->log);
    f->log = log;
}

static void a_start_without_its_files_is_78_and_not_ready(void **state)
{
    struct fixture *f = *state;
    const char *const bad[] = { "--peer-ca",   in_dir(f, "no.crt"),
                                "--peer-cert", in_dir(f, "no.crt"),
                                "--peer-key",  in_dir(f, "no.key"),
                                NULL };

    start(f, bad);
    assert_int_equal(wait_exit(f), EXIT_CONFIG);
    assert_non_null(strstr(f->said, "no.crt: No such file or directory"));
    close(f->log);
    start(f, plain);
    expect_told(f, "READY=1"); /* the first word it hears */
    kill(f->child, SIGTERM);
    assert_int_equal(wait_exit(f), 0);
}

static void usage_is_2(void **state)
{
    static const char *const wrong[] = { "--nonsense", NULL };
    struct fixture *f = *state;

    start(f, wrong);
    assert_int_equal(wait_exit(f), EXIT_USAGE);
}

static void write_config(struct fixture *f, const char *text)
{
    FILE *file = fopen(in_dir(f, "conf"), "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    chmod(in_dir(f, "conf"), 0600);
}

static void hangup_reloads_or_leaves_all_as_it_was(void **state)
{
    struct fixture *f = *state;
    const char *const flags[] = { "--insecure-peer", "--config", in_dir(f, "conf"), NULL };

    write_config(f, "log-level = info\n");
    start(f, flags);
    expect_told(f, "READY=1");
    write_config(f, "log-level = loud\n");
    kill(f->child, SIGHUP);
    expect_said(f, "conf:1: log-level: \\\"loud\\\" is not debug, info, warn or error; everything "
                   "stays as it was");
    write_config(f, "log-format = json\nread-timeout = 1s\n");
    kill(f->child, SIGHUP);
    expect_said(f, "reload: read-timeout has changed; that needs a restart");
    expect_said(f, "\"level\":\"info\",\"node\":\"n1\",\"msg\":\"reloaded");
    kill(f->child, SIGUSR1);
    expect_said(f, "\"msg\":\"status: term ");
    write_config(f, "client-passwords = /nowhere\n");
    kill(f->child, SIGHUP);
    expect_said(f, "client-passwords cannot be set or taken away without a restart");
    kill(f->child, SIGTERM);
    assert_int_equal(wait_exit(f), 0);
}

static void the_abstract_socket_and_none_are_fine(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char name[64];
    int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    snprintf(name, sizeof name, "@rk-test-%d", (int)getpid());
    memcpy(address.sun_path, name, strlen(name));
    address.sun_path[0] = '\0';
    assert_int_equal(bind(manager, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
                     0);
    setenv("NOTIFY_SOCKET", name, 1);
    close(f->manager);
    f->manager = manager;
    notify_service_manager("STATUS=here");
    expect_told(f, "STATUS=here");
    setenv("NOTIFY_SOCKET", "nonsense", 1);
    notify_service_manager("READY=1");
    unsetenv("NOTIFY_SOCKET");
    notify_service_manager("READY=1");
    setenv("WATCHDOG_USEC", "3000000", 1);
    assert_int_equal(notify_watchdog_us(), 3000000);
    setenv("WATCHDOG_PID", "1", 1);
    assert_int_equal(notify_watchdog_us(), 0);
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

static void hangup_takes_up_new_certificates(void **state)
{
    struct fixture *f = *state;
    const char *const flags[] = { "--config", in_dir(f, "conf"), NULL };
    struct certs certs;
    char text[512];

    certs_make(&certs);
    snprintf(text, sizeof text,
             "peer-ca = %s/good/ca.crt\npeer-cert = %s/good/n1.crt\npeer-key = %s/good/n1.key\n",
             certs.dir, certs.dir, certs.dir);
    write_config(f, text);
    start(f, flags);
    expect_told(f, "READY=1");
    kill(f->child, SIGHUP);
    expect_said(f, "reloaded");
    assert_null(strstr(f->said, "has expired"));
    snprintf(text, sizeof text,
             "peer-ca = %s/good/ca.crt\npeer-cert = %s/good/n1.crt\npeer-key = %s/good/n2.key\n",
             certs.dir, certs.dir, certs.dir);
    write_config(f, text);
    kill(f->child, SIGHUP);
    expect_said(f, "key values mismatch; everything stays as it was");
    snprintf(text, sizeof text,
             "peer-ca = %s/good/ca.crt\npeer-cert = %s/expired/n1.crt\n"
             "peer-key = %s/expired/n1.key\n",
             certs.dir, certs.dir, certs.dir);
    write_config(f, text);
    kill(f->child, SIGHUP);
    expect_said(f, "expired/n1.crt has expired");
    kill(f->child, SIGTERM);
    assert_int_equal(wait_exit(f), 0);
    certs_remove(&certs);
}

/* ---- Passwords ---- */

static void write_passwords(struct fixture *f, const char *text, mode_t mode)
{
    FILE *file = fopen(in_dir(f, "passwords"), "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    chmod(in_dir(f, "passwords"), mode);
}

#define HASH_OF_PASSWORD "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"
#define HASH_OF_NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void passwords_give_scopes(void **state)
{
    struct fixture *f = *state;
    struct passwords *p = NULL;
    struct errmsg why = ERRMSG_INIT;

    write_passwords(f,
                    "# who may do what\n\nhooks write " HASH_OF_PASSWORD "\n"
                    "root\tadmin " HASH_OF_PASSWORD "\nview read " HASH_OF_NOTHING "\n",
                    0600);
    assert_int_equal(passwords_open(in_dir(f, "passwords"), &p, &why), RK_OK);
    assert_int_equal(passwords_check(p, slice_of_text("hooks"), slice_of_text("password")),
                     SERVER_MAY_READ | SERVER_MAY_WRITE);
    assert_int_equal(passwords_check(p, slice_of_text("root"), slice_of_text("password")),
                     SERVER_MAY_ALL);
    assert_int_equal(passwords_check(p, slice_of_text("view"), SLICE_NONE), SERVER_MAY_READ);
    assert_int_equal(passwords_check(p, slice_of_text("hooks"), slice_of_text("Password")), 0);
    assert_int_equal(passwords_check(p, slice_of_text("hook"), slice_of_text("password")), 0);
    assert_int_equal(passwords_check(p, SLICE_NONE, slice_of_text("password")), 0);
    passwords_close(p);
}

static void bad_password_files_are_refused(void **state)
{
    static const struct {
        const char *text;
        mode_t mode;
        const char *wrong;
    } rows[] = {
        { "a read " HASH_OF_PASSWORD "\n", 0640,
          ": mode 0640 lets group or others at it; chmod 600 it" },
        { "", 0600, ": names no user" },
        { "a read\n", 0600, ":1: expected: user, read or write or admin, SHA-256 in hex" },
        { "a read " HASH_OF_PASSWORD " x\n", 0600,
          ":1: expected: user, read or write or admin, SHA-256 in hex" },
        { "#\na all " HASH_OF_PASSWORD "\n", 0600,
          ":2: the second word must be read, write or admin" },
        { "a read password\n", 0600,
          ":1: the third word must be a SHA-256 in 64 lower-case hex digits" },
        { "a read 5E884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8\n", 0600,
          ":1: the third word must be a SHA-256 in 64 lower-case hex digits" },
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct passwords *p = NULL;
        struct errmsg why = ERRMSG_INIT;
        char wanted[256];

        write_passwords(f, rows[i].text, rows[i].mode);
        assert_int_equal(passwords_open(in_dir(f, "passwords"), &p, &why), RK_CONFIG);
        snprintf(wanted, sizeof wanted, "client-passwords: %s%s", in_dir(f, "passwords"),
                 rows[i].wrong);
        assert_string_equal(why.text, wanted);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_node_starts_tells_and_stops),
        TEST(an_interrupt_stops_too_and_twice_at_once),
        TEST(a_directory_in_use_is_75),
        TEST(a_start_without_its_files_is_78_and_not_ready),
        TEST(usage_is_2),
        TEST(hangup_reloads_or_leaves_all_as_it_was),
        TEST(hangup_takes_up_new_certificates),
        TEST(the_abstract_socket_and_none_are_fine),
        TEST(passwords_give_scopes),
        TEST(bad_password_files_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
