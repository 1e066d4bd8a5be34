/* SPDX-License-Identifier: Apache-2.0 */
#include "client/options.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/heap.h"
#include "client/failure.h"

#define PORT_DEFAULT "7481"

static char *copy_or_null(const char *text)
{
    return text == NULL ? NULL : heap_copy_text(text, strlen(text));
}

static void replace(char **place, const char *text)
{
    char *copy = copy_or_null(text);

    heap_free(*place);
    *place = copy;
}

static bool is_port(const char *text, size_t size)
{
    unsigned long value = 0;

    if (size == 0 || size > 5) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        value = value * 10 + (unsigned long)(text[i] - '0');
    }
    return value > 0 && value <= 65535;
}

enum rk_status endpoint_parse(const char *text, size_t size, struct endpoint *ret_endpoint)
{
    struct endpoint e = { .port = PORT_DEFAULT };
    const char *host = text;
    const char *end = text + size;
    const char *colon;
    size_t host_size;

    if (size > 0 && text[0] == '[') {
        const char *close = memchr(text, ']', size);

        if (close == NULL || (close + 1 != end && close[1] != ':')) {
            return RK_BADARG;
        }
        host = text + 1;
        host_size = (size_t)(close - host);
        colon = close + 1 == end ? NULL : close + 1;
    } else {
        colon = memchr(text, ':', size);
        host_size = colon == NULL ? size : (size_t)(colon - text);
    }
    if (host_size == 0 || host_size > HOST_BYTES_MAX || memchr(host, '\0', host_size) != NULL) {
        return RK_BADARG;
    }
    memcpy(e.host, host, host_size);
    if (colon != NULL) {
        size_t port_size = (size_t)(end - colon) - 1;

        if (!is_port(colon + 1, port_size)) {
            return RK_BADARG;
        }
        memset(e.port, 0, sizeof e.port);
        memcpy(e.port, colon + 1, port_size);
    }
    if (snprintf(e.text, sizeof e.text, strchr(e.host, ':') != NULL ? "[%s]:%s" : "%s:%s", e.host,
                 e.port) >= (int)sizeof e.text) {
        return RK_BADARG;
    }
    *ret_endpoint = e;
    return RK_OK;
}

struct rk_options *rk_options_new(void)
{
    struct rk_options *o = heap_new(struct rk_options);

    if (endpoint_parse("127.0.0.1", 9, &o->endpoints[0]) != RK_OK) {
        INVARIANT(false);
    }
    o->endpoint_count = 1;
    o->dial_timeout_ms = 2000;
    o->timeout_ms = 10000;
    o->uses_session = true;
    o->prefers_leader = true;
    return o;
}

void rk_options_free(struct rk_options *options)
{
    if (options == NULL) {
        return;
    }
    heap_free(options->user);
    heap_free(options->password);
    heap_free(options->ca_file);
    heap_free(options->cert_file);
    heap_free(options->key_file);
    heap_free(options->server_name);
    heap_free(options);
}

struct rk_options *options_copy(const struct rk_options *options)
{
    struct rk_options *copy = heap_new(struct rk_options);

    *copy = *options;
    copy->user = copy_or_null(options->user);
    copy->password = copy_or_null(options->password);
    copy->ca_file = copy_or_null(options->ca_file);
    copy->cert_file = copy_or_null(options->cert_file);
    copy->key_file = copy_or_null(options->key_file);
    copy->server_name = copy_or_null(options->server_name);
    return copy;
}

enum rk_status rk_options_set_endpoints(struct rk_options *options, const char *list,
                                        struct rk_error *ret_error)
{
    struct endpoint parsed[ENDPOINTS_MAX];
    size_t count = 0;
    const char *item = list;

    for (;;) {
        size_t size = strcspn(item, ",");

        if (count == ENDPOINTS_MAX) {
            return failure_set(ret_error, RK_BADARG, NULL, "endpoints: more than %d are named",
                               ENDPOINTS_MAX);
        }
        if (endpoint_parse(item, size, &parsed[count]) != RK_OK) {
            return failure_set(ret_error, RK_BADARG, NULL,
                               "endpoints: \"%.*s\" is not host:port; give a list like "
                               "n1:7481,n2:7481,[::1]:7481",
                               (int)(size < 200 ? size : 200), item);
        }
        count++;
        if (item[size] == '\0') {
            break;
        }
        item += size + 1;
    }
    memcpy(options->endpoints, parsed, count * sizeof parsed[0]);
    options->endpoint_count = count;
    return RK_OK;
}

void rk_options_set_dial_timeout_ms(struct rk_options *options, int64_t timeout_ms)
{
    PRE(timeout_ms > 0);
    options->dial_timeout_ms = timeout_ms;
}

void rk_options_set_timeout_ms(struct rk_options *options, int64_t timeout_ms)
{
    PRE(timeout_ms > 0);
    options->timeout_ms = timeout_ms;
}

void rk_options_set_session(struct rk_options *options, int is_used)
{
    options->uses_session = is_used != 0;
}

void rk_options_set_prefer_leader(struct rk_options *options, int is_preferred)
{
    options->prefers_leader = is_preferred != 0;
}

void rk_options_set_auth(struct rk_options *options, const char *user, const char *password)
{
    replace(&options->user, user);
    replace(&options->password, password);
}

void rk_options_set_tls(struct rk_options *options, const char *ca_file, const char *cert_file,
                        const char *key_file, const char *server_name)
{
    options->uses_tls = true;
    replace(&options->ca_file, ca_file);
    replace(&options->cert_file, cert_file);
    replace(&options->key_file, key_file);
    replace(&options->server_name, server_name);
}
