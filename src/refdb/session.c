/* SPDX-License-Identifier: Apache-2.0 */
#include "refdb/session.h"

#include "base/assert.h"

#define RESULT_KEY_BYTES 16

static const struct digest SESSION_SEED = { 0x73657373696f6e2dULL, 0x7265636f72642d2dULL };
static const struct digest RESULT_SEED = { 0x73657373696f6e2dULL, 0x726573756c742d2dULL };

/* ---- Records ---- */

struct digest session_digest(uint64_t id, struct slice record)
{
    return digest_bytes(digest_words(SESSION_SEED, id, 0), record);
}

struct digest session_result_digest(struct slice key, struct slice bytes)
{
    return digest_bytes(digest_bytes(RESULT_SEED, key), bytes);
}

void session_record_decode(const uint8_t record[SESSION_RECORD_BYTES], struct session *ret_s)
{
    ret_s->last_index = get_be64(record);
    ret_s->last_ms = get_be64(record + 8);
    ret_s->floor = get_be64(record + 16);
    ret_s->result_count = get_be64(record + 24);
    ret_s->result_bytes = get_be64(record + 32);
}

static struct slice record_encode(const struct session *s, uint8_t record[SESSION_RECORD_BYTES])
{
    put_be64(record, s->last_index);
    put_be64(record + 8, s->last_ms);
    put_be64(record + 16, s->floor);
    put_be64(record + 24, s->result_count);
    put_be64(record + 32, s->result_bytes);
    return slice_of(record, SESSION_RECORD_BYTES);
}

bool session_find(const struct state_maps *maps, uint64_t id, struct session *ret_s)
{
    struct slice value;
    uint8_t key[8];

    if (!map_find(&maps->sessions, key_of_u64(id, key), &value)) {
        return false;
    }
    INVARIANT(value.size == SESSION_RECORD_BYTES);
    session_record_decode(value.data, ret_s);
    return true;
}

static struct slice order_key(uint64_t id, const struct session *s, uint8_t key[16])
{
    put_be64(key, s->last_index);
    put_be64(key + 8, id);
    return slice_of(key, 16);
}

static void forget_record(struct refdb *db, uint64_t id, const struct session *s)
{
    uint8_t key[16], record[SESSION_RECORD_BYTES];

    digest_subtract(&db->at.sum, session_digest(id, record_encode(s, record)));
    map_remove(&db->index_pool, &db->indexes.session_order, order_key(id, s, key));
}

void session_put(struct refdb *db, uint64_t id, const struct session *s)
{
    uint8_t key[16], record[SESSION_RECORD_BYTES];
    struct session old;
    struct slice bytes;

    if (!session_find(&db->maps, id, &old)) {
        map_put(&db->index_pool, &db->indexes.session_order, order_key(id, s, key), SLICE_NONE);
    } else if (old.last_index != s->last_index) {
        forget_record(db, id, &old);
        map_put(&db->index_pool, &db->indexes.session_order, order_key(id, s, key), SLICE_NONE);
    } else {
        digest_subtract(&db->at.sum, session_digest(id, record_encode(&old, record)));
    }
    bytes = record_encode(s, record);
    digest_add(&db->at.sum, session_digest(id, bytes));
    map_put(&db->pool, &db->maps.sessions, key_of_u64(id, key), bytes);
}

/* ---- Results ---- */

static struct slice result_key(uint64_t id, uint64_t sequence, uint8_t key[RESULT_KEY_BYTES])
{
    put_be64(key, id);
    put_be64(key + 8, sequence);
    return slice_of(key, RESULT_KEY_BYTES);
}

/* Removes the session's kept result with the lowest sequence; false when it is >= `below`. */
static bool drop_lowest(struct refdb *db, uint64_t id, struct session *s, uint64_t below,
                        uint64_t *ret_sequence)
{
    uint8_t key_bytes[RESULT_KEY_BYTES];
    struct map_cursor cursor;
    struct slice key, value;

    if (s->result_count == 0) {
        return false;
    }
    map_seek(&db->maps.session_results, result_key(id, 0, key_bytes), &cursor);
    if (!map_next(&cursor, &key, &value) || get_be64(key.data) != id ||
        get_be64(key.data + 8) >= below) {
        return false;
    }
    memcpy(key_bytes, key.data, sizeof key_bytes);
    digest_subtract(&db->at.sum, session_result_digest(key, value));
    s->result_count--;
    s->result_bytes -= value.size;
    db->session_bytes -= value.size;
    *ret_sequence = get_be64(key_bytes + 8);
    map_remove(&db->pool, &db->maps.session_results, slice_of(key_bytes, sizeof key_bytes));
    return true;
}

