/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: what wins, what is refused and how that is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/config_value.h"

#define WORDS_MAX 40

/* Words of a command line or an environment, split at blanks. */
struct words {
    char text[2048];
    char *list[WORDS_MAX];
    int count;
};

static void split(struct words *w, const char *first, const char *text)
{
    char *at = w->text;

    snprintf(w->text, sizeof w->text, "%s%s%s", first, first[0] == '\0' ? "" : " ", text);
    w->count = 0;
    while (*at != '\0') {
        at += strspn(at, " ");
        if (*at != '\0') {
            assert_true(w->count < WORDS_MAX - 1);
            w->list[w->count++] = at;
            at += strcspn(at, " ");
            if (*at != '\0') {
                *at++ = '\0';
            }
        }
    }
    w->list[w->count] = NULL;
}

static enum rk_status load(struct config *c, const char *flags, const char *environment,
                           struct errmsg *why)
{
    struct words arguments, variables;

    split(&arguments, "refkeeperd", flags);
    split(&variables, "", environment);
    *why = (struct errmsg)ERRMSG_INIT;
    return config_load(c, arguments.count, arguments.list, variables.list, why);
}

/* Enough for a good configuration. */
#define BASICS                                                                                     \
    "--name n1 --data-dir /d --insecure-peer --initial-members n1=10.0.0.1:7480,n2=b:7480,n3=c:1 "

struct bad {
    const char *flags;
    const char *environment;
    const char *text; /* the whole message */
};

static void check_bad(const struct bad *rows, size_t count, enum rk_status wanted)
{
    for (size_t i = 0; i < count; i++) {
        struct errmsg why;
        struct config c;
        enum rk_status status = load(&c, rows[i].flags,
                                     rows[i].environment == NULL ? "" : rows[i].environment, &why);

        config_release(&c);
        if (status != wanted || strcmp(why.text, rows[i].text) != 0) {
            fail_msg("row %zu (%s): status %d, \"%s\"", i, rows[i].flags, status, why.text);
        }
    }
}

#define CHECK_BAD(rows, status) check_bad(rows, sizeof(rows) / sizeof((rows)[0]), status)

/* ---- The command line ---- */

