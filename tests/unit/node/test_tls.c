/* SPDX-License-Identifier: Apache-2.0 */
/* TLS: contexts from bad files, and every kind of wrong certificate between members. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "support/certs.h"
#include "support/loop.h"
#include "unit/node/transport_fixture.h"

static struct certs certs;

static void write_file(const char *name, const char *text, mode_t mode)
{
    FILE *file = fopen(certs_path(&certs, name), "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    chmod(certs_path(&certs, name), mode);
}

static int make_certs(void **state)
{
    char command[512];

    (void)state;
    certs_make(&certs);
    write_file("garbage.pem", "neither key nor certificate\n", 0600);
    write_file("empty.pem", "", 0600);
    snprintf(command, sizeof command,
             "cd %s && cp good/n1.key open.key && chmod 644 open.key && mkdir -m 700 folder.key && "
             "openssl ec -aes128 -passout pass:x -in good/n1.key -out locked.key 2>/dev/null && "
             "chmod 600 locked.key",
             certs.dir);
    assert_int_equal(system(command), 0);
    return 0;
}

static int remove_certs(void **state)
{
    (void)state;
    certs_remove(&certs);
    return 0;
}

/* ---- Contexts ---- */

static void bad_files_are_named_with_a_reason(void **state)
{
    static const struct {
        const char *ca, *cert, *key;
        const char *text; /* the message, without the directory */
    } rows[] = {
        { "no.crt", "good/n1.crt", "good/n1.key", "TLS CA: no.crt: No such file or directory" },
        { "good/ca.crt", "no.crt", "good/n1.key",
          "TLS certificate: no.crt: No such file or directory" },
        { "good/ca.crt", "good/n1.crt", "no.key", "TLS key: no.key: No such file or directory" },
        { "garbage.pem", "good/n1.crt", "good/n1.key",
          "TLS CA: garbage.pem: no certificate or crl found" },
        { "good/ca.crt", "garbage.pem", "good/n1.key",
          "TLS certificate: garbage.pem: no start line" },
        { "good/ca.crt", "empty.pem", "good/n1.key", "TLS certificate: empty.pem: no start line" },
        { "good/ca.crt", "good/n1.crt", "garbage.pem", "TLS key: garbage.pem: unsupported" },
        { "good/ca.crt", "good/n1.crt", "good/n2.key",
          "the key does not belong to good/n1.crt: TLS key: good/n2.key: key values mismatch" },
        { "good/ca.crt", "good/n1.crt", "open.key",
          "TLS key: open.key: mode 0644 lets group or others at it; chmod 600 it" },
        { "good/ca.crt", "good/n1.crt", "locked.key", "TLS key: locked.key: " },
        { "good/ca.crt", "good/n1.crt", "folder.key", "TLS key: folder.key: not a regular file" },
        { NULL, "good/n1.crt", "good/n1.key",
          "TLS: certificates of the other side are required, but no CA is given" },
        { "good/ca.crt", NULL, "good/n1.key", "TLS needs both a certificate and a key" },
        { "good/ca.crt", "good/n1.crt", NULL, "TLS needs both a certificate and a key" },
    };

    (void)state;
    assert_int_equal(chdir(certs.dir), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tls_options options = { rows[i].ca, rows[i].cert, rows[i].key, true };
        struct errmsg why = ERRMSG_INIT;
        SSL_CTX *context = NULL;

        assert_int_equal(tls_peer_context(&options, &context, &why), RK_CONFIG);
        if (strncmp(why.text, rows[i].text, strlen(rows[i].text)) != 0) {
            fail_msg("row %zu: \"%s\"", i, why.text);
        }
        assert_int_equal(tls_server_context(&options, &context, &why), RK_CONFIG);
        assert_null(context);
    }
    assert_int_equal(chdir("/"), 0);
}

static void a_server_for_clients_needs_no_ca(void **state)
{
    struct tls_options options = { NULL, certs_path(&certs, "good/n1.crt"),
                                   certs_path(&certs, "good/n1.key"), false };
    struct errmsg why = ERRMSG_INIT;
    SSL_CTX *context = NULL;

    (void)state;
    assert_int_equal(tls_server_context(&options, &context, &why), RK_OK);
    assert_int_equal(SSL_CTX_get_min_proto_version(context), TLS1_2_VERSION);
    SSL_CTX_free(context);
}

static void the_end_of_a_certificate_is_known(void **state)
{
    SSL_CTX *context = certs_peer_context(&certs, "good", "n1");
    int64_t end = 0, now = (int64_t)time(NULL);

    (void)state;
    assert_true(tls_not_after(context, &end));
    assert_in_range(end - now, 364 * 86400, 366 * 86400);
    SSL_CTX_free(context);
    context = certs_peer_context(&certs, "expired", "n1");
    assert_true(tls_not_after(context, &end));
    assert_true(end < now);
    SSL_CTX_free(context);
}

/* ---- Between members ---- */

/* Members 1 and 2: who presents what, what 2 logs, and what 1 logs. */
static void try_pair(struct fixture *f, SSL_CTX *first, SSL_CTX *second, const char *text_2,
                     const char *text_1)
{
    f->tls[0] = first;
    f->tls[1] = second;
    end_open(f, 1);
    end_open(f, 2);
    wait_logged(f, 2, text_2);
    wait_logged(f, 1, text_1);
    assert_int_equal(end_of(f, 1)->opened[2], 0);
    assert_int_equal(end_of(f, 2)->opened[1], 0);
}

