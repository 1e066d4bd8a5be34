/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a request was refused, in a form both front ends can show.
 *
 *   RESP   -WORD key=value key=value text
 *   JSON   {"code": "WORD", "message": "text", "retryable": false, "key": value, ...}
 *
 * In RESP every byte of a value that is not graphic ASCII, and '%', is written %XX: values
 * never hold a space or a line end, whoever chose them.  [docs/INTERFACES.md]
 */
#ifndef SERVER_FAILURE_H
#define SERVER_FAILURE_H

#include "base/bytes.h"
#include "base/status.h"
#include "model/oid.h"
#include "node/node.h"
#include "refdb/refdb.h"

#define FAILURE_FIELDS_MAX 6

enum failure_field_type {
    FAILURE_NUMBER,
    FAILURE_TEXT,
    FAILURE_OID, /* size 0 = the ref does not exist: ABSENT, in JSON null */
};

struct failure_field {
    const char *key;
    enum failure_field_type type;
    uint64_t number;
    struct slice text; /* borrowed */
    struct oid oid;
};

struct failure {
    enum rk_status status;
    const char *word; /* instead of the status' own: words that stock Redis clients know */
    char text[240];   /* ours alone: never bytes from a request */
    unsigned field_count;
    struct failure_field fields[FAILURE_FIELDS_MAX];
};

/* Overwrites the failure; a NULL `format` takes the text of the status. */
void failure_set(struct failure *f, enum rk_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* More fields than fit are dropped. */
void failure_add_number(struct failure *f, const char *key, uint64_t number);
void failure_add_text(struct failure *f, const char *key, struct slice text);
void failure_add_oid(struct failure *f, const char *key, const struct oid *oid);

/* Why the node did not do it; where to go instead, when it was removed. */
void failure_of_node(struct failure *f, const struct node *n, enum rk_status status);

/* What the state machine said of one item.  PRE: item->status != RK_OK. */
void failure_from_item(struct failure *f, const struct refdb_item *item);

const char *failure_word(const struct failure *f);

#endif
