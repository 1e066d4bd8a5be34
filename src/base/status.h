/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How functions say what came of it.
 *
 * Every fallible function returns enum rk_status; outputs are written only on
 * RK_OK.  The list itself is public, because the same codes travel to clients.
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <refkeeper/status.h>

#define MUST_USE __attribute__((warn_unused_result))

#endif