static void usage_errors_name_the_flag(void **state)
{
    static const struct bad rows[] = {
        { "--nmae n1", NULL, "unknown flag --nmae; did you mean --name?" },
        { "--listen_peer x:1", NULL, "unknown flag --listen_peer; did you mean --listen-peer?" },
        { "--frobnicate", NULL, "unknown flag --frobnicate (see --help)" },
        { "--frobnicate=3", NULL, "unknown flag --frobnicate (see --help)" },
        { "-x", NULL, "unexpected argument \"-x\" (see --help)" },
        { "--", NULL, "unexpected argument \"--\" (see --help)" },
        { "run", NULL, "unexpected argument \"run\" (see --help)" },
        { "--name", NULL, "--name needs a value: NAME" },
        { "--name=", NULL, "--name: the value is empty" },
        { "--name n1 --name n2", NULL, "--name: it is given twice" },
        { "--name a/b", NULL,
          "--name: \"a/b\" is not a node name: 1 to 63 letters, digits, \".\", \"_\", \"-\"" },
        { "--insecure-peer=maybe", NULL, "--insecure-peer: \"maybe\" is not true or false" },
        { "--election-timeout 1", NULL,
          "--election-timeout: \"1\" is not a time such as 250ms, 2s, 10m" },
        { "--election-timeout -5s", NULL,
          "--election-timeout: \"-5s\" is not a time such as 250ms, 2s, 10m" },
        { "--election-timeout 1.5s", NULL,
          "--election-timeout: \"1.5s\" is not a time such as 250ms, 2s, 10m" },
        { "--election-timeout 19ms", NULL,
          "--election-timeout: \"19ms\" is out of range: 20ms to 1m" },
        { "--election-timeout 61s", NULL,
          "--election-timeout: \"61s\" is out of range: 20ms to 1m" },
        { "--election-timeout 99999999999999999999s", NULL,
          "--election-timeout: \"99999999999999999999s\" is not a time such as 250ms, 2s, 10m" },
        { "--log-compact-bytes 100MB", NULL,
          "--log-compact-bytes: \"100MB\" is not a size such as 65536, 512KiB, 100MiB, 2GiB" },
        { "--log-compact-bytes 1KiB", NULL,
          "--log-compact-bytes: \"1KiB\" is out of range: 1MiB to 1TiB" },
        { "--log-compact-bytes 99999999999TiB", NULL,
          "--log-compact-bytes: \"99999999999TiB\" is not a size such as 65536, 512KiB, 100MiB, "
          "2GiB" },
        { "--max-clients 0", NULL, "--max-clients: \"0\" is out of range: 1 to 1000000" },
        { "--max-clients 1e3", NULL, "--max-clients: \"1e3\" is not a number" },
        { "--log-level loud", NULL, "--log-level: \"loud\" is not debug, info, warn or error" },
        { "--log-format xml", NULL, "--log-format: \"xml\" is not logfmt or json" },
        { "--listen-peer 7480", NULL, "--listen-peer: \"7480\" is not host:port" },
        { "--listen-peer h:65536", NULL,
          "--listen-peer: \"h:65536\": the port must be a number from 0 to 65535" },
        { "--advertise-peer :7480", NULL,
          "--advertise-peer: \":7480\" is not an address others can connect to: host and port are "
          "needed" },
        { "--advertise-http h:0", NULL,
          "--advertise-http: \"h:0\" is not an address others can connect to: host and port are "
          "needed" },
        { "--initial-members n1", NULL, "--initial-members: \"n1\" is not NAME=HOST:PORT" },
        { "--initial-members =a:1", NULL, "--initial-members: \"=a:1\" is not NAME=HOST:PORT" },
        { "--initial-members n1=a:1,", NULL, "--initial-members: \"\" is not NAME=HOST:PORT" },
        { "--initial-members n1=a:1,n1=b:1", NULL, "--initial-members: member n1 is there twice" },
        { "--initial-members n1=a:1,n2=a:1", NULL,
          "--initial-members: members n1 and n2 have the same address a:1" },
        { "--initial-members n1=a", NULL, "--initial-members: member n1: \"a\" is not host:port" },
        { "--initial-members "
          "a=h:1,b=h:2,c=h:3,d=h:4,e=h:5,f=h:6,g=h:7,h=h:8,i=h:9,j=h:10,k=h:11,l=h:12,m=h:13,"
          "n=h:14,o=h:15,p=h:16,q=h:17",
          NULL, "--initial-members: more than 16 members" },
    };

    (void)state;
    CHECK_BAD(rows, RK_BADARG);
}

static void who_joins_needs_no_list(void **state)
{
    struct config c;
    struct errmsg why;

    (void)state;
    if (load(&c, "--name n4 --data-dir /d --insecure-peer --join", "", &why) != RK_OK) {
        fail_msg("%s", why.text);
    }
    assert_int_equal(c.members.count, 0);
    config_release(&c);
    assert_int_equal(load(&c,
                          "--name n4 --data-dir /d --insecure-peer --join "
                          "--initial-members n1=a:1,n2=b:1,n3=c:1",
                          "", &why),
                     RK_OK);
    config_release(&c);
}

