/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of storage share: a store in an empty directory, and files to damage. */
#ifndef TESTS_STORAGE_CASE_H
#define TESTS_STORAGE_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "storage/snapshot.h"
#include "support/fs_faulty.h"
#include "support/fs_memory.h"
#include "support/store.h"

/* Fails with the message of `t`. */
#define OK(expression)                                                                             \
    do {                                                                                           \
        enum rk_status status_ = (expression);                                                     \
        if (status_ != RK_OK) {                                                                    \
            fail_msg("%s: %s: %s", #expression, rk_status_word(status_), t->why.text);             \
        }                                                                                          \
    } while (0)

/* *state is a struct store on the real file system. */
int case_setup(void **state);
int case_teardown(void **state);

/* The same on a struct fs_memory behind a struct fs_faulty. */
int case_setup_memory(void **state);
int case_teardown_memory(void **state);
struct fs_memory *case_memory(struct store *t);
struct fs_faulty *case_faulty(struct store *t);
/* Closes the store and empties its disk. */
void case_renew(struct store *t);
/* The process or the machine dies; the store is closed without doing anything. */
void case_kill(struct store *t, enum fs_memory_crash kind);

#define CASE_MEMORY(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, case_setup_memory, case_teardown_memory)

#define CASE(name) cmocka_unit_test_setup_teardown(name, case_setup, case_teardown)

/* Walks from `first`, checks that each entry is genuine and counts them. */
uint64_t case_count_entries(struct store *t, raft_index first);

/* Whole files, by name. */
void case_read_file(struct store *t, const char *name, struct buffer *out);
void case_write_file(struct store *t, const char *name, struct slice bytes);
void case_copy_file(struct store *t, const char *from, const char *to);
uint64_t case_file_bytes(struct store *t, const char *name);
bool case_file_exists(struct store *t, const char *name);
/* Inverts one bit of the byte at `offset`. */
void case_flip(struct store *t, const char *name, uint64_t offset);
void case_truncate(struct store *t, const char *name, uint64_t size);
void case_unlink(struct store *t, const char *name);

#endif
