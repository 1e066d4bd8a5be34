/* SPDX-License-Identifier: Apache-2.0 */
/* A state and short ways to apply commands to it, for the tests of refdb/. */
#ifndef TESTS_REFDB_FIXTURE_H
#define TESTS_REFDB_FIXTURE_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/bytes.h"
#include "refdb/refdb.h"

struct fixture {
    struct refdb *db;
    struct refdb_result result; /* of the last entry */
    struct buffer command;
    struct envelope envelope; /* of the next envelope; cleared by it */
};

int fixture_setup(void **state);
int fixture_teardown(void **state); /* also compares the digest with the recomputed one */

#define TEXT(text) slice_of_text(text)

/* Applies what is in f->command; its status. */
enum rk_status fixture_apply(struct fixture *f);
/* Wraps f->command into an envelope from f->envelope first. */
enum rk_status fixture_apply_enveloped(struct fixture *f);

/* The n-th oid: 20 bytes.  0 is the null oid. */
struct oid oid_number(unsigned n);
struct oid oid256_number(unsigned n);

/* The seed's RefUpdate; old: -1 any, 0 absent, else a number; new: 0 deletes. */
enum rk_status ref_update(struct fixture *f, const char *path, const char *ref, int old,
                          unsigned new_number);

/* One update of a batch, the same way. */
struct ref_update update_of(const char *ref, int old, unsigned new_number);
enum rk_status ref_batch(struct fixture *f, const char *path, const struct ref_update *updates,
                         uint32_t count, bool is_atomic);

enum rk_status register_repo(struct fixture *f, const char *path, const char *storage);
enum rk_status remove_repo(struct fixture *f, const char *path);
enum rk_status set_primary(struct fixture *f, const char *storage, const char *path);
enum rk_status set_state(struct fixture *f, const char *path, enum repository_state repo_state,
                         const char *reason);
enum rk_status rename_repo(struct fixture *f, const char *from, const char *to, bool is_prefix);
enum rk_status set_storage(struct fixture *f, const char *name);
enum rk_status plain(struct fixture *f, const struct command *c);
enum rk_status open_session(struct fixture *f);

/* The number of the ref's oid, 0 when absent. */
unsigned ref_number(struct fixture *f, const char *path, const char *ref);
struct refdb_repository repository(struct fixture *f, const char *path);

void assert_slice(struct slice s, const char *text);

/* The whole dump, owned by the caller. */
struct buffer dump_of(struct refdb *db);
/* NULL when refused; given in pieces of that size. */
struct refdb *load_of(struct slice dump, size_t piece_bytes);

#endif
