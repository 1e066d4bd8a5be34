/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/copy.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "cli/git.h"
#include "cli/git_refs.h"
#include "model/oid.h"
#include "sys/clock.h"

#define READ_MS (10 * 60 * 1000)

static void add_ref(struct digest *sum, const char *name, const char *hex)
{
    struct oid oid;

    if (oid_parse(slice_of_text(hex), &oid) == RK_OK) {
        digest_add(sum, digest_ref(slice_of_text(name), &oid));
    }
}

enum rk_status copy_read(const char *git_dir, const struct tracked_refs *tracked,
                         struct copy_state *state, struct errmsg *why)
{
    struct stat st;
    enum rk_status status;

    copy_state_release(state);
    /* git would look into the folders above for another repository. */
    if (stat(git_dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
        errmsg_set(why, "%s: no repository is there", git_dir);
        return RK_NOT_FOUND;
    }
    status = git_refs_read(&state->refs, git_dir, clock_monotonic_ms() + READ_MS, why);
    if (status != RK_OK) {
        copy_state_release(state);
        return status;
    }
    for (size_t i = 0; i < state->refs.count; i++) {
        const struct git_ref *ref = &state->refs.refs[i];

        if (tracked_refs_has(tracked, ref->name)) {
            add_ref(&state->tracked, ref->name, ref->oid);
            state->ref_count++;
        }
    }
    digest_store(state->tracked, state->digest);
    return RK_OK;
}

void copy_state_release(struct copy_state *state)
{
    git_refs_release(&state->refs);
    *state = (struct copy_state){ .ref_count = 0 };
}

/* ---- Comparing; values from before the filter ---- */

struct held {
    const struct git_refs *disk;
    const struct tracked_refs *tracked;
    struct digest sum;
};

static int add_held(void *context, const char *name, const char *oid)
{
    struct held *h = context;
    const char *ours = tracked_refs_has(h->tracked, name) ? NULL : git_refs_find(h->disk, name);

    (void)oid;
    if (ours != NULL) {
        add_ref(&h->sum, name, ours);
    }
    return 0;
}

static bool is_digest(const struct copy_state *state, const char *digest)
{
    char hex[2 * COPY_DIGEST_BYTES + 1];

    copy_format_digest(state->digest, hex);
    return strcmp(hex, digest) == 0;
}

bool copy_is_equal(struct copy_state *state, const struct tracked_refs *tracked,
                   struct rk_client *client, const char *path, const char *digest)
{
    struct held h = { .disk = &state->refs, .tracked = tracked, .sum = state->tracked };

    if (is_digest(state, digest)) {
        return true;
    }
    if (!tracked_refs_has_filter(tracked) ||
        rk_ref_list(client, path, NULL, NULL, add_held, &h, NULL, NULL, NULL) != RK_OK) {
        return false;
    }
    digest_store(h.sum, state->digest);
    return is_digest(state, digest);
}

void copy_format_digest(const uint8_t digest[COPY_DIGEST_BYTES],
                        char ret_hex[2 * COPY_DIGEST_BYTES + 1])
{
    for (size_t i = 0; i < COPY_DIGEST_BYTES; i++) {
        snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
    }
}
