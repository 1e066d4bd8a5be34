/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/copy.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "cli/git.h"
#include "cli/git_refs.h"
#include "model/oid.h"
#include "refdb/digest.h"
#include "sys/clock.h"

#define READ_MS (10 * 60 * 1000)

_Static_assert(COPY_DIGEST_BYTES == DIGEST_BYTES, "the cluster's digest");

static void add_all(const struct git_refs *refs, struct copy_state *state)
{
    struct digest sum = DIGEST_ZERO;

    for (size_t i = 0; i < refs->count; i++) {
        struct oid oid;

        if (strncmp(refs->refs[i].name, COPY_OWN_PREFIX, strlen(COPY_OWN_PREFIX)) == 0 ||
            oid_parse(slice_of_text(refs->refs[i].oid), &oid) != RK_OK) {
            continue;
        }
        digest_add(&sum, digest_ref(slice_of_text(refs->refs[i].name), &oid));
        state->ref_count++;
    }
    digest_store(sum, state->digest);
}

enum rk_status copy_read(const char *git_dir, struct copy_state *ret_state, struct errmsg *why)
{
    struct copy_state state = { .ref_count = 0 };
    struct git_refs refs;
    struct stat st;
    enum rk_status status;

    /* git would look into the folders above for another repository. */
    if (stat(git_dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
        errmsg_set(why, "%s: no repository is there", git_dir);
        return RK_NOT_FOUND;
    }
    status = git_refs_read(&refs, git_dir, clock_monotonic_ms() + READ_MS, why);
    if (status == RK_OK) {
        add_all(&refs, &state);
        *ret_state = state;
    }
    git_refs_release(&refs);
    return status;
}

void copy_format_digest(const uint8_t digest[COPY_DIGEST_BYTES],
                        char ret_hex[2 * COPY_DIGEST_BYTES + 1])
{
    for (size_t i = 0; i < COPY_DIGEST_BYTES; i++) {
        snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
    }
}
