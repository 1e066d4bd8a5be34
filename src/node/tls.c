/* SPDX-License-Identifier: Apache-2.0 */
#include "node/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define VERIFY_DEPTH_MAX 4

/* "what: path: OpenSSL's reason"; the queue of errors is empty afterwards. */
static enum rk_status fail_by_openssl(struct errmsg *why, const char *what, const char *path)
{
    unsigned long error = ERR_peek_error();
    const char *reason = NULL;

    /* The first entry for a file that cannot be opened is the system's. */
    if (error != 0) {
        reason = ERR_SYSTEM_ERROR(error) ? strerror(ERR_GET_REASON(error))
                                         : ERR_reason_error_string(error);
    }
    errmsg_set(why, "%s: %s: %s", what, path, reason == NULL ? "unknown error" : reason);
    ERR_clear_error();
    return RK_CONFIG;
}

/* A key that others may read is no secret. */
static enum rk_status check_key_mode(int fd, const char *path, struct errmsg *why)
{
    struct stat facts;

    if (fstat(fd, &facts) != 0) {
        errmsg_set(why, "TLS key: %s: %s", path, strerror(errno));
        return RK_CONFIG;
    }
    if (!S_ISREG(facts.st_mode)) {
        errmsg_set(why, "TLS key: %s: not a regular file", path);
        return RK_CONFIG;
    }
    if ((facts.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        errmsg_set(why, "TLS key: %s: mode %04o lets group or others at it; chmod 600 it", path,
                   (unsigned)(facts.st_mode & 07777));
        return RK_CONFIG;
    }
    return RK_OK;
}

/* Encrypted keys are refused: there is nobody to type at a daemon. */
static int no_passphrase(char *out, int size, int is_writing, void *argument)
{
    (void)out;
    (void)size;
    (void)is_writing;
    (void)argument;
    return -1;
}

static enum rk_status read_key(const char *path, EVP_PKEY **ret_key, struct errmsg *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    enum rk_status status;
    BIO *file;

    if (fd < 0) {
        errmsg_set(why, "TLS key: %s: %s", path, strerror(errno));
        return RK_CONFIG;
    }
    status = check_key_mode(fd, path, why);
    if (status != RK_OK) {
        close(fd);
        return status;
    }
    file = BIO_new_fd(fd, BIO_CLOSE);
    if (file == NULL) {
        close(fd);
        return fail_by_openssl(why, "TLS key", path);
    }
    *ret_key = PEM_read_bio_PrivateKey(file, NULL, no_passphrase, NULL);
    BIO_free(file);
    return *ret_key == NULL ? fail_by_openssl(why, "TLS key", path) : RK_OK;
}

static enum rk_status use_certificate(SSL_CTX *context, const struct tls_options *options,
                                      struct errmsg *why)
{
    EVP_PKEY *key = NULL;
    enum rk_status status;

    if (SSL_CTX_use_certificate_chain_file(context, options->cert_file) != 1) {
        return fail_by_openssl(why, "TLS certificate", options->cert_file);
    }
    status = read_key(options->key_file, &key, why);
    if (status != RK_OK) {
        return status;
    }
    if (SSL_CTX_use_PrivateKey(context, key) != 1 || SSL_CTX_check_private_key(context) != 1) {
        status = fail_by_openssl(why, "TLS key", options->key_file);
        errmsg_wrap(why, "the key does not belong to %s", options->cert_file);
    }
    EVP_PKEY_free(key);
    return status;
}

static enum rk_status use_ca(SSL_CTX *context, const char *path, int mode, struct errmsg *why)
{
    STACK_OF(X509_NAME) * names;

