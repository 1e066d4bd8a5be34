/* SPDX-License-Identifier: Apache-2.0 */
#include "node/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

/* -1 when it is no port. */
static int port_of(const char *text)
{
    int port = 0;

    if (*text == '\0') {
        return -1;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || port > 65535) {
            return -1;
        }
        port = port * 10 + (*text - '0');
    }
    return port <= 65535 ? port : -1;
}

static bool is_host(const char *host, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (host[i] <= ' ' || host[i] == 0x7f || strchr("/@,[]", host[i]) != NULL) {
            return false;
        }
    }
    return size <= ADDRESS_BYTES_MAX;
}

enum rk_status address_parse(const char *text, struct address *ret_address, struct errmsg *why)
{
    const char *colon = strrchr(text, ':');
    const char *host = text;
    size_t size = colon == NULL ? 0 : (size_t)(colon - text);
    int port = colon == NULL ? -1 : port_of(colon + 1);
    bool has_brackets = size >= 2 && text[0] == '[' && colon[-1] == ']';

    if (colon == NULL || strlen(text) > ADDRESS_BYTES_MAX) {
        errmsg_set(why, "\"%.100s\" is not host:port", text);
        return RK_CONFIG;
    }
    if (port < 0) {
        errmsg_set(why, "\"%.100s\": the port must be a number from 0 to 65535", text);
        return RK_CONFIG;
    }
    if (has_brackets) {
        host++;
        size -= 2;
    } else if (memchr(text, ':', size) != NULL) {
        errmsg_set(why, "\"%.100s\": an IPv6 address needs brackets, as in [::1]:7480", text);
        return RK_CONFIG;
    }
    if (!is_host(host, size) || (has_brackets && size == 0)) {
        errmsg_set(why, "\"%.100s\": not a host name or address", text);
        return RK_CONFIG;
    }
    memcpy(ret_address->host, host, size);
    ret_address->host[size] = '\0';
    snprintf(ret_address->port, sizeof ret_address->port, "%d", port);
    return RK_OK;
}

unsigned address_port(const struct address *a)
{
    return (unsigned)port_of(a->port);
}

bool address_is_loopback(const struct address *a)
{
    struct in_addr four;
    struct in6_addr six;

    if (inet_pton(AF_INET, a->host, &four) == 1) {
        return ntohl(four.s_addr) >> 24 == 127;
    }
    if (inet_pton(AF_INET6, a->host, &six) == 1) {
        return IN6_IS_ADDR_LOOPBACK(&six);
    }
    return strcmp(a->host, "localhost") == 0;
}

static int look_up(const struct address *a, int flags, struct address_socket *ret_socket)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags };
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(a->host[0] == '\0' ? NULL : a->host, a->port, &hints, &found);

    if (rc == 0) {
        memcpy(&ret_socket->storage, found->ai_addr, found->ai_addrlen);
        ret_socket->size = found->ai_addrlen;
        freeaddrinfo(found);
    }
    return rc;
}

bool address_numeric(const struct address *a, struct address_socket *ret_socket)
{
    return a->host[0] != '\0' && look_up(a, AI_NUMERICHOST, ret_socket) == 0;
}

enum rk_status address_listen(const char *text, struct address_socket *ret_socket,
                              struct errmsg *why)
{
    struct address address;
    enum rk_status status = address_parse(text, &address, why);
    int rc;

    if (status != RK_OK) {
        return status;
    }
    rc = look_up(&address, AI_PASSIVE, ret_socket);
    if (rc != 0) {
        errmsg_set(why, "look up %s: %s", address.host, gai_strerror(rc));
        return RK_CONFIG;
    }
    return RK_OK;
}

static const char *numeric_host(const struct sockaddr *socket, char *host, size_t size)
{
    const void *bytes = NULL;

    if (socket->sa_family == AF_INET) {
        bytes = &((const struct sockaddr_in *)(const void *)socket)->sin_addr;
    } else if (socket->sa_family == AF_INET6) {
        bytes = &((const struct sockaddr_in6 *)(const void *)socket)->sin6_addr;
    }
    return bytes != NULL && inet_ntop(socket->sa_family, bytes, host, (socklen_t)size) != NULL
               ? host
               : "?";
}

void address_format(const struct sockaddr *socket, char *out, size_t size)
{
    char text[INET6_ADDRSTRLEN];
    const char *host = numeric_host(socket, text, sizeof text);

    if (socket->sa_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const void *)socket;

        snprintf(out, size, "[%s]:%u", host, (unsigned)ntohs(six->sin6_port));
    } else if (socket->sa_family == AF_INET) {
        const struct sockaddr_in *four = (const void *)socket;

        snprintf(out, size, "%s:%u", host, (unsigned)ntohs(four->sin_port));
    } else {
        snprintf(out, size, "?");
    }
}

void address_format_host(const struct sockaddr *socket, char *out, size_t size)
{
    char text[INET6_ADDRSTRLEN];

    snprintf(out, size, "%s", numeric_host(socket, text, sizeof text));
}