static void what_does_not_fit_together_is_refused(void **state)
{
    static const struct bad rows[] = {
        { "", NULL, "name is not set; give --name NAME" },
        { "--name n1", NULL, "data-dir is not set; give --data-dir DIR" },
        { "--name n1 --data-dir /d", NULL,
          "initial-members is not set; give --initial-members NAME=HOST:PORT,..." },
        { "--name n1 --data-dir d --insecure-peer --initial-members n1=a:1", NULL,
          "data-dir (--data-dir): the path must be absolute" },
        { "--name n9 --data-dir /d --insecure-peer --initial-members n1=a:1", NULL,
          "initial-members (--initial-members): this node, n9, is not among them" },
        { "--name n1 --data-dir /d --initial-members n1=a:1", NULL,
          "peer-ca, peer-cert and peer-key are not set; nodes talk by TLS (scripts/make-certs "
          "makes certificates) unless --insecure-peer says that whoever reaches 127.0.0.1:7480 "
          "may take over the cluster" },
        { BASICS "--peer-ca a --peer-cert b --peer-key c", NULL,
          "insecure-peer (--insecure-peer): peer-cert is set, too: it is either TLS or plaintext" },
        { BASICS "--peer-cert b", NULL,
          "peer-cert (--peer-cert): the key that belongs to it is not set" },
        { BASICS "--peer-key b", NULL,
          "peer-key (--peer-key): the certificate that belongs to it is not set" },
        { BASICS "--peer-ca b", NULL,
          "peer-ca (--peer-ca): needs a certificate and a key of this node, too" },
        { BASICS "--peer-cert b --peer-key c", NULL,
          "peer-cert (--peer-cert): the CA that signs the other side's is not set" },
        { BASICS "--client-require-cert", NULL,
          "client-require-cert (--client-require-cert): needs client-ca, client-cert and "
          "client-key" },
        { BASICS "--client-cert b --client-key c --client-require-cert", NULL,
          "client-cert (--client-cert): the CA that signs the other side's is not set" },
        { BASICS "--listen-client :7481", NULL,
          "listen-client (--listen-client): reaches beyond this machine, and clients are not "
          "asked who they are: set client-require-cert or client-passwords, or "
          "--insecure-client-listen" },
        { BASICS, "REFKEEPERD_LISTEN_HTTP=0.0.0.0:7482",
          "listen-http (REFKEEPERD_LISTEN_HTTP): reaches beyond this machine, and clients are not "
          "asked who they are: set client-require-cert or client-passwords, or "
          "--insecure-client-listen" },
        { BASICS "--listen-http 127.0.0.1:7481", NULL,
          "listen-http (--listen-http): another port listens there already" },
        { BASICS "--heartbeat-interval 201ms", NULL,
          "election-timeout (default): must be at least five times heartbeat-interval" },
        { BASICS, "REFKEEPERD_READ_TIMEOUT=fast",
          "environment REFKEEPERD_READ_TIMEOUT: \"fast\" is not a time such as 250ms, 2s, 10m" },
        { "--config /no/such/file", NULL, "/no/such/file: No such file or directory" },
        { "--config /", NULL, "/: not a regular file" },
        { "--config /dev/null", NULL, "/dev/null: not a regular file" },
    };

    (void)state;
    CHECK_BAD(rows, RK_CONFIG);
}

static void actions_are_taken(void **state)
{
    static const struct {
        const char *flags;
        enum config_action action;
    } rows[] = {
        { BASICS, CONFIG_RUN },
        { BASICS "--check-config", CONFIG_CHECK },
        { "--print-config " BASICS, CONFIG_PRINT },
        { "--help", CONFIG_SHOW_HELP },
        { "--name n1 -h --nonsense", CONFIG_SHOW_HELP },
        { "--version", CONFIG_SHOW_VERSION },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct errmsg why;
        struct config c;

        assert_int_equal(load(&c, rows[i].flags, "", &why), RK_OK);
        assert_int_equal(c.action, rows[i].action);
        config_release(&c);
    }
}

