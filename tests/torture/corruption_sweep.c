/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every byte of the files of a small member is flipped in turn.  Opened again, storage must hold
 * everything that was acknowledged and genuine, or say which file is damaged and what to do, or
 * open and refuse to give out just the damaged part.  Anything else is a silent error.
 */
#include <stdio.h>
#include <string.h>

#include "storage/verify.h"
#include "support/fs_memory.h"
#include "support/store.h"
#include "support/tap.h"

#define LOG "raft-log.dat"
#define INDEX "raft-index.dat"
#define STATE "raft-state.dat"
#define SLOT_BYTES (64 * KIB)

enum { FILE_COUNT = 5, TERM = 3, VOTE = 2, LAST_INDEX = 130, STATE_BYTES = 2000 };

static const char *const names[FILE_COUNT] = { LOG, INDEX, STATE, "raft-snapshot-40-1.dat",
                                               "raft-snapshot-80-2.dat" };

/* The files of the member, before they are damaged. */
struct image {
    struct buffer files[FILE_COUNT];
};

/* One or two bytes that go bad. */
struct damage {
    unsigned file;
    size_t offset;
    unsigned other_file; /* FILE_COUNT = there is none */
    size_t other_offset;
    uint8_t pattern;
    bool is_padding; /* of a slot, where nothing can be damaged */
};

struct tally {
    uint64_t cases;
    uint64_t refused;  /* by an error that says where */
    uint64_t marked;   /* open, and the damaged entries are known as such */
    uint64_t harmless; /* everything is there */
    uint64_t bad;
};

/* With others the damaged part is marked and fetched again from them; alone it is refused. */
static unsigned voters = 1;

/* ---- Files ---- */

static fs_handle open_file(struct fs *fs, const char *name, unsigned flags)
{
    fs_handle dir;
    fs_handle file = -1;

    if (fs->ops->open_dir(fs, "/data", true, &dir) == 0) {
        if (fs->ops->open(fs, dir, name, flags, &file) != 0) {
            file = -1;
        }
        fs->ops->close(fs, dir);
    }
    return file;
}

static bool read_file(struct fs *fs, const char *name, struct buffer *out)
{
    fs_handle file = open_file(fs, name, FS_READ);
    uint64_t size = 0;
    size_t got = 0;

    buffer_clear(out);
    if (file < 0) {
        return false;
    }
    if (fs->ops->size(fs, file, &size) == 0 && buffer_reserve(out, (size_t)size + 1) == RK_OK &&
        fs->ops->read(fs, file, 0, out->data, (size_t)size, &got) == 0) {
        out->size = got;
    }
    fs->ops->close(fs, file);
    return true;
}

static void write_file(struct fs *fs, const char *name, struct slice bytes)
{
    fs_handle file = open_file(fs, name, FS_WRITE | FS_CREATE | FS_TRUNC);

    (void)fs->ops->write(fs, file, 0, bytes.data, bytes.size);
    fs->ops->close(fs, file);
}

static void flip(struct buffer *bytes, size_t offset, uint8_t pattern)
{
    bytes->data[offset] ^= pattern;
}

/* ---- The member ---- */

/* Entries 41 to 130 behind two snapshots.  Terms 1, 2, 3; commands of 0 to 89 bytes. */
static enum rk_status live(struct store *t)
{
    enum rk_status status = store_open(t);

    for (raft_index i = 1; status == RK_OK && i <= LAST_INDEX; i++) {
        raft_term term = i <= 60 ? 1 : i <= 90 ? 2 : TERM;

        status = store_set_term(t, term, VOTE);
        if (status == RK_OK) {
            status = store_append_sync(t, term, 1, i * 7 % 90);
        }
        if (status == RK_OK && i == 100) {
            status = store_snapshot(t, 40, 1, STATE_BYTES);
        }
        if (status == RK_OK && i == 110) {
            status = store_snapshot(t, 80, 2, STATE_BYTES);
        }
        if (status == RK_OK && i == 120) {
            status = storage_compact(t->s, 41, &t->why);
        }
    }
    return status;
}

/* A clean stop makes everything a witness; after a kill only the index tells. */
static bool image_make(struct image *image, bool is_killed)
{
    struct fs_memory *memory = fs_memory_new();
    struct store t = STORE_INIT(fs_memory_fs(memory), "/data");
    enum rk_status status;

    fs_memory_set_can_allocate(memory, false);
    status = live(&t);
    for (unsigned i = 0; is_killed && i < FILE_COUNT; i++) {
        (void)read_file(t.fs, names[i], &image->files[i]);
    }
    store_release(&t);
    for (unsigned i = 0; !is_killed && i < FILE_COUNT; i++) {
        (void)read_file(fs_memory_fs(memory), names[i], &image->files[i]);
    }
    if (status != RK_OK) {
        tap_note("%s: %s", rk_status_word(status), t.why.text);
    }
    fs_memory_free(memory);
    return status == RK_OK;
}

