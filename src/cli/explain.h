/* SPDX-License-Identifier: Apache-2.0 */
/* What an entry asks for, in words. */
#ifndef CLI_EXPLAIN_H
#define CLI_EXPLAIN_H

#include "base/bytes.h"
#include "model/entry.h"

struct explanation {
    const char *kind;           /* "ref_update", "envelope", ... */
    struct buffer text;         /* NUL-terminated */
    struct buffer actor;        /* NUL-terminated; "" = none */
    uint64_t session, sequence; /* 0 = none */
    int64_t wall_ms;            /* 0 = none */
};

/* At most `items_max` items of a batch are spelt out.  Errors: as command_decode(). */
enum rk_status explain_entry(const struct entry *entry, uint32_t items_max,
                             struct explanation *e) MUST_USE;
void explanation_release(struct explanation *e);

#endif
