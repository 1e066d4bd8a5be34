/* SPDX-License-Identifier: Apache-2.0 */
/* What a client was told: the inside of struct rk_options. */
#ifndef CLIENT_OPTIONS_H
#define CLIENT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <refkeeper/client.h>

#define ENDPOINTS_MAX 32 /* of one list; more = BADARG */
#define HOST_BYTES_MAX 255

struct endpoint {
    char host[HOST_BYTES_MAX + 1]; /* name or address, without brackets */
    char port[8];
    char text[HOST_BYTES_MAX + 12]; /* host:port as shown to people */
};

struct rk_options {
    struct endpoint endpoints[ENDPOINTS_MAX];
    size_t endpoint_count; /* >= 1 */
    int64_t dial_timeout_ms;
    int64_t timeout_ms;
    bool uses_session;
    bool prefers_leader;
    char *user;     /* NULL = none */
    char *password; /* NULL = no authentication */
    bool uses_tls;
    char *ca_file; /* NULL = the system's */
    char *cert_file;
    char *key_file;
    char *server_name; /* NULL = the host of the endpoint */
};

/* Parses "host", "host:port" or "[v6]:port".  Errors: BADARG. */
enum rk_status endpoint_parse(const char *text, size_t size, struct endpoint *ret_endpoint);

struct rk_options *options_copy(const struct rk_options *options);

#endif