static void image_release(struct image *image)
{
    for (unsigned i = 0; i < FILE_COUNT; i++) {
        buffer_release(&image->files[i]);
    }
}

static void image_damage(struct image *image, const struct damage *d)
{
    flip(&image->files[d->file], d->offset, d->pattern);
    if (d->other_file < FILE_COUNT) {
        flip(&image->files[d->other_file], d->other_offset, d->pattern);
    }
}

/* ---- Judgement.  Each returns what is wrong, or NULL. ---- */

static const char *judge_state(const struct store *t)
{
    const struct persistent_state *state = &t->recovered.state;

    if (state->current_term != TERM || state->voted_for != VOTE) {
        return "term or vote changed";
    }
    return strcmp(state->node_name, "n1") == 0 ? NULL : "the name changed";
}

static const char *judge_snapshot(struct store *t)
{
    size_t size = 0;

    if (store_check_snapshot(t, t->recovered.snapshot_last_index, t->recovered.snapshot_last_term,
                             &size) != RK_OK) {
        return "the chosen snapshot cannot be read, or changed";
    }
    return size == STATE_BYTES ? NULL : "a snapshot's state has another size";
}

/* One entry: genuine, or known to be damaged. */
static const char *judge_entry(struct store *t, raft_index index, bool *ret_is_known_bad)
{
    struct buffer out = BUFFER_INIT;
    raft_index last = 0;
    enum rk_status status = storage_read(t->s, index, index, 1, &out, &last, &t->why);
    const char *wrong = NULL;

    if (status == RK_CORRUPT) {
        *ret_is_known_bad = true;
        wrong = strstr(t->why.text, "offset") != NULL ? NULL : "damage is told without its place";
    } else if (status != RK_OK) {
        wrong = "an acknowledged entry is lost";
    } else {
        struct entry entry;

        entry_parse(buffer_slice(&out), &entry);
        wrong = entry.index == index && store_entry_is_genuine(&entry) ? NULL : "an entry changed";
    }
    buffer_release(&out);
    return wrong;
}

/* What the log lacks is known durably, and the message names the place. */
static const char *judge_mark(const struct store *t)
{
    const struct storage_repair *repair = &t->recovered.repair;

    if (repair->last_index < LAST_INDEX || repair->last_term < TERM ||
        repair->first > t->recovered.log_last_index + 1 || !storage_is_repairing(t->s)) {
        return "an acknowledged entry is lost and not missed";
    }
    return strstr(t->recovered.damage.text, "offset") != NULL ? NULL
                                                              : "damage is told without its place";
}

static const char *judge_open(struct store *t, bool *ret_is_marked)
{
    const char *wrong = judge_state(t);

    if (wrong == NULL) {
        wrong = judge_snapshot(t);
    }
    if (wrong == NULL && t->recovered.log_first_index > t->recovered.snapshot_last_index + 1) {
        wrong = "entries are missing between snapshot and log";
    }
    for (raft_index i = t->recovered.log_first_index;
         wrong == NULL && i <= t->recovered.log_last_index; i++) {
        wrong = judge_entry(t, i, ret_is_marked);
    }
    if (wrong == NULL && t->recovered.log_last_index < LAST_INDEX) {
        *ret_is_marked = true;
        wrong = judge_mark(t);
    }
    return wrong;
}

/* A refusal names a file, leaves the log alone, and is not forgotten by the next start. */
static const char *judge_refusal(struct store *t, enum rk_status status, const struct image *image)
{
    struct buffer found = BUFFER_INIT;
    const char *wrong = NULL;

    if (status != RK_CORRUPT && status != RK_FOREIGN) {
        return rk_status_word(status);
    }
    if (strstr(t->why.text, "raft-") == NULL && strstr(t->why.text, "snapshot") == NULL) {
        return "the error does not say where";
    }
    if (store_open(t) != status) {
        return "the second start thinks otherwise than the first";
    }
    if (!read_file(t->fs, LOG, &found) ||
        !slice_equal(buffer_slice(&found), buffer_slice(&image->files[0]))) {
        wrong = "the log was changed";
    }
    buffer_release(&found);
    return wrong;
}

/* What fsck is told: which files have findings. */
static void note_finding(void *context, const struct storage_finding *finding)
{
    bool *has_finding = context;

    for (unsigned i = 0; i < FILE_COUNT; i++) {
        has_finding[i] |= strcmp(finding->file, names[i]) == 0;
    }
}

/* The damaged file is named, and no whole one; of two the second may be past telling. */
static const char *judge_findings(struct store *t, const struct damage *d)
{
    bool has_finding[FILE_COUNT] = { false };

    if (storage_verify(t->fs, t->data_dir, note_finding, has_finding, &t->why) != RK_OK) {
        return "the files cannot be verified";
    }
    for (unsigned i = 0; i < FILE_COUNT; i++) {
        if (has_finding[i] && i != d->file && i != d->other_file) {
            return "a whole file is called damaged";
        }
    }
    return has_finding[d->file] ? NULL : "damage is not found";
}

