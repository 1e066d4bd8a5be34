/* SPDX-License-Identifier: Apache-2.0 */
/* "host:port" as people write it: names, IPv4, [IPv6], and ":port" for every interface. */
#ifndef NODE_ADDRESS_H
#define NODE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/errmsg.h"
#include "base/limits.h"
#include "base/status.h"

struct address {
    char host[ADDRESS_BYTES_MAX + 1]; /* without brackets; "" = every interface */
    char port[6];                     /* decimal, 0..65535 */
};

struct address_socket {
    struct sockaddr_storage storage;
    socklen_t size;
};

/* Errors: CONFIG, with a sentence that quotes the text. */
enum rk_status address_parse(const char *text, struct address *ret_address,
                             struct errmsg *why) MUST_USE;

unsigned address_port(const struct address *a);

/* True for 127/8, ::1 and "localhost": nothing beyond this machine reaches it. */
bool address_is_loopback(const struct address *a);

/* The socket address of a numeric host; false for names.  Does not wait. */
bool address_numeric(const struct address *a, struct address_socket *ret_socket);

/* Where to listen.  May wait for a name server: for the start only.  Errors: CONFIG. */
enum rk_status address_listen(const char *text, struct address_socket *ret_socket,
                              struct errmsg *why) MUST_USE;

/* "192.0.2.1:7480", "[::1]:7480" for the log. */
void address_format(const struct sockaddr *socket, char *out, size_t size);

/* The host alone, of a peer whose port says nothing. */
void address_format_host(const struct sockaddr *socket, char *out, size_t size);

#endif