static void values_are_read_with_their_units(void **state)
{
    static const struct {
        enum config_key key;
        const char *text;
        int64_t number;
    } rows[] = {
        { CONFIG_ELECTION_TIMEOUT, "20ms", 20 },
        { CONFIG_ELECTION_TIMEOUT, "60s", 60000 },
        { CONFIG_ELECTION_TIMEOUT, "1m", 60000 },
        { CONFIG_SNAPSHOT_INTERVAL, "2h", 7200000 },
        { CONFIG_LOG_COMPACT_BYTES, "1048576", 1048576 },
        { CONFIG_LOG_COMPACT_BYTES, "2GiB", 2147483648 },
        { CONFIG_LOG_COMPACT_BYTES, "2048KiB", 2097152 },
        { CONFIG_TRAILING_ENTRIES, "0", 0 },
        { CONFIG_INSECURE_PEER, "yes", 1 },
        { CONFIG_INSECURE_PEER, "off", 0 },
        { CONFIG_INSECURE_PEER, "1", 1 },
        { CONFIG_LOG_LEVEL, "warn", 2 },
        { CONFIG_LOG_FORMAT, "json", CONFIG_JSON },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct errmsg why = ERRMSG_INIT;
        int64_t number = -1;

        assert_int_equal(config_value_parse(&config_keys[rows[i].key], rows[i].text, &number, &why),
                         RK_OK);
        assert_int_equal(number, rows[i].number);
    }
}

static void every_default_is_good(void **state)
{
    (void)state;
    for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
        struct errmsg why = ERRMSG_INIT;
        int64_t number;

        if (config_keys[i].standard != NULL &&
            config_value_parse(&config_keys[i], config_keys[i].standard, &number, &why) != RK_OK) {
            fail_msg("%s: %s", config_keys[i].key, why.text);
        }
        assert_true(strlen(config_keys[i].key) <= 32);
        assert_int_equal(config_find(config_keys[i].key, strlen(config_keys[i].key)), i);
    }
}

static void members_get_ids_in_order_of_name(void **state)
{
    struct membership members;
    struct errmsg why = ERRMSG_INIT;

    (void)state;
    assert_int_equal(config_members_parse("n2=b:7480, n1=[::1]:7480,n10=c:7480", &members, &why),
                     RK_OK);
    assert_int_equal(members.count, 3);
    assert_string_equal(membership_find(&members, 1)->name, "n1");
    assert_string_equal(membership_find(&members, 1)->peer_address, "[::1]:7480");
    assert_string_equal(membership_find(&members, 2)->name, "n10");
    assert_string_equal(membership_find(&members, 3)->name, "n2");
    assert_true(membership_is_voter(&members, 3));
    assert_false(membership_is_joint(&members));
}

static void warnings_are_kept(void **state)
{
    struct errmsg why;
    struct config c;

    (void)state;
    assert_int_equal(load(&c,
                          "--name n1 --data-dir /d --insecure-peer --initial-members n1=a:1,n2=b:1 "
                          "--advertise-peer z:9 --listen-http :1 --insecure-client-listen",
                          "REFKEEPERD_PORT=tcp://x OTHER=1", &why),
                     RK_OK);
    buffer_put_u8(&c.warnings, '\0');
    assert_string_equal(
        (char *)c.warnings.data,
        "environment REFKEEPERD_PORT names no key; it is ignored\n"
        "advertise-peer z:9 differs from this node's address in initial-members, a:1\n"
        "2 initial members survive no more failures than 1 would: an odd number is better\n"
        "listen-http has no host and advertise-http is not set: other nodes cannot tell clients "
        "where this one is\n"
        "insecure-peer: nodes talk without TLS on 127.0.0.1:7480\n"
        "insecure-client-listen: whoever reaches :1 can change every repository\n");
    config_release(&c);
}

/* ---- The file ---- */

static char file_path[] = "/tmp/rk-config-XXXXXX";

static int make_file(void **state)
{
    int fd = mkstemp(file_path);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    return 0;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(file_path);
}

