/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A typed request from the JSON body of an HTTP POST.
 *
 * Before anything is parsed the body is measured: jansson takes hundreds of bytes for a value of
 * two, so values and depth are counted first.  What is wrong is said with a JSON pointer
 * [RFC 6901] to the place.  Numbers may come as text, as answers write ids.
 *
 * This file knows neither connections nor the loop.
 */
#ifndef SERVER_JSON_BODY_H
#define SERVER_JSON_BODY_H

#include "server/request.h"

/* What a parsed request borrows from; released after the request was carried out. */
struct json_body {
    void *root;
    uint8_t *bytes; /* decoded from base64 */
    size_t size;
    char pointer[160]; /* to what was refused, last */
};

/*
 * The fields of the type are members of the object, by their HTTP names; beside them
 *
 *   REF.TXN       updates: [{ref or ref_b64, old, new}], atomic: bool (true)
 *   REPO.CREATE   primary, for storage; replicas: [storage]
 *   PRIMARY.SET   paths: [path]
 *
 * An old of null is ABSENT, a new of null deletes.  `key` is the value of Idempotency-Key; its
 * data is NULL when there was none.
 * Errors: any refusal, said in *why; *ret_request is then void.
 */
enum rk_status json_body_parse(struct json_body *body, const struct request_type *type,
                               struct slice text, struct slice key, struct request_scratch *scratch,
                               struct request *ret_request, struct failure *why) MUST_USE;

/* Accepts a zeroed one. */
void json_body_release(struct json_body *body);

#endif
