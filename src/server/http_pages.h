/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two documents: the description of the HTTP interface for machines, made from the tables that
 * serve it, and the status page for people.
 */
#ifndef SERVER_HTTP_PAGES_H
#define SERVER_HTTP_PAGES_H

#include "base/bytes.h"

/* What a path with a method asks for; the rows end with a NULL method. */
struct http_route_row {
    const char *method;
    const char *path;
    const char *request; /* name in the table of requests */
};

extern const struct http_route_row http_route_rows[];

/* ROUTE.LIST, answered as text (http_map.c). */
#define HTTP_MAP_PATH "/map/haproxy"

/* Appends an OpenAPI 3.0 document. */
void http_put_openapi(struct buffer *out);

/* One page that needs nothing else: it asks /v1 for what it shows. */
extern const char http_status_page[];

#endif
