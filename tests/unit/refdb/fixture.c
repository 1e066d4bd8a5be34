/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/refdb/fixture.h"

#include <stdio.h>

#include "base/heap.h"

int fixture_setup(void **state)
{
    struct fixture *f = heap_new(struct fixture);

    f->db = refdb_new();
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    uint8_t kept[16], anew[16];

    refdb_digest(f->db, kept);
    refdb_digest_recompute(f->db, anew);
    assert_memory_equal(kept, anew, sizeof kept);
    refdb_free(f->db);
    buffer_release(&f->command);
    heap_free(f);
    return 0;
}

enum rk_status fixture_apply(struct fixture *f)
{
    struct entry entry = { 1, refdb_applied_index(f->db) + 1, buffer_slice(&f->command) };

    assert_int_equal(refdb_apply(f->db, &entry, &f->result), RK_OK);
    assert_int_equal(f->result.index, entry.index);
    return f->result.status; /* its slices may point into f->command, until the next call */
}

enum rk_status fixture_apply_enveloped(struct fixture *f)
{
    struct buffer inner = f->command;
    enum rk_status status;

    f->command = (struct buffer)BUFFER_INIT;
    command_encode_envelope(&f->command, &f->envelope, buffer_slice(&inner));
    f->envelope = (struct envelope){ 0 };
    buffer_release(&inner);
    status = fixture_apply(f);
    return status;
}

struct oid oid_number(unsigned n)
{
    struct oid oid = { .size = 20 };

    put_be32(oid.bytes, n);
    put_be32(oid.bytes + 16, n);
    return oid;
}

struct oid oid256_number(unsigned n)
{
    struct oid oid = oid_number(n);

    oid.size = 32;
    return oid;
}

static void hex_of(int n, char text[OID_HEX_BYTES_MAX + 1])
{
    struct oid oid = oid_number((unsigned)n);

    text[0] = '\0';
    if (n >= 0) {
        oid_format(&oid, text);
    }
}

enum rk_status ref_update(struct fixture *f, const char *path, const char *ref, int old,
                          unsigned new_number)
{
    char old_text[OID_HEX_BYTES_MAX + 1], new_text[OID_HEX_BYTES_MAX + 1];

    hex_of(old, old_text);
    hex_of((int)new_number, new_text);
    buffer_clear(&f->command);
    command_encode_ref_update(&f->command, TEXT(path), TEXT(ref), TEXT(old_text), TEXT(new_text));
    return fixture_apply(f);
}

struct ref_update update_of(const char *ref, int old, unsigned new_number)
{
    struct ref_update u = { .refname = TEXT(ref) };

    u.old_value = old < 0 ? OLD_ANY : old == 0 ? OLD_ABSENT : OLD_OID;
    if (old > 0) {
        u.old_oid = oid_number((unsigned)old);
    }
    u.is_delete = new_number == 0;
    if (new_number > 0) {
        u.new_oid = oid_number(new_number);
    }
    return u;
}

enum rk_status ref_batch(struct fixture *f, const char *path, const struct ref_update *updates,
                         uint32_t count, bool is_atomic)
{
    if (is_atomic) {
        f->envelope.flags |= ENVELOPE_ATOMIC;
    }
    buffer_clear(&f->command);
    command_encode_ref_envelope(&f->command, &f->envelope, TEXT(path), updates, count);
    f->envelope = (struct envelope){ 0 };
    return fixture_apply(f);
}

enum rk_status register_repo(struct fixture *f, const char *path, const char *storage)
{
    buffer_clear(&f->command);
    command_encode_register_repo(&f->command, TEXT(path), TEXT(storage));
    return fixture_apply(f);
}

enum rk_status remove_repo(struct fixture *f, const char *path)
{
    buffer_clear(&f->command);
    command_encode_remove_repo(&f->command, TEXT(path));
    return fixture_apply(f);
}

enum rk_status set_primary(struct fixture *f, const char *storage, const char *path)
{
    struct slice paths[1] = { TEXT(path) };

    buffer_clear(&f->command);
    command_encode_set_primary(&f->command, TEXT(storage), paths, 1);
    return fixture_apply(f);
}

enum rk_status plain(struct fixture *f, const struct command *c)
{
    buffer_clear(&f->command);
    command_encode_plain(&f->command, c);
    return fixture_apply(f);
}

enum rk_status set_state(struct fixture *f, const char *path, enum repository_state repo_state,
                         const char *reason)
{
    struct command c = { .tag = COMMAND_SET_STATE };

    c.u.set_state.path = TEXT(path);
    c.u.set_state.state = repo_state;
    c.u.set_state.reason = TEXT(reason);
    return plain(f, &c);
}

enum rk_status rename_repo(struct fixture *f, const char *from, const char *to, bool is_prefix)
{
    struct command c = { .tag = COMMAND_RENAME_REPO };

    c.u.rename_repo.from = TEXT(from);
    c.u.rename_repo.to = TEXT(to);
    c.u.rename_repo.is_prefix = is_prefix;
    return plain(f, &c);
}

enum rk_status set_storage(struct fixture *f, const char *name)
{
    struct command c = { .tag = COMMAND_SET_STORAGE };

    c.u.set_storage.name = TEXT(name);
    return plain(f, &c);
}

enum rk_status open_session(struct fixture *f)
{
    struct command c = { .tag = COMMAND_OPEN_SESSION };

    return plain(f, &c);
}

unsigned ref_number(struct fixture *f, const char *path, const char *ref)
{
    struct refdb_ref found;

    if (refdb_find_ref(f->db, TEXT(path), TEXT(ref), &found) != RK_OK) {
        return 0;
    }
    return get_be32(found.oid.bytes);
}

struct refdb_repository repository(struct fixture *f, const char *path)
{
    struct refdb_repository r;

    assert_int_equal(refdb_find_repository(f->db, TEXT(path), 0, &r), RK_OK);
    return r;
}

void assert_slice(struct slice s, const char *text)
{
    if (!slice_equal(s, TEXT(text))) {
        fail_msg("\"%.*s\" is not \"%s\"", (int)s.size, (const char *)s.data, text);
    }
}

struct buffer dump_of(struct refdb *db)
{
    struct refdb_view *view = refdb_freeze(db);
    struct buffer out = BUFFER_INIT;
    size_t before;

    do {
        before = out.size;
        refdb_dump_next(view, &out);
    } while (out.size > before);
    refdb_thaw(db, view);
    return out;
}

struct refdb *load_of(struct slice dump, size_t piece_bytes)
{
    struct refdb_loader *loader = refdb_loader_new();
    struct refdb *db = NULL;
    enum rk_status status = RK_OK;

    for (size_t at = 0; at < dump.size && status == RK_OK; at += piece_bytes) {
        size_t left = dump.size - at;

        status = refdb_loader_put(
            loader, slice_of(dump.data + at, left < piece_bytes ? left : piece_bytes));
    }
    status = refdb_loader_finish(loader, &db);
    return status == RK_OK ? db : NULL;
}