static void session_remove(struct refdb *db, uint64_t id)
{
    struct session s;
    uint64_t sequence;
    uint8_t key[8];

    if (!session_find(&db->maps, id, &s)) {
        return;
    }
    forget_record(db, id, &s);
    while (drop_lowest(db, id, &s, UINT64_MAX, &sequence)) {
        continue;
    }
    map_remove(&db->pool, &db->maps.sessions, key_of_u64(id, key));
}

/* ---- Coming and going ---- */

static bool find_idle_longest(const struct refdb *db, uint64_t *ret_id)
{
    struct map_cursor cursor;
    struct slice key, value;

    if (!map_first(&db->indexes.session_order, &cursor, &key, &value)) {
        return false;
    }
    *ret_id = get_be64(key.data + 8);
    return true;
}

static bool is_expired(const struct refdb *db, const struct session *s)
{
    return db->at.cluster_ms > s->last_ms && db->at.cluster_ms - s->last_ms >= SESSION_IDLE_MS;
}

void session_open(struct refdb *db, raft_index index)
{
    struct session s = { .last_index = index, .last_ms = db->at.cluster_ms };
    uint64_t oldest;

    while (db->maps.sessions.count >= SESSIONS_MAX && find_idle_longest(db, &oldest)) {
        session_remove(db, oldest);
    }
    session_put(db, index, &s);
}

void session_advance_clock(struct refdb *db, int64_t cluster_ms)
{
    uint64_t now = cluster_ms < 0 ? 0 : (uint64_t)cluster_ms;
    bool is_another_second = now > db->at.cluster_ms && now / 1024 != db->at.cluster_ms / 1024;
    struct session s;
    uint64_t oldest;

    if (now <= db->at.cluster_ms) {
        return;
    }
    db->at.cluster_ms = now;
    if (!is_another_second) {
        return;
    }
    for (unsigned i = 0; i < SESSIONS_EXPIRED_PER_ENTRY && find_idle_longest(db, &oldest); i++) {
        if (!session_find(&db->maps, oldest, &s) || !is_expired(db, &s)) {
            return;
        }
        session_remove(db, oldest);
    }
}

/* ---- Writes ---- */

enum session_verdict session_check(struct refdb *db, const struct envelope *e, raft_index index)
{
    uint8_t key[RESULT_KEY_BYTES];
    struct session s;
    struct slice kept;
    uint64_t dropped;
    bool is_good;

    if (!session_find(&db->maps, e->session, &s) || is_expired(db, &s) || e->sequence < s.floor ||
        e->sequence < e->lowest_unanswered || e->sequence == UINT64_MAX) { /* no floor above it */
        return SESSION_EXPIRED;
    }
    s.last_index = index;
    s.last_ms = db->at.cluster_ms;
    if (e->lowest_unanswered > s.floor) {
        s.floor = e->lowest_unanswered;
        while (drop_lowest(db, e->session, &s, s.floor, &dropped)) {
            continue;
        }
    }
    session_put(db, e->session, &s);
    if (!map_find(&db->maps.session_results, result_key(e->session, e->sequence, key), &kept)) {
        return SESSION_EXECUTE;
    }
    is_good = result_decode(kept, &db->results);
    INVARIANT(is_good);
    return SESSION_REPLAY;
}

void session_keep_result(struct refdb *db, const struct envelope *e, raft_index index)
{
    uint8_t key_bytes[RESULT_KEY_BYTES];
    struct slice key = result_key(e->session, e->sequence, key_bytes), bytes;
    struct session s;
    uint64_t dropped, oldest;

    if (!session_find(&db->maps, e->session, &s)) {
        return; /* it opened so many sessions that its own had to go */
    }
    buffer_clear(&db->scratch);
    result_encode(&db->scratch, &db->results, index);
    bytes = buffer_slice(&db->scratch);
    map_put(&db->pool, &db->maps.session_results, key, bytes);
    digest_add(&db->at.sum, session_result_digest(key, bytes));
    s.result_count++;
    s.result_bytes += bytes.size;
    db->session_bytes += bytes.size;
    while ((s.result_count > SESSION_WINDOW_MAX || s.result_bytes > SESSION_BYTES_MAX) &&
           s.result_count > 1 && drop_lowest(db, e->session, &s, UINT64_MAX, &dropped)) {
        s.floor = dropped + 1;
    }
    session_put(db, e->session, &s);
    while (db->session_bytes > SESSIONS_BYTES_MAX && find_idle_longest(db, &oldest) &&
           oldest != e->session) {
        session_remove(db, oldest);
    }
}
