/* SPDX-License-Identifier: Apache-2.0 */
#include "client/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/heap.h"
#include "client/options.h"

struct tls_context {
    SSL_CTX *ctx;
    char *server_name; /* NULL = the host of the endpoint */
};

struct tls_session {
    SSL *ssl;
    BIO *in;  /* ciphertext from the socket; owned by ssl */
    BIO *out; /* ciphertext for the socket; owned by ssl */
};

/* The newest reason OpenSSL gives. */
static const char *reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = code == 0 ? NULL : ERR_reason_error_string(code);

    return text == NULL ? "unknown TLS error" : text;
}

/* OpenSSL has no words for a file that is not there. */
static bool can_read(const char *path, struct errmsg *why)
{
    if (path == NULL || access(path, R_OK) == 0) {
        return true;
    }
    errmsg_set(why, "%s: %s", path, strerror(errno));
    return false;
}

static enum rk_status load(SSL_CTX *ctx, const struct rk_options *o, struct errmsg *why)
{
    ERR_clear_error();
    if (!can_read(o->ca_file, why) || !can_read(o->cert_file, why) || !can_read(o->key_file, why)) {
        return RK_CONFIG;
    }
    if (o->ca_file == NULL ? SSL_CTX_set_default_verify_paths(ctx) != 1
                           : SSL_CTX_load_verify_locations(ctx, o->ca_file, NULL) != 1) {
        errmsg_set(why, "load authorities from %s: %s",
                   o->ca_file == NULL ? "the system's store" : o->ca_file, reason());
        return RK_CONFIG;
    }
    if ((o->cert_file == NULL) != (o->key_file == NULL)) {
        errmsg_set(why, "a client certificate needs both a certificate and a key file");
        return RK_CONFIG;
    }
    if (o->cert_file == NULL) {
        return RK_OK;
    }
    if (SSL_CTX_use_certificate_chain_file(ctx, o->cert_file) != 1) {
        errmsg_set(why, "load certificate %s: %s", o->cert_file, reason());
        return RK_CONFIG;
    }
    if (SSL_CTX_use_PrivateKey_file(ctx, o->key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(ctx) != 1) {
        errmsg_set(why, "load key %s: %s", o->key_file, reason());
        return RK_CONFIG;
    }
    return RK_OK;
}

enum rk_status tls_context_new(const struct rk_options *options, struct tls_context **ret_context,
                               struct errmsg *why)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    struct tls_context *context;
    enum rk_status status;

    if (ctx == NULL) {
        errmsg_set(why, "start TLS: %s", reason());
        return RK_CONFIG;
    }
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    status = load(ctx, options, why);
    if (status != RK_OK) {
        SSL_CTX_free(ctx);
        return status;
    }
    context = heap_new(struct tls_context);
    context->ctx = ctx;
    if (options->server_name != NULL) {
        context->server_name = heap_copy_text(options->server_name, strlen(options->server_name));
    }
    *ret_context = context;
    return RK_OK;
}

void tls_context_free(struct tls_context *context)
{
    if (context != NULL) {
        SSL_CTX_free(context->ctx);
        heap_free(context->server_name);
        heap_free(context);
    }
}

bool tls_expect_name(SSL *ssl, const char *name)
{
    unsigned char address[sizeof(struct in6_addr)];

    if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    }
    return SSL_set_tlsext_host_name(ssl, name) == 1 && SSL_set1_host(ssl, name) == 1;
}

enum rk_status tls_session_new(struct tls_context *context, const char *host,
                               struct tls_session **ret_session, struct errmsg *why)
{
    const char *name = context->server_name == NULL ? host : context->server_name;
    SSL *ssl = SSL_new(context->ctx);
    BIO *in = BIO_new(BIO_s_mem());
    BIO *out = BIO_new(BIO_s_mem());
    struct tls_session *s;

    if (ssl == NULL || in == NULL || out == NULL || !tls_expect_name(ssl, name)) {
        errmsg_set(why, "prepare TLS for %s: %s", name, reason());
        BIO_free(in);
        BIO_free(out);
        SSL_free(ssl);
        return RK_CONFIG;
    }
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(ssl, in, out);
    SSL_set_connect_state(ssl);
    s = heap_new(struct tls_session);
    *s = (struct tls_session){ ssl, in, out };
    *ret_session = s;
    return RK_OK;
}

void tls_session_free(struct tls_session *s)
{
    if (s != NULL) {
        SSL_free(s->ssl);
        heap_free(s);
    }
}

void tls_session_feed(struct tls_session *s, const void *data, size_t size)
{
    while (size > 0) {
        int part = size > INT_MAX ? INT_MAX : (int)size;
        int taken = BIO_write(s->in, data, part);

        if (taken <= 0) {
            heap_exhausted(size);
        }
        data = (const char *)data + taken;
        size -= (size_t)taken;
    }
}

void tls_session_drain(struct tls_session *s, struct buffer *out)
{
    char part[16384];
    int size;

    while ((size = BIO_read(s->out, part, sizeof part)) > 0) {
        buffer_put(out, part, (size_t)size);
    }
}

enum rk_status tls_session_handshake(struct tls_session *s, bool *ret_done, struct errmsg *why)
{
    long verdict;
    int rc;

    ERR_clear_error();
    rc = SSL_do_handshake(s->ssl);
    if (rc == 1) {
        *ret_done = true;
        return RK_OK;
    }
    rc = SSL_get_error(s->ssl, rc);
    if (rc == SSL_ERROR_WANT_READ || rc == SSL_ERROR_WANT_WRITE) {
        *ret_done = false;
        return RK_OK;
    }
    verdict = SSL_get_verify_result(s->ssl);
    errmsg_set(why, "TLS handshake: %s",
               verdict == X509_V_OK ? reason() : X509_verify_cert_error_string(verdict));
    return RK_NOPERM;
}

/* What a failed SSL_read or SSL_write means: nothing now, or the end. */
static enum rk_status judge(struct tls_session *s, int rc, struct errmsg *why)
{
    int error = SSL_get_error(s->ssl, rc);

    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        return RK_OK;
    }
    errmsg_set(why, "%s",
               error == SSL_ERROR_ZERO_RETURN ? "the server closed the connection" : reason());
    return RK_CLOSED;
}

enum rk_status tls_session_write(struct tls_session *s, const void *data, size_t size,
                                 size_t *ret_size, struct errmsg *why)
{
    size_t written = 0;
    int rc;

    ERR_clear_error();
    rc = SSL_write_ex(s->ssl, data, size, &written);
    *ret_size = rc == 1 ? written : 0;
    return rc == 1 ? RK_OK : judge(s, rc, why);
}

enum rk_status tls_session_read(struct tls_session *s, void *data, size_t size, size_t *ret_size,
                                struct errmsg *why)
{
    size_t got = 0;
    int rc;

    ERR_clear_error();
    rc = SSL_read_ex(s->ssl, data, size, &got);
    *ret_size = rc == 1 ? got : 0;
    return rc == 1 ? RK_OK : judge(s, rc, why);
}
