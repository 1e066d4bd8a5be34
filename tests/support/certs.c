/* SPDX-License-Identifier: Apache-2.0 */
#include "support/certs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void run(const char *format, ...)
{
    char command[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    if (system(command) != 0) {
        fail_msg("failed: %s", command);
    }
}

void certs_make(struct certs *c)
{
    const char *root = getenv("RK_SRCDIR") != NULL ? getenv("RK_SRCDIR") : "..";

    snprintf(c->dir, sizeof c->dir, "/tmp/rk-certs-XXXXXX");
    assert_non_null(mkdtemp(c->dir));
    run("'%s'/scripts/make-certs --client alice '%s'/good n1 n2 n3", root, c->dir);
    run("mkdir '%s'/expired && cp '%s'/good/ca.* '%s'/expired", c->dir, c->dir, c->dir);
    run("'%s'/scripts/make-certs --days -1 '%s'/expired n1", root, c->dir);
    run("'%s'/scripts/make-certs '%s'/other n1", root, c->dir);
}

void certs_remove(struct certs *c)
{
    run("rm -rf '%s'", c->dir);
}

const char *certs_path(const struct certs *c, const char *file)
{
    static char paths[4][160];
    static unsigned turn;
    char *path = paths[turn++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", c->dir, file);
    return path;
}

SSL_CTX *certs_peer_context(const struct certs *c, const char *set, const char *name)
{
    char ca[32], cert[32], key[32];
    struct tls_options options = { .ca_file = NULL };
    struct errmsg why = ERRMSG_INIT;
    SSL_CTX *context = NULL;

    snprintf(ca, sizeof ca, "%s/ca.crt", set);
    snprintf(cert, sizeof cert, "%s/%s.crt", set, name);
    snprintf(key, sizeof key, "%s/%s.key", set, name);
    options.ca_file = certs_path(c, ca);
    options.cert_file = certs_path(c, cert);
    options.key_file = certs_path(c, key);
    if (tls_peer_context(&options, &context, &why) != RK_OK) {
        fail_msg("%s", why.text);
    }
    return context;
}
