/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of OpenSSL that the program refkeeper uses, found when the first of them is called.
 *
 * A hook lives for milliseconds, and each push waits for two: loading libcrypto, which without TLS
 * they never call, would be half of that.  So the program is linked with these in place of OpenSSL;
 * refkeeperd and librefkeeper are linked with it as usual.  A function that is missing here does
 * not link, one of another type than OpenSSL's header says does not compile.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/opensslv.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "cli/cli.h"

#define TEXT_OF(number) #number
#define LIBRARY(version) "libssl.so." TEXT_OF(version) /* brings libcrypto */

/* clang-format off */
#define FUNCTIONS(F, PROCEDURE) \
    F(long, BIO_ctrl, (BIO *bio, int cmd, long larg, void *parg), (bio, cmd, larg, parg)) \
    F(int, BIO_free, (BIO *bio), (bio)) \
    F(void *, BIO_get_data, (BIO *bio), (bio)) \
    F(int, BIO_get_new_index, (void), ()) \
    PROCEDURE(BIO_meth_free, (BIO_METHOD *method), (method)) \
    F(BIO_METHOD *, BIO_meth_new, (int type, const char *name), (type, name)) \
    F(int, BIO_meth_set_ctrl, (BIO_METHOD *method, long (*ctrl)(BIO *, int, long, void *)), \
      (method, ctrl)) \
    F(int, BIO_meth_set_read, (BIO_METHOD *method, int (*read)(BIO *, char *, int)), \
      (method, read)) \
    F(int, BIO_meth_set_write, (BIO_METHOD *method, int (*write)(BIO *, const char *, int)), \
      (method, write)) \
    F(BIO *, BIO_new, (const BIO_METHOD *method), (method)) \
    F(int, BIO_read, (BIO *bio, void *data, int size), (bio, data, size)) \
    F(const BIO_METHOD *, BIO_s_mem, (void), ()) \
    PROCEDURE(BIO_set_data, (BIO *bio, void *data), (bio, data)) \
    PROCEDURE(BIO_set_init, (BIO *bio, int init), (bio, init)) \
    F(int, BIO_write, (BIO *bio, const void *data, int size), (bio, data, size)) \
    PROCEDURE(ERR_clear_error, (void), ()) \
    F(unsigned long, ERR_peek_last_error, (void), ()) \
    F(const char *, ERR_reason_error_string, (unsigned long code), (code)) \
    F(int, EVP_DigestFinal_ex, (EVP_MD_CTX *ctx, unsigned char *md, unsigned int *size), \
      (ctx, md, size)) \
    F(int, EVP_DigestInit_ex, (EVP_MD_CTX *ctx, const EVP_MD *type, ENGINE *engine), \
      (ctx, type, engine)) \
    F(int, EVP_DigestUpdate, (EVP_MD_CTX *ctx, const void *data, size_t size), (ctx, data, size)) \
    PROCEDURE(EVP_MD_CTX_free, (EVP_MD_CTX *ctx), (ctx)) \
    F(EVP_MD_CTX *, EVP_MD_CTX_new, (void), ()) \
    F(const EVP_MD *, EVP_sha256, (void), ()) \
    F(int, SSL_CTX_check_private_key, (const SSL_CTX *ctx), (ctx)) \
    F(long, SSL_CTX_ctrl, (SSL_CTX *ctx, int cmd, long larg, void *parg), (ctx, cmd, larg, parg)) \
    PROCEDURE(SSL_CTX_free, (SSL_CTX *ctx), (ctx)) \
    F(int, SSL_CTX_load_verify_locations, (SSL_CTX *ctx, const char *file, const char *folder), \
      (ctx, file, folder)) \
    F(SSL_CTX *, SSL_CTX_new, (const SSL_METHOD *method), (method)) \
    F(int, SSL_CTX_set_default_verify_paths, (SSL_CTX *ctx), (ctx)) \
    PROCEDURE(SSL_CTX_set_verify, (SSL_CTX *ctx, int mode, SSL_verify_cb callback), \
              (ctx, mode, callback)) \
    F(int, SSL_CTX_use_PrivateKey_file, (SSL_CTX *ctx, const char *file, int type), \
      (ctx, file, type)) \
    F(int, SSL_CTX_use_certificate_chain_file, (SSL_CTX *ctx, const char *file), (ctx, file)) \
    F(int, SSL_accept, (SSL *ssl), (ssl)) \
    F(int, SSL_connect, (SSL *ssl), (ssl)) \
    F(long, SSL_ctrl, (SSL *ssl, int cmd, long larg, void *parg), (ssl, cmd, larg, parg)) \
    F(int, SSL_do_handshake, (SSL *ssl), (ssl)) \
    PROCEDURE(SSL_free, (SSL *ssl), (ssl)) \
    F(X509_VERIFY_PARAM *, SSL_get0_param, (SSL *ssl), (ssl)) \
    F(int, SSL_get_error, (const SSL *ssl, int rc), (ssl, rc)) \
    F(long, SSL_get_verify_result, (const SSL *ssl), (ssl)) \
    F(SSL *, SSL_new, (SSL_CTX *ctx), (ctx)) \
    F(int, SSL_read, (SSL *ssl, void *data, int size), (ssl, data, size)) \
    F(int, SSL_read_ex, (SSL *ssl, void *data, size_t size, size_t *got), (ssl, data, size, got)) \
    F(int, SSL_set1_host, (SSL *ssl, const char *host), (ssl, host)) \
    PROCEDURE(SSL_set_bio, (SSL *ssl, BIO *in, BIO *out), (ssl, in, out)) \
    PROCEDURE(SSL_set_connect_state, (SSL *ssl), (ssl)) \
    F(int, SSL_shutdown, (SSL *ssl), (ssl)) \
    F(int, SSL_write, (SSL *ssl, const void *data, int size), (ssl, data, size)) \
    F(int, SSL_write_ex, (SSL *ssl, const void *data, size_t size, size_t *sent), \
      (ssl, data, size, sent)) \
    F(const SSL_METHOD *, TLS_client_method, (void), ()) \
    F(const SSL_METHOD *, TLS_server_method, (void), ()) \
    F(int, X509_VERIFY_PARAM_set1_ip_asc, (X509_VERIFY_PARAM *param, const char *address), \
      (param, address)) \
    F(const char *, X509_verify_cert_error_string, (long verdict), (verdict))