static void try_damage(struct image *image, const struct damage *d, struct tally *tally)
{
    struct fs_memory *memory = fs_memory_new();
    struct store t = STORE_INIT(fs_memory_fs(memory), "/data");
    const char *wrong = NULL;
    bool is_marked = false;
    enum rk_status status;

    fs_memory_set_can_allocate(memory, false);
    t.voters = voters;
    image_damage(image, d);
    for (unsigned i = 0; i < FILE_COUNT; i++) {
        write_file(t.fs, names[i], buffer_slice(&image->files[i]));
    }
    wrong = d->is_padding ? NULL : judge_findings(&t, d);
    status = store_open(&t);
    if (status == RK_OK) {
        wrong = wrong != NULL ? wrong : judge_open(&t, &is_marked);
        tally->marked += is_marked ? 1 : 0;
        tally->harmless += is_marked ? 0 : 1;
    } else {
        wrong = wrong != NULL ? wrong : judge_refusal(&t, status, image);
        tally->refused++;
    }
    tally->cases++;
    if (wrong != NULL && tally->bad++ == 0) {
        tap_note("%s byte %u, and %s byte %u, xor %02x: %s: %.150s", names[d->file],
                 (unsigned)d->offset, d->other_file < FILE_COUNT ? names[d->other_file] : "no",
                 (unsigned)d->other_offset, d->pattern, wrong, t.why.text);
    }
    store_release(&t);
    image_damage(image, d);
    fs_memory_free(memory);
}

/* ---- The sweeps ---- */

/* Behind the slots in use of the state file there are only zeros that nobody reads. */
static bool is_padding(const struct image *image, unsigned file, size_t offset)
{
    return file == 2 && offset % SLOT_BYTES >= 32 + get_be32(image->files[2].data + 12);
}

static void sweep_file(struct image *image, unsigned file, const char *how)
{
    static const uint8_t patterns[] = { 0x01, 0x80, 0xff };
    struct tally tally = { 0 };

    for (size_t i = 0; i < image->files[file].size && !(tap_is_first() && tally.bad > 0); i++) {
        for (unsigned p = 0; p < sizeof patterns; p++) {
            struct damage d = { file, i, FILE_COUNT, 0, patterns[p], is_padding(image, file, i) };

            if (d.is_padding && i % 4099 != 0) {
                continue; /* a few of them */
            }

            try_damage(image, &d, &tally);
        }
    }
    tap_result(tally.bad == 0 && tally.cases > 0,
               "%s%s, each byte flipped: %u cases, %u refused, %u marked, %u harmless, %u silent",
               names[file], how, (unsigned)tally.cases, (unsigned)tally.refused,
               (unsigned)tally.marked, (unsigned)tally.harmless, (unsigned)tally.bad);
}

/* Offset of the entry of each index record, and the entry's size. */
static void record_at(const struct image *image, size_t k, size_t *ret_offset, size_t *ret_size)
{
    const uint8_t *record = image->files[1].data + 20 * k;

    *ret_offset = (size_t)get_be64(record + 8);
    *ret_size = get_be32(record + 16);
}

/* The witness and what it witnesses: both bad is damage still, at the end, and at the beginning, by
 * which the index is known to belong to the log. */
static void sweep_pairs(struct image *image, const char *how, size_t stride)
{
    struct tally tally = { 0 };

    for (size_t k = 0; k < image->files[1].size / 20; k++) {
        size_t offset;
        size_t size;

        record_at(image, k, &offset, &size);
        for (size_t i = 0; i < size; i += stride) {
            struct damage d = { 0, offset + i, 1, 20 * k + i % 20, 0x10, false };

            try_damage(image, &d, &tally);
        }
    }
    tap_result(
        tally.bad == 0 && tally.cases > 0,
        "an entry and its record%s, a byte of each flipped: %u cases, %u refused, %u marked, "
        "%u harmless, %u silent",
        how, (unsigned)tally.cases, (unsigned)tally.refused, (unsigned)tally.marked,
        (unsigned)tally.harmless, (unsigned)tally.bad);
}

static void sweep_all(bool is_killed)
{
    char how[64];
    struct image image = { 0 };

    (void)snprintf(how, sizeof how, " after a %s, %s", is_killed ? "kill" : "clean stop",
                   voters > 1 ? "one of three" : "alone");
    if (!image_make(&image, is_killed)) {
        tap_result(false, "a member to damage");
        return;
    }
    for (unsigned i = 0; i < FILE_COUNT; i++) {
        if ((!is_killed && voters == 1) || i < 2 || tap_is_long()) {
            sweep_file(&image, i, how);
        }
    }
    sweep_pairs(&image, how, tap_is_long() ? 1 : 7);
    image_release(&image);
}

int main(void)
{
    sweep_all(false);
    if (!tap_is_first()) {
        sweep_all(true);
        voters = 3;
        sweep_all(false);
        sweep_all(true);
    }
    return tap_end();
}
