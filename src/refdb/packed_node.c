/* SPDX-License-Identifier: Apache-2.0 */
#include "refdb/packed_node.h"

#include "base/assert.h"
#include "base/heap.h"
#include "refdb/varint.h"

#define ENTRY_HEAD_BYTES_MAX (3 * VARINT_BYTES_MAX)

/* ---- Reading ---- */

/* The three numbers that start an entry; returns where its suffix starts. */
static inline const uint8_t *get_head(const uint8_t *p, uint64_t *ret_shared,
                                      uint64_t *ret_suffix_size, uint64_t *ret_value_size)
{
    *ret_shared = p[0];
    *ret_suffix_size = p[1];
    *ret_value_size = p[2];
    if (__builtin_expect(((p[0] | p[1] | p[2]) & 0x80) == 0, 1)) {
        return p + 3;
    }
    p = varint_get(p, ret_shared);
    p = varint_get(p, ret_suffix_size);
    return varint_get(p, ret_value_size);
}

void packed_entry_at(const struct packed_node *node, uint32_t offset, struct packed_entry *ret_e)
{
    ret_e->suffix = get_head(node->bytes + offset, &ret_e->shared, &ret_e->suffix_size,
                             &ret_e->value_size);
    ret_e->value = ret_e->suffix + ret_e->suffix_size;
    ret_e->next = (uint32_t)(ret_e->value + ret_e->value_size - node->bytes);
}

/* Where the key goes on; an empty key has no bytes to point at. */
static inline const uint8_t *rest_of(struct slice key, size_t offset)
{
    return key.size == 0 ? NULL : key.data + offset;
}

static inline size_t common_bytes(const uint8_t *a, const uint8_t *b, size_t size)
{
    size_t i = 0;

    while (i < size && a[i] == b[i]) {
        i++;
    }
    return i;
}

/* The order of an entry and the key, whose first bytes are known to be the same. */
static inline int compare_rest(const uint8_t *suffix, size_t suffix_size, const uint8_t *key,
                               size_t key_size, size_t *ret_same)
{
    size_t shorter = suffix_size < key_size ? suffix_size : key_size;
    size_t same = common_bytes(suffix, key, shorter);

    *ret_same = same;
    if (same < shorter) {
        return suffix[same] < key[same] ? -1 : 1;
    }
    return suffix_size < key_size ? -1 : suffix_size > key_size;
}

/*
 * Each entry differs from the one before behind the bytes it shares with it, on the large
 * side.  So against `matched`, what the one before shares with the key:
 *
 *   shared > matched   it differs from the key where the one before does: smaller too
 *   shared < matched   it differs before that, and is larger
 *   shared = matched   the suffix decides
 */
void packed_find(const struct packed_node *node, struct slice key, struct packed_place *ret_place)
{
    const uint8_t *p = node->bytes, *end = p + node->size, *previous = NULL, *suffix;
    uint64_t shared, suffix_size, value_size;
    size_t matched = 0, same = 0;
    int order = -1;

    while (p < end) {
        suffix = get_head(p, &shared, &suffix_size, &value_size);
        if (shared == matched) {
            order = compare_rest(suffix, suffix_size, rest_of(key, matched), key.size - matched,
                                 &same);
            if (order >= 0) {
                break;
            }
            matched += same;
            same = 0;
        } else if (shared < matched) {
            break;
        }
        previous = p;
        p = suffix + suffix_size + value_size;
    }
    ret_place->offset = (uint32_t)(p - node->bytes);
    ret_place->previous = previous == NULL ? PACKED_NONE : (uint32_t)(previous - node->bytes);
    ret_place->matched = (uint32_t)matched;
    ret_place->ahead = (uint32_t)same;
    ret_place->is_equal = order == 0;
}

uint32_t packed_child_for(const struct packed_node *node, struct slice key)
{
    struct packed_place place;

    packed_find(node, key, &place);
    if (place.is_equal) {
        return place.offset;
    }
    return place.previous == PACKED_NONE ? 0 : place.previous;
}

/* ---- Memory ---- */

/* The capacity whose block fills the allocator's 16-byte steps exactly. */
static uint32_t rounded(size_t size)
{
    return (uint32_t)((size + 7) / 16 * 16 + 8);
}

static size_t block_size(const struct packed_node *node)
{
    return sizeof *node + node->capacity;
}

struct packed_node *packed_new(struct node_pool *pool, bool is_inner, uint32_t capacity)
{
    struct packed_node *node = node_pool_alloc(pool, sizeof *node + rounded(capacity));

    node->generation = pool->generation;
    node->count = 0;
    node->is_inner = is_inner;
    node->size = 0;
    node->capacity = rounded(capacity);
    return node;
}

struct packed_node *packed_copy(struct node_pool *pool, const struct packed_node *node)
{
    struct packed_node *copy = packed_new(pool, node->is_inner, node->size);

    copy->count = node->count;
    copy->size = node->size;
    memcpy(copy->bytes, node->bytes, node->size);
    return copy;
}

void packed_discard(struct node_pool *pool, struct packed_node *node)
{
    node_pool_discard(pool, node, block_size(node));
}