    if (SSL_CTX_load_verify_file(context, path) != 1) {
        return fail_by_openssl(why, "TLS CA", path);
    }
    names = SSL_load_client_CA_file(path);
    if (names == NULL) {
        return fail_by_openssl(why, "TLS CA", path);
    }
    SSL_CTX_set_client_CA_list(context, names); /* takes it */
    SSL_CTX_set_verify(context, mode, NULL);
    SSL_CTX_set_verify_depth(context, VERIFY_DEPTH_MAX);
    return RK_OK;
}

/* What peers and servers have in common. */
static enum rk_status make_context(const SSL_METHOD *method, int version_min,
                                   const struct tls_options *options, int verify_mode,
                                   SSL_CTX **ret_context, struct errmsg *why)
{
    SSL_CTX *context;
    enum rk_status status;

    if (options->cert_file == NULL || options->key_file == NULL) {
        errmsg_set(why, "TLS needs both a certificate and a key");
        return RK_CONFIG;
    }
    if (verify_mode != SSL_VERIFY_NONE && options->ca_file == NULL) {
        errmsg_set(why, "TLS: certificates of the other side are required, but no CA is given");
        return RK_CONFIG;
    }
    ERR_clear_error();
    context = SSL_CTX_new(method);
    if (context == NULL) {
        return fail_by_openssl(why, "TLS", "context");
    }
    SSL_CTX_set_min_proto_version(context, version_min);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
    /* Every connection is a full handshake: what a certificate may do is judged anew. */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 0);
    status = use_certificate(context, options, why);
    if (status == RK_OK && options->ca_file != NULL) {
        status = use_ca(context, options->ca_file, verify_mode, why);
    }
    if (status != RK_OK) {
        SSL_CTX_free(context);
        return status;
    }
    *ret_context = context;
    return RK_OK;
}

enum rk_status tls_peer_context(const struct tls_options *options, SSL_CTX **ret_context,
                                struct errmsg *why)
{
    return make_context(TLS_method(), TLS1_3_VERSION, options,
                        SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, ret_context, why);
}

enum rk_status tls_server_context(const struct tls_options *options, SSL_CTX **ret_context,
                                  struct errmsg *why)
{
    int mode = SSL_VERIFY_NONE;

    if (options->requires_client_cert) {
        mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    } else if (options->ca_file != NULL) {
        mode = SSL_VERIFY_PEER; /* one that is shown must be good */
    }
    return make_context(TLS_server_method(), TLS1_2_VERSION, options, mode, ret_context, why);
}

/* ---- Names ---- */

static bool text_is(const ASN1_IA5STRING *text, const char *wanted, bool ignores_case)
{
    const char *data = (const char *)ASN1_STRING_get0_data(text);
    size_t size = (size_t)ASN1_STRING_length(text);

    if (size != strlen(wanted)) {
        return false;
    }
    return ignores_case ? strncasecmp(data, wanted, size) == 0 : memcmp(data, wanted, size) == 0;
}

/* Exact names only: no wildcard, no common name. */
static bool certificate_is_named(X509 *certificate, const char *name)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    char uri[512];
    bool is_named = false;

    snprintf(uri, sizeof uri, "refkeeper://node/%s", name);
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && !is_named; i++) {
        const GENERAL_NAME *at = sk_GENERAL_NAME_value(names, i);

        if (at->type == GEN_DNS) {
            is_named = text_is(at->d.dNSName, name, true);
        } else if (at->type == GEN_URI) {
            is_named = text_is(at->d.uniformResourceIdentifier, uri, false);
        }
    }
    GENERAL_NAMES_free(names);
    return is_named;
}

bool tls_peer_is_named(SSL *ssl, const char *name)
{
    X509 *certificate = SSL_get0_peer_certificate(ssl);

    return name[0] != '\0' && certificate != NULL && SSL_get_verify_result(ssl) == X509_V_OK &&
           certificate_is_named(certificate, name);
}

static bool not_after(const X509 *certificate, int64_t *ret_seconds)
{
    struct tm date;

    if (certificate == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &date) != 1) {
        return false;
    }
    *ret_seconds = (int64_t)timegm(&date);
    return true;
}

bool tls_not_after(const SSL_CTX *context, int64_t *ret_seconds)
{
    return not_after(SSL_CTX_get0_certificate(context), ret_seconds);
}

bool tls_file_not_after(const char *cert_file, int64_t *ret_seconds)
{
    BIO *file = BIO_new_file(cert_file, "r");
    X509 *certificate = file == NULL ? NULL : PEM_read_bio_X509(file, NULL, NULL, NULL);
    bool is_known = not_after(certificate, ret_seconds);

    X509_free(certificate);
    BIO_free(file);
    ERR_clear_error();
    return is_known;
}