static void write_file(const char *text, size_t size)
{
    FILE *file = fopen(file_path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    fclose(file);
}

static void flags_win_over_environment_over_file_over_default(void **state)
{
    static const char text[] = "\xef\xbb\xbf# a comment\r\n"
                               "name = n3\r\n"
                               "data-dir=/file ; said here\n"
                               "log-level = debug\n"
                               "insecure-peer = true\n"
                               "initial-members = n1=a:1,n2=b:1\n"
                               "    n3=c:1\n"
                               "initial-members = n4=d:1, n5=e:1\n"
                               "read-timeout = 1s";
    char flags[256], source[256];
    struct errmsg why;
    struct config c;

    (void)state;
    write_file(text, sizeof text - 1);
    snprintf(flags, sizeof flags, "--config %s --name=n1 --read-timeout 3s", file_path);
    if (load(&c, flags,
             "REFKEEPERD_NAME=n2 REFKEEPERD_LOG_LEVEL=warn REFKEEPERD_DATA_DIR=", &why) != RK_OK) {
        fail_msg("%s", why.text);
    }
    assert_string_equal(config_text(&c, CONFIG_NAME), "n1");
    assert_string_equal(config_text(&c, CONFIG_DATA_DIR), "/file");
    assert_string_equal(config_text(&c, CONFIG_LOG_LEVEL), "warn");
    assert_int_equal(config_number(&c, CONFIG_READ_TIMEOUT), 3000);
    assert_int_equal(config_number(&c, CONFIG_PROPOSAL_TIMEOUT), 10000);
    assert_int_equal(c.members.count, 5);
    config_source_text(&c, CONFIG_DATA_DIR, source, sizeof source);
    snprintf(flags, sizeof flags, "%s:3", file_path);
    assert_string_equal(source, flags);
    config_source_text(&c, CONFIG_LOG_LEVEL, source, sizeof source);
    assert_string_equal(source, "REFKEEPERD_LOG_LEVEL");
    config_release(&c);
}

static void a_bad_file_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *text;
        size_t size; /* 0 = all of the text */
        const char *message;
    } rows[] = {
        { "name = n1\nnmae = n2\n", 0, ":2: unknown key \"nmae\"; did you mean name?" },
        { "\n\nlisten = a:1", 0, ":3: unknown key \"listen\"" },
        { "[node]\nname = n1\n", 0, ":2: there are no [sections] in this file" },
        { "name = n1\nwhat is this\n", 0, ":2: expected key = value" },
        { "[node\n", 0, ":1: expected key = value" },
        { "name = n1\nname = n2\n", 0, ":2: name: it is given twice" },
        { "name = n1\n  n2\n", 0, ":2: name: it is given twice" },
        { "name =\n", 0, ":1: name: the value is empty" },
        { "config = /other\n", 0, ":1: the file cannot name another file" },
        { "max-clients = many\n", 0, ":1: max-clients: \"many\" is not a number" },
        { "initial-members = n1=a:1\ninitial-members = n1=b:1\n", 0,
          ":2: initial-members: member n1 is there twice" },
        { "name = n1\0\n", 11, ": has a NUL byte, this is no text" },
        { "data-dir = "
          "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
          0, ":1: the line is too long; give a long list in several lines" },
    };
    char flags[64], wanted[256];

    (void)state;
    snprintf(flags, sizeof flags, "--config %s", file_path);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct errmsg why;
        struct config c;
        enum rk_status status;

        write_file(rows[i].text, rows[i].size > 0 ? rows[i].size : strlen(rows[i].text));
        status = load(&c, flags, "", &why);
        config_release(&c);
        snprintf(wanted, sizeof wanted, "%s%s", file_path, rows[i].message);
        if (status != RK_CONFIG || strcmp(why.text, wanted) != 0) {
            fail_msg("row %zu: status %d, \"%s\"", i, status, why.text);
        }
    }
}

static void a_file_everybody_may_write_is_refused(void **state)
{
    char flags[64];
    struct errmsg why;
    struct config c;

    (void)state;
    write_file("", 0);
    chmod(file_path, 0666);
    snprintf(flags, sizeof flags, "--config %s", file_path);
    assert_int_equal(load(&c, flags, "", &why), RK_CONFIG);
    assert_non_null(strstr(why.text, "everybody may write to it"));
    config_release(&c);
    chmod(file_path, 0600);
}

