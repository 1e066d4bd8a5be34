/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients did to one ref, and whether it could have happened one after the other.
 *
 * A ref is a register: its value is a number, 0 = absent.  A history is linearizable when
 * there is an order of its operations that a lone ref would have answered alike and in which
 * whatever ended before another began comes first [Herlihy & Wing 1990].  Refs are
 * independent, so each is judged alone [P-compositionality, Horn & Kroening 2015].
 *
 * The search is Wing & Gong's with Lowe's memory of configurations already tried.
 */
#ifndef SIM_HISTORY_H
#define SIM_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTORY_OPEN UINT64_MAX /* the outcome was never learned: it may happen at any time */

enum history_kind {
    HISTORY_READ,   /* answered: `seen` */
    HISTORY_UPDATE, /* compare with `old`, then set to `new_value` (0 = delete) */
};

struct history_op {
    enum history_kind kind;
    uint64_t began, ended; /* places in one order of all beginnings and ends */
    bool has_old;          /* else any value will do */
    uint64_t old, new_value;
    bool is_refused; /* of an update: it did nothing, and told the value `seen` */
    uint64_t seen;
};

/* Judges `count` operations, in any order.  *ret_blame is the one no order explains. */
bool history_is_linearizable(const struct history_op *ops, size_t count, size_t *ret_blame);

#endif
