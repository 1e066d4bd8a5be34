/* SPDX-License-Identifier: Apache-2.0 */
/* TAP for programs that count what they did: the counts stand in the description of the test. */
#ifndef SUPPORT_TAP_H
#define SUPPORT_TAP_H

#include <stdbool.h>

/* One result: "ok N - description" or "not ok N - description". */
__attribute__((format(printf, 2, 3))) void tap_result(bool is_ok, const char *format, ...);

/* A line for the reader. */
__attribute__((format(printf, 1, 2))) void tap_note(const char *format, ...);

/* Prints the plan; the exit status of the program. */
int tap_end(void);

/* RK_TORTURE=long: the full version of a test that has a short one. */
bool tap_is_long(void);

/* RK_TORTURE=first: the first failure is enough, as when a tooth is tried. */
bool tap_is_first(void);

#endif