static struct packed_node *resize(struct node_pool *pool, struct packed_node *node,
                                  uint32_t capacity)
{
    node = node_pool_resize(pool, node, block_size(node), sizeof *node + capacity);
    node->capacity = capacity;
    return node;
}

struct packed_node *packed_trim(struct node_pool *pool, struct packed_node *node)
{
    uint32_t capacity = rounded(node->size);

    return capacity < node->capacity ? resize(pool, node, capacity) : node;
}

/* Replaces `remove` bytes at `offset` by a gap of `insert` bytes. */
static struct packed_node *splice(struct node_pool *pool, struct packed_node *node, size_t offset,
                                  size_t remove, size_t insert)
{
    size_t size = node->size - remove + insert;
    size_t tail = node->size - offset - remove;

    INVARIANT(size < UINT32_MAX / 2);
    if (size > node->capacity) {
        node = resize(pool, node, rounded(size + size / 16));
    }
    if (tail > 0 && remove != insert) {
        memmove(node->bytes + offset + insert, node->bytes + offset + remove, tail);
    }
    node->size = (uint32_t)size;
    return node;
}

/* ---- Changes ---- */

static size_t put_head(uint8_t *p, uint64_t shared, uint64_t suffix_size, uint64_t value_size)
{
    uint8_t *end = varint_put(p, shared);

    end = varint_put(end, suffix_size);
    return (size_t)(varint_put(end, value_size) - p);
}

static uint8_t *put(uint8_t *p, const void *data, size_t size)
{
    if (size > 0) {
        memcpy(p, data, size);
    }
    return p + size;
}

struct packed_node *packed_insert(struct node_pool *pool, struct packed_node *node,
                                  const struct packed_place *place, struct slice key,
                                  struct slice value)
{
    uint8_t head[ENTRY_HEAD_BYTES_MAX], next_head[ENTRY_HEAD_BYTES_MAX];
    size_t suffix_size = key.size - place->matched;
    size_t head_size = put_head(head, place->matched, suffix_size, value.size);
    size_t next_head_size = 0, remove = 0;
    struct packed_entry next;
    uint8_t *p;

    PRE(!place->is_equal && key.size <= MAP_KEY_BYTES_MAX && node->count < UINT16_MAX);
    if (place->ahead > 0) { /* the entry after shares more with the new one than before */
        packed_entry_at(node, place->offset, &next);
        next_head_size = put_head(next_head, next.shared + place->ahead,
                                  next.suffix_size - place->ahead, next.value_size);
        remove = (size_t)(next.suffix - (node->bytes + place->offset)) + place->ahead;
    }
    node = splice(pool, node, place->offset, remove,
                  head_size + suffix_size + value.size + next_head_size);
    p = put(node->bytes + place->offset, head, head_size);
    p = put(p, rest_of(key, place->matched), suffix_size);
    p = put(p, value.data, value.size);
    put(p, next_head, next_head_size);
    node->count++;
    return node;
}

struct packed_node *packed_set_value(struct node_pool *pool, struct packed_node *node,
                                     uint32_t offset, struct slice value)
{
    uint8_t head[ENTRY_HEAD_BYTES_MAX], suffix[MAP_KEY_BYTES_MAX];
    struct packed_entry e;
    size_t head_size;
    uint8_t *p;

    packed_entry_at(node, offset, &e);
    if (e.value_size == value.size) {
        put(node->bytes + (e.value - node->bytes), value.data, value.size);
        return node;
    }
    head_size = put_head(head, e.shared, e.suffix_size, value.size);
    put(suffix, e.suffix, e.suffix_size);
    node = splice(pool, node, offset, e.next - offset, head_size + e.suffix_size + value.size);
    p = put(node->bytes + offset, head, head_size);
    p = put(p, suffix, e.suffix_size);
    put(p, value.data, value.size);
    return node;
}

void packed_set_child(struct packed_node *node, uint32_t offset, struct packed_node *child)
{
    struct packed_entry e;

    packed_entry_at(node, offset, &e);
    memcpy(node->bytes + (e.value - node->bytes), &child, sizeof child);
}

struct packed_node *packed_remove(struct node_pool *pool, struct packed_node *node, uint32_t offset)
{
    uint8_t lead[ENTRY_HEAD_BYTES_MAX + MAP_KEY_BYTES_MAX];
    size_t lead_size = 0, remove;
    struct packed_entry e, next;

    packed_entry_at(node, offset, &e);
    remove = e.next - offset;
    if (e.next < node->size) {
        packed_entry_at(node, e.next, &next);
        if (next.shared > e.shared) { /* it needs what it shared with the removed one only */
            size_t inherited = next.shared - e.shared;

            lead_size = put_head(lead, e.shared, inherited + next.suffix_size, next.value_size);
            put(lead + lead_size, e.suffix, inherited);
            lead_size += inherited;
            remove = (size_t)(next.suffix - node->bytes) - offset;
        }
    }
    node = splice(pool, node, offset, remove, lead_size);
    put(node->bytes + offset, lead, lead_size);
    node->count--;
    return node;
}