static SSL_CTX *good(const char *name)
{
    return certs_peer_context(&certs, "good", name);
}

static void good_certificates_connect_and_carry_frames(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < 3; i++) {
        f->tls[i] = good(f->members.members[i].name);
        end_open(f, i + 1);
    }
    wait_connected(f, 1, 2);
    wait_connected(f, 1, 3);
    wait_connected(f, 2, 3);
    end_send(f, 1, 2, "secret");
    end_send(f, 2, 1, "answer");
    wait_received(f, 2, 1);
    wait_received(f, 1, 1);
    end_close(f, 2);
    wait_closed(f, 1, 2, 1);
    assert_true(end_of(f, 1)->by_host);
    end_open(f, 2);
    wait_connected(f, 1, 2);
}

static void a_certificate_of_another_ca_is_refused(void **state)
{
    try_pair(*state, certs_peer_context(&certs, "other", "n1"), good("n2"),
             "connection from 127.0.0.1: tls: ", "peer n2 at ");
}

static void an_expired_certificate_is_refused(void **state)
{
    try_pair(*state, certs_peer_context(&certs, "expired", "n1"), good("n2"),
             "tls: certificate verify failed: certificate has expired", "peer n2 at ");
}

static void a_certificate_with_another_name_is_refused(void **state)
{
    try_pair(*state, good("n3"), good("n2"), "refused: the certificate does not name \"n1\"",
             "refused by the other side: the certificate does not name \"n1\"");
}

static void the_dialling_side_checks_the_name_too(void **state)
{
    struct fixture *f = *state;

    f->tls[0] = good("n1");
    f->tls[1] = good("n3");
    end_open(f, 1);
    end_open(f, 2);
    wait_logged(f, 1, "refused: the certificate does not name \"n2\"");
    assert_int_equal(end_of(f, 1)->opened[2], 0);
}

static void a_client_certificate_is_no_member(void **state)
{
    try_pair(*state, good("alice"), good("n2"), "refused: the certificate does not name \"n1\"",
             "peer n2 at ");
}

static void plaintext_against_tls_is_refused(void **state)
{
    try_pair(*state, NULL, good("n2"), "connection from 127.0.0.1: tls: ", "peer n2 at ");
}

static void tls_against_plaintext_is_refused(void **state)
{
    try_pair(*state, good("n1"), NULL, "it speaks TLS, and this side is configured without",
             "peer n2 at ");
}

/* A TLS client on a thread of its own would need threads: it is driven from the loop. */
struct raw_client {
    SSL *tls;
    int rc, error;
};

static bool handshake_is_over(void *argument)
{
    struct raw_client *client = argument;
    char byte;

    client->rc = SSL_read(client->tls, &byte, 1);
    client->error = SSL_get_error(client->tls, client->rc);
    return client->error != SSL_ERROR_WANT_READ && client->error != SSL_ERROR_WANT_WRITE;
}

static void a_client_of(struct fixture *f, int version_max, SSL_CTX *context, const char *text)
{
    struct raw_client client = { SSL_new(context), 0, 0 };
    int fd;

    f->tls[1] = good("n2");
    end_open(f, 2);
    fd = dial_raw(f, 2);
    SSL_set_max_proto_version(client.tls, version_max);
    SSL_set_fd(client.tls, fd);
    SSL_set_connect_state(client.tls);
    assert_true(loop_until(f->base, handshake_is_over, &client));
    assert_true(client.rc <= 0);
    wait_logged(f, 2, text);
    SSL_free(client.tls);
    SSL_CTX_free(context);
    close(fd);
}

static void no_certificate_is_refused(void **state)
{
    a_client_of(*state, TLS1_3_VERSION, SSL_CTX_new(TLS_client_method()),
                "tls: peer did not return a certificate");
}

static void tls_1_2_is_refused_between_members(void **state)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    a_client_of(*state, TLS1_2_VERSION, context, "tls: unsupported protocol");
}

static void new_certificates_serve_new_connections(void **state)
{
    struct fixture *f = *state;
    SSL_CTX *renewed = good("n2");

    f->tls[0] = good("n1");
    f->tls[1] = certs_peer_context(&certs, "other", "n1");
    end_open(f, 1);
    end_open(f, 2);
    wait_logged(f, 1, "peer n2 at ");
    transport_set_tls(end_of(f, 2)->transport, renewed);
    SSL_CTX_free(f->tls[1]);
    f->tls[1] = renewed;
    wait_connected(f, 1, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, transports_setup, transports_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_files_are_named_with_a_reason),
        cmocka_unit_test(a_server_for_clients_needs_no_ca),
        cmocka_unit_test(the_end_of_a_certificate_is_known),
        TEST(good_certificates_connect_and_carry_frames),
        TEST(a_certificate_of_another_ca_is_refused),
        TEST(an_expired_certificate_is_refused),
        TEST(a_certificate_with_another_name_is_refused),
        TEST(the_dialling_side_checks_the_name_too),
        TEST(a_client_certificate_is_no_member),
        TEST(plaintext_against_tls_is_refused),
        TEST(tls_against_plaintext_is_refused),
        TEST(no_certificate_is_refused),
        TEST(tls_1_2_is_refused_between_members),
        TEST(new_certificates_serve_new_connections),
    };

    return cmocka_run_group_tests(tests, make_certs, remove_certs);
}
