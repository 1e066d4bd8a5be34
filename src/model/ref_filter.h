/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tracked-ref filter: which refs the cluster decides about, as an ordered list of rules.
 *
 *   rule      u8 is_tracked, string pattern
 *   pattern   components as in a ref name, starting with "refs"; in each at most one "*",
 *             which stands for any bytes but "/".  Ending in "/": everything below.
 *
 * The first rule whose pattern fits decides; a ref that none fits is tracked.  As Gerrit does
 * for changes, whose patch sets never move:  track refs/changes/ * / * /meta (without the
 * blanks), then ignore refs/changes/.
 *
 * One star per component: matching takes time in proportion to the name, whoever chose it.
 */
#ifndef MODEL_REF_FILTER_H
#define MODEL_REF_FILTER_H

#include "base/bytes.h"
#include "base/limits.h"

struct ref_rule {
    bool is_tracked; /* else ignored */
    struct slice pattern;
};

/* Appends one encoded rule. */
void ref_filter_put(struct buffer *out, const struct ref_rule *rule);

/* Walks encoded rules.  False at the end, and at bytes that are no rule. */
bool ref_filter_next(struct slice *rest, struct ref_rule *ret_rule);

/* At most FILTER_PATTERN_BYTES_MAX bytes that could fit some ref name. */
bool ref_pattern_is_valid(struct slice pattern);

bool ref_pattern_fits(struct slice pattern, struct slice refname);

/* PRE: every pattern is valid. */
bool ref_filter_tracks(struct slice rules, struct slice refname);

#endif