static void a_file_over_the_limit_is_refused(void **state)
{
    static char text[MIB + 1];
    char flags[64];
    struct errmsg why;
    struct config c;

    (void)state;
    memset(text, '\n', sizeof text);
    write_file(text, sizeof text);
    snprintf(flags, sizeof flags, "--config %s", file_path);
    assert_int_equal(load(&c, flags, "", &why), RK_CONFIG);
    assert_non_null(strstr(why.text, "over 1 MiB"));
    config_release(&c);
}

static void what_is_printed_reads_back_the_same(void **state)
{
    char *text = NULL, flags[64];
    size_t size = 0;
    struct errmsg why;
    struct config c;
    FILE *out;

    (void)state;
    assert_int_equal(load(&c, BASICS "--log-level debug", "", &why), RK_OK);
    out = open_memstream(&text, &size);
    config_print(&c, out);
    fclose(out);
    config_release(&c);
    assert_non_null(strstr(text, "log-level = debug ; --log-level\n"));
    assert_non_null(strstr(text, "read-timeout = 5s ; default\n"));
    assert_non_null(strstr(text, "; peer-ca is not set\n"));
    assert_non_null(strstr(text, "initial-members = n2=b:7480 ; --initial-members\n"));
    write_file(text, size);
    free(text);
    snprintf(flags, sizeof flags, "--config %s", file_path);
    if (load(&c, flags, "", &why) != RK_OK) {
        fail_msg("%s", why.text);
    }
    assert_int_equal(c.members.count, 3);
    assert_string_equal(config_text(&c, CONFIG_LOG_LEVEL), "debug");
    config_release(&c);
}

/* ---- The example ---- */

static void the_example_is_good_and_names_every_key(void **state)
{
    const char *root = getenv("RK_SRCDIR") != NULL ? getenv("RK_SRCDIR") : "..";
    static char text[64 * 1024];
    char path[512], flags[600], named[64];
    struct errmsg why;
    struct config c;
    size_t size;
    FILE *file;

    (void)state;
    snprintf(path, sizeof path, "%s/conf/refkeeperd.conf.example", root);
    snprintf(flags, sizeof flags, "--config %s", path);
    if (load(&c, flags, "", &why) != RK_OK) {
        fail_msg("%s", why.text);
    }
    config_release(&c);
    file = fopen(path, "r");
    assert_non_null(file);
    size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
        snprintf(named, sizeof named, "\n%s = ", config_keys[i].key);
        if (i != CONFIG_CONFIG && strstr(text, named) == NULL) {
            snprintf(named, sizeof named, "\n# %s = %s\n", config_keys[i].key,
                     config_keys[i].standard == NULL ? "" : config_keys[i].standard);
            named[config_keys[i].standard == NULL ? strlen(named) - 1 : strlen(named)] = '\0';
            if (strstr(text, named) == NULL) {
                fail_msg("%s with its default is not in the example", config_keys[i].key);
            }
        }
    }
}

static void help_names_every_key(void **state)
{
    char *text = NULL, flag[64];
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    config_print_help(out);
    fclose(out);
    for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
        snprintf(flag, sizeof flag, "\n  --%s ", config_keys[i].key);
        assert_non_null(strstr(text, flag));
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usage_errors_name_the_flag),
        cmocka_unit_test(who_joins_needs_no_list),
        cmocka_unit_test(what_does_not_fit_together_is_refused),
        cmocka_unit_test(actions_are_taken),
        cmocka_unit_test(values_are_read_with_their_units),
        cmocka_unit_test(every_default_is_good),
        cmocka_unit_test(members_get_ids_in_order_of_name),
        cmocka_unit_test(warnings_are_kept),
        cmocka_unit_test(flags_win_over_environment_over_file_over_default),
        cmocka_unit_test(a_bad_file_is_refused_with_its_line),
        cmocka_unit_test(a_file_everybody_may_write_is_refused),
        cmocka_unit_test(a_file_over_the_limit_is_refused),
        cmocka_unit_test(what_is_printed_reads_back_the_same),
        cmocka_unit_test(the_example_is_good_and_names_every_key),
        cmocka_unit_test(help_names_every_key),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
