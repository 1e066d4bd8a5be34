/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RK_API marks a function that librefkeeper exports; everything else in it is hidden.
 */
#ifndef REFKEEPER_API_H
#define REFKEEPER_API_H

#if defined(__GNUC__)
#define RK_API __attribute__((visibility("default")))
#else
#define RK_API
#endif

#endif
