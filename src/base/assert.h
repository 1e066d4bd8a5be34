/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assertions for programmer errors, on in every build.
 *
 *   PRE        what the caller promised
 *   POST       what this function promises
 *   INVARIANT  what always holds of a structure
 *
 * A violated assertion prints where and what, and aborts: a node that no longer
 * understands its own state must not answer.  No input from a socket, a file or
 * a person may reach one; such input gets an enum rk_status.
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#define PRE(condition) RK_ASSERT("precondition", condition)
#define POST(condition) RK_ASSERT("postcondition", condition)
#define INVARIANT(condition) RK_ASSERT("invariant", condition)

#define RK_ASSERT(kind, condition)                                                                 \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0)) {                                                   \
            rk_assert_failed(kind, #condition, __FILE__, __LINE__);                                \
        }                                                                                          \
    } while (0)

_Noreturn void rk_assert_failed(const char *kind, const char *text, const char *file, int line);

#endif