struct packed_node *packed_append(struct node_pool *pool, struct packed_node *node,
                                  struct slice last, struct slice key, struct slice value)
{
    struct packed_place place = { node->size, PACKED_NONE, 0, 0, false };

    if (node->count > 0) {
        size_t shorter = last.size < key.size ? last.size : key.size;

        place.matched = (uint32_t)common_bytes(last.data, key.data, shorter);
    }
    return packed_insert(pool, node, &place, key, value);
}

/* ---- Splitting and merging ---- */

/* Walks to `slot`, keeping the key; `key` (MAP_KEY_BYTES_MAX) gets that of the entry there. */
static uint32_t walk_to(const struct packed_node *node, unsigned slot, uint8_t *key,
                        struct packed_entry *ret_e)
{
    uint32_t offset = 0;

    for (unsigned i = 0;; i++) {
        packed_entry_at(node, offset, ret_e);
        put(key + ret_e->shared, ret_e->suffix, ret_e->suffix_size);
        if (i == slot) {
            return offset;
        }
        offset = ret_e->next;
    }
}

unsigned packed_middle(const struct packed_node *node, unsigned margin)
{
    struct packed_entry e;
    uint32_t offset = 0;
    unsigned slot = 0;

    while (slot + margin < node->count) {
        if (slot >= margin && offset >= node->size / 2) {
            return slot;
        }
        packed_entry_at(node, offset, &e);
        offset = e.next;
        slot++;
    }
    return node->count - margin;
}

size_t packed_key_at(const struct packed_node *node, uint32_t offset, uint8_t *ret_key)
{
    struct packed_entry e;
    uint32_t at = 0;

    for (;; at = e.next) {
        packed_entry_at(node, at, &e);
        put(ret_key + e.shared, e.suffix, e.suffix_size);
        if (at == offset) {
            return e.shared + e.suffix_size;
        }
    }
}

/* Appends the entries of `from` from `offset` on, as they are stored. */
static struct packed_node *append_rest(struct node_pool *pool, struct packed_node *node,
                                       const struct packed_node *from, uint32_t offset,
                                       unsigned count)
{
    uint32_t end = node->size, size = from->size - offset;

    if (size > 0) {
        node = splice(pool, node, end, 0, size);
        memcpy(node->bytes + end, from->bytes + offset, size);
        node->count = (uint16_t)(node->count + count);
    }
    return node;
}

struct packed_node *packed_split(struct node_pool *pool, struct packed_node **node, unsigned slot,
                                 uint8_t *ret_separator, size_t *ret_separator_size)
{
    struct packed_node *left = *node, *right;
    uint8_t key[MAP_KEY_BYTES_MAX];
    struct packed_entry e, next;
    uint32_t offset, rest;
    unsigned moved = 1;

    PRE(slot > 0 && slot < left->count);
    offset = walk_to(left, slot, ret_separator, &e);
    rest = e.next;
    *ret_separator_size = e.shared + e.suffix_size;
    right = packed_new(pool, left->is_inner, left->size - offset);
    right = packed_append(pool, right, SLICE_NONE,
                          left->is_inner ? SLICE_NONE
                                         : slice_of(ret_separator, *ret_separator_size),
                          slice_of(e.value, e.value_size));
    if (left->is_inner && rest < left->size) { /* nothing is shared with an empty key */
        packed_entry_at(left, rest, &next);
        put(key, ret_separator, next.shared);
        put(key + next.shared, next.suffix, next.suffix_size);
        right = packed_append(pool, right, SLICE_NONE,
                              slice_of(key, next.shared + next.suffix_size),
                              slice_of(next.value, next.value_size));
        rest = next.next;
        moved++;
    }
    right = append_rest(pool, right, left, rest, left->count - slot - moved);
    left->size = offset;
    left->count = (uint16_t)slot;
    if (!left->is_inner) {
        *ret_separator_size = (size_t)e.shared + 1;
    }
    *node = packed_trim(pool, left);
    return packed_trim(pool, right);
}

struct packed_node *packed_merge(struct node_pool *pool, struct packed_node *left,
                                 struct packed_node *right, struct slice separator)
{
    uint8_t last[MAP_KEY_BYTES_MAX];
    struct packed_entry e, first, next;
    struct slice key;
    uint32_t rest;
    unsigned moved = 1;

    PRE(left->count > 0 && right->count > 0);
    walk_to(left, left->count - 1U, last, &e);
    packed_entry_at(right, 0, &first);
    rest = first.next;
    key = left->is_inner ? separator : slice_of(first.suffix, first.suffix_size);
    left = packed_append(pool, left, slice_of(last, e.shared + e.suffix_size), key,
                         slice_of(first.value, first.value_size));
    if (left->is_inner && rest < right->size) { /* it shared nothing with the empty key */
        packed_entry_at(right, rest, &next);
        left = packed_append(pool, left, key, slice_of(next.suffix, next.suffix_size),
                             slice_of(next.value, next.value_size));
        rest = next.next;
        moved++;
    }
    left = append_rest(pool, left, right, rest, right->count - moved);
    packed_discard(pool, right);
    return left;
}
