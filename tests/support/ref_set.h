/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of refs as real sites have them, made from a seed: the n-th name and value follow from n,
 * so that a set of any size takes no memory and two programs can make the same one.
 *
 *   giant        one repository: branches of users, pull requests, release tags
 *   android      one repository of a code review server: refs/changes/NN/NNNN/P, a meta ref per
 *                change, few branches and tags
 *   keep-around  one repository of a forge that pins commits: refs/keep-around/OID, which is at
 *                that very object, merge requests, pipelines
 *   small        many repositories of few refs
 *
 * No two names of a repository are equal or in each other's way.
 */
#ifndef SUPPORT_REF_SET_H
#define SUPPORT_REF_SET_H

#include "base/bytes.h"
#include "model/oid.h"

enum ref_shape {
    REF_SHAPE_GIANT,
    REF_SHAPE_ANDROID,
    REF_SHAPE_KEEP_AROUND,
    REF_SHAPE_SMALL,
    REF_SHAPE_COUNT,
};

#define REF_SET_TEXT_MAX 128 /* a name, a path or an actor, with its NUL */

struct ref_set {
    enum ref_shape shape;
    uint64_t seed;
    uint64_t ref_count;
    uint64_t refs_per_repository; /* ref_count is a multiple of it */
};

/* `refs_per_repository` is for REF_SHAPE_SMALL; ref_count is rounded down to a multiple. */
struct ref_set ref_set_of(enum ref_shape shape, uint64_t ref_count, uint64_t refs_per_repository,
                          uint64_t seed);

const char *ref_shape_name(enum ref_shape shape);
/* False when there is none of that name. */
bool ref_shape_find(const char *name, enum ref_shape *ret_shape);

static inline uint64_t ref_set_repository_count(const struct ref_set *s)
{
    return s->ref_count / s->refs_per_repository;
}

static inline uint64_t ref_set_repository_of(const struct ref_set *s, uint64_t n)
{
    return n / s->refs_per_repository;
}

/* The slices point into `text`, which is then NUL-terminated. */
struct slice ref_set_path(const struct ref_set *s, uint64_t repository,
                          char text[REF_SET_TEXT_MAX]);
struct slice ref_set_name(const struct ref_set *s, uint64_t n, char text[REF_SET_TEXT_MAX]);
struct slice ref_set_actor(const struct ref_set *s, uint64_t n, char text[REF_SET_TEXT_MAX]);

/* The value of the n-th ref after it was moved `generation` times. */
struct oid ref_set_oid(const struct ref_set *s, uint64_t n, uint64_t generation);

/* The i-th ref in an order without pattern that visits each once. */
uint64_t ref_set_scattered(const struct ref_set *s, uint64_t i);

#endif
