/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/agent_link.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/assert.h"
#include "base/heap.h"
#include "client/tls.h"

struct agent_tls {
    SSL_CTX *ctx;
    BIO_METHOD *socket; /* as OpenSSL's own, without SIGPIPE */
};

static const char *reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = code == 0 ? NULL : ERR_reason_error_string(code);

    return text == NULL ? "the connection ended" : text;
}

/* ---- The socket under OpenSSL ---- */

static int bio_fd(BIO *bio)
{
    return *(const int *)BIO_get_data(bio);
}

static int bio_write(BIO *bio, const char *data, int size)
{
    ssize_t sent;

    do {
        sent = send(bio_fd(bio), data, (size_t)size, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return (int)sent;
}

static int bio_read(BIO *bio, char *data, int size)
{
    ssize_t got;

    do {
        got = recv(bio_fd(bio), data, (size_t)size, 0);
    } while (got < 0 && errno == EINTR);
    return (int)got;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

/* ---- Certificates ---- */

static enum rk_status tls_new(const SSL_METHOD *method, struct agent_tls **ret_tls,
                              struct errmsg *why)
{
    struct agent_tls *tls = heap_new(struct agent_tls);

    ERR_clear_error();
    tls->ctx = SSL_CTX_new(method);
    tls->socket = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "agent");
    if (tls->ctx == NULL || tls->socket == NULL ||
        BIO_meth_set_write(tls->socket, bio_write) != 1 ||
        BIO_meth_set_read(tls->socket, bio_read) != 1 ||
        BIO_meth_set_ctrl(tls->socket, bio_ctrl) != 1 ||
        SSL_CTX_set_min_proto_version(tls->ctx, TLS1_2_VERSION) != 1) {
        errmsg_set(why, "start TLS: %s", reason());
        agent_tls_free(tls);
        return RK_CONFIG;
    }
    *ret_tls = tls;
    return RK_OK;
}

enum rk_status agent_tls_server(const char *cert_file, const char *key_file,
                                struct agent_tls **ret_tls, struct errmsg *why)
{
    struct agent_tls *tls = NULL;
    enum rk_status status = tls_new(TLS_server_method(), &tls, why);

    if (status != RK_OK) {
        return status;
    }
    if (SSL_CTX_use_certificate_chain_file(tls->ctx, cert_file) != 1) {
        errmsg_set(why, "load certificate %s: %s", cert_file, reason());
    } else if (SSL_CTX_use_PrivateKey_file(tls->ctx, key_file, SSL_FILETYPE_PEM) != 1 ||
               SSL_CTX_check_private_key(tls->ctx) != 1) {
        errmsg_set(why, "load key %s: %s", key_file, reason());
    } else {
        *ret_tls = tls;
        return RK_OK;
    }
    agent_tls_free(tls);
    return RK_CONFIG;
}

enum rk_status agent_tls_client(const char *ca_file, struct agent_tls **ret_tls, struct errmsg *why)
{
    struct agent_tls *tls = NULL;
    enum rk_status status = tls_new(TLS_client_method(), &tls, why);

    if (status != RK_OK) {
        return status;
    }
    SSL_CTX_set_verify(tls->ctx, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_locations(tls->ctx, ca_file, NULL) != 1) {
        errmsg_set(why, "load authorities from %s: %s", ca_file, reason());
        agent_tls_free(tls);
        return RK_CONFIG;
    }
    *ret_tls = tls;
    return RK_OK;
}

void agent_tls_free(struct agent_tls *tls)
{
    if (tls != NULL) {
        SSL_CTX_free(tls->ctx);
        BIO_meth_free(tls->socket);
        heap_free(tls);
    }
}

/* ---- A link ---- */

static void tell_failure(const SSL *ssl, struct errmsg *why)
{
    long verdict = SSL_get_verify_result(ssl);

    errmsg_set(why, "TLS handshake: %s",
               verdict == X509_V_OK ? reason() : X509_verify_cert_error_string(verdict));
}

bool agent_link_start(struct agent_link *link, int fd, struct agent_tls *tls, const char *host,
                      struct errmsg *why)
{
    BIO *bio;

    *link = (struct agent_link){ .fd = fd };
    if (tls == NULL) {
        return true;
    }
    ERR_clear_error();
    link->ssl = SSL_new(tls->ctx);
    bio = BIO_new(tls->socket);
    if (link->ssl == NULL || bio == NULL || (host != NULL && !tls_expect_name(link->ssl, host))) {
        errmsg_set(why, "prepare TLS: %s", reason());
        BIO_free(bio);
        return false;
    }
    BIO_set_data(bio, &link->fd);
    BIO_set_init(bio, 1);
    SSL_set_bio(link->ssl, bio, bio);
    if ((host == NULL ? SSL_accept(link->ssl) : SSL_connect(link->ssl)) != 1) {
        tell_failure(link->ssl, why);
        return false;
    }
    return true;
}

void agent_link_close(struct agent_link *link)
{
    if (link->ssl != NULL) {
        (void)SSL_shutdown(link->ssl);
        SSL_free(link->ssl);
        link->ssl = NULL;
    }
    if (link->fd >= 0) {
        (void)close(link->fd);
        link->fd = -1;
    }
}

bool agent_send_all(struct agent_link *link, const void *data, size_t size)
{
    const uint8_t *at = data;

    while (size > 0) {
        ssize_t sent;

        if (link->ssl != NULL) {
            sent = SSL_write(link->ssl, at, size > INT_MAX ? INT_MAX : (int)size);
        } else {
            sent = send(link->fd, at, size, MSG_NOSIGNAL);
        }
        if (sent < 0 && link->ssl == NULL && errno == EINTR) {
            continue;
        }
        if (sent <= 0) {
            return false;
        }
        at += sent;
        size -= (size_t)sent;
    }
    return true;
}

bool agent_receive_all(struct agent_link *link, void *data, size_t size)
{
    uint8_t *at = data;

    while (size > 0) {
        ssize_t got;

        if (link->ssl != NULL) {
            got = SSL_read(link->ssl, at, size > INT_MAX ? INT_MAX : (int)size);
        } else {
            got = recv(link->fd, at, size, 0);
        }
        if (got < 0 && link->ssl == NULL && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        at += got;
        size -= (size_t)got;
    }
    return true;
}
