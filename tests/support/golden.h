/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Golden bytes: hex files under tests/golden/, "#" to the end of a line being a comment.
 * They were not written by the code they judge, and stay as they are for as long as a
 * cluster may have written such bytes.
 */
#ifndef SUPPORT_GOLDEN_H
#define SUPPORT_GOLDEN_H

#include "base/bytes.h"

/* Appends the bytes of tests/golden/<name>.hex; fails the test when it cannot be read. */
void golden_load(struct buffer *out, const char *name);

/* Fails the test, showing both, unless `bytes` are those of tests/golden/<name>.hex. */
void golden_expect(const char *name, struct slice bytes);

#endif