#define POINTER(result, name, parameters, arguments) result (*name) parameters;
#define POINTER_VOID(name, parameters, arguments) void (*name) parameters;

static struct {
    FUNCTIONS(POINTER, POINTER_VOID)
} found;
/* clang-format on */

static pthread_once_t is_loaded = PTHREAD_ONCE_INIT;

/* As the dynamic linker ends a program whose library is not there. */
static void give_up(void)
{
    fprintf(stderr, "refkeeper: load OpenSSL: %s\n", dlerror());
    exit(EXIT_OTHER);
}

static void find(void *library, const char *name, void *ret_function)
{
    void *function = dlsym(library, name);

    if (function == NULL) {
        give_up();
    }
    /* ISO C has no conversion between pointers to objects and to functions; dlsym(3) has this. */
    *(void **)ret_function = function;
}

/* clang-format off */
#define FIND(result, name, parameters, arguments) find(library, #name, &found.name);
#define FIND_VOID(name, parameters, arguments) find(library, #name, &found.name);
/* clang-format on */

static void load(void)
{
    void *library = dlopen(LIBRARY(OPENSSL_SHLIB_VERSION), RTLD_NOW | RTLD_LOCAL);

    if (library == NULL) {
        give_up();
    }
    FUNCTIONS(FIND, FIND_VOID)
}

/* clang-format off */
#define DEFINE(result, name, parameters, arguments) \
    result name parameters \
    { \
        (void)pthread_once(&is_loaded, load); \
        return found.name arguments; \
    }
#define DEFINE_VOID(name, parameters, arguments) \
    void name parameters \
    { \
        (void)pthread_once(&is_loaded, load); \
        found.name arguments; \
    }

FUNCTIONS(DEFINE, DEFINE_VOID)
/* clang-format on */
