/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loader of dumped states.  The first byte chooses the size of the pieces.  What loads must
 * have the digest that is derived anew, and dump to something that loads again.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "refdb/refdb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct refdb *load(struct slice bytes, size_t piece_bytes)
{
    struct refdb_loader *loader = refdb_loader_new();
    enum rk_status status = RK_OK;
    struct refdb *db = NULL;

    while (bytes.size > 0 && status == RK_OK) {
        size_t size = bytes.size < piece_bytes ? bytes.size : piece_bytes;

        status = refdb_loader_put(loader, slice_of(bytes.data, size));
        bytes = slice_of(bytes.data + size, bytes.size - size);
    }
    return refdb_loader_finish(loader, &db) == RK_OK ? db : NULL;
}

static void dump(struct refdb *db, struct buffer *out)
{
    struct refdb_view *view = refdb_freeze(db);
    size_t before;

    do {
        before = out->size;
        refdb_dump_next(view, out);
    } while (out->size > before);
    refdb_thaw(db, view);
}

static void check(struct refdb *db)
{
    uint8_t kept[16], anew[16];
    struct buffer bytes = BUFFER_INIT;
    struct refdb *again;

    refdb_digest(db, kept);
    refdb_digest_recompute(db, anew);
    INVARIANT(memcmp(kept, anew, sizeof kept) == 0);
    dump(db, &bytes);
    again = load(buffer_slice(&bytes), bytes.size);
    INVARIANT(again != NULL);
    refdb_free(again);
    buffer_release(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct refdb *db;

    if (size == 0) {
        return 0;
    }
    db = load(slice_of(data + 1, size - 1), data[0] == 0 ? size : data[0]);
    if (db != NULL) {
        check(db);
    }
    refdb_free(db);
    return 0;
}
