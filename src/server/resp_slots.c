/* SPDX-License-Identifier: Apache-2.0 */
/* Slots of requests in progress: taken from free lists, so that steady load allocates nothing. */
#include "base/heap.h"
#include "server/resp_connection.h"
#include "server/server_internal.h"

#define FREE_READS_MAX 4096
#define HELD_BYTES_KEPT 256

struct write_slot *write_slot_new(struct server *s)
{
    struct write_slot *w = s->free_writes;

    if (w == NULL) {
        w = heap_new(struct write_slot);
        w->server = s;
    } else {
        s->free_writes = w->next;
    }
    w->next = NULL;
    w->is_answered = false;
    return w;
}

void write_slot_free(struct write_slot *w)
{
    if (w->held.capacity > HELD_BYTES_KEPT) {
        buffer_release(&w->held);
    }
    buffer_clear(&w->held);
    w->connection = NULL;
    w->next = w->server->free_writes;
    w->server->free_writes = w;
}

/* Where in struct request slices are. */
static void rebase(struct slice *s, struct slice from, uint8_t *to)
{
    if (s->data >= from.data && s->data <= from.data + from.size && s->data != NULL) {
        s->data = to + (s->data - from.data);
    }
}

static void rebase_request(struct request *r, struct slice from, uint8_t *to)
{
    struct slice *slices[] = {
        &r->path,           &r->refname,
        &r->old_text,       &r->new_text,
        &r->storage,        &r->to,
        &r->reason,         &r->prefix,
        &r->after,          &r->head,
        &r->http_address,   &r->ssh_address,
        &r->zone,           &r->envelope.storage,
        &r->envelope.actor, &r->envelope.reason,
    };

    for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) {
        rebase(slices[i], from, to);
    }
}

struct read_slot *read_slot_new(struct server *s, const struct request *r, struct slice raw)
{
    struct read_slot *slot = s->free_reads;
    uint8_t *bytes;

    if (slot == NULL) {
        slot = heap_new(struct read_slot);
    } else {
        s->free_reads = slot->next;
        s->free_read_count--;
    }
    slot->next = NULL;
    bytes = slot->bytes;
    if (raw.size > READ_SLOT_BYTES) {
        slot->more = heap_alloc(raw.size);
        bytes = slot->more;
    }
    memcpy(bytes, raw.data, raw.size);
    slot->request = *r;
    rebase_request(&slot->request, raw, bytes);
    if (r->item_count > 0) {
        slot->items = heap_copy(r->items, r->item_count * sizeof *r->items);
        for (uint32_t i = 0; i < r->item_count; i++) {
            rebase(&slot->items[i], raw, bytes);
        }
        slot->request.items = slot->items;
    }
    return slot;
}

void read_slot_free(struct server *s, struct read_slot *slot)
{
    heap_free(slot->more);
    heap_free(slot->items);
    if (s->free_read_count == FREE_READS_MAX) {
        heap_free(slot);
        return;
    }
    slot->more = NULL;
    slot->items = NULL;
    slot->next = s->free_reads;
    s->free_reads = slot;
    s->free_read_count++;
}

struct read_group *read_group_new(struct server *s)
{
    struct read_group *g = s->free_groups;

    if (g == NULL) {
        g = heap_new(struct read_group);
    } else {
        s->free_groups = g->next_free;
    }
    *g = (struct read_group){ .server = s };
    return g;
}

void read_group_free(struct read_group *g)
{
    while (g->first != NULL) {
        struct read_slot *slot = g->first;

        g->first = slot->next;
        read_slot_free(g->server, slot);
    }
    g->next_free = g->server->free_groups;
    g->server->free_groups = g;
}

void resp_release_pools(struct server *s)
{
    while (s->free_writes != NULL) {
        struct write_slot *w = s->free_writes;

        s->free_writes = w->next;
        buffer_release(&w->held);
        heap_free(w);
    }
    while (s->free_reads != NULL) {
        struct read_slot *slot = s->free_reads;

        s->free_reads = slot->next;
        heap_free(slot);
    }
    while (s->free_groups != NULL) {
        struct read_group *g = s->free_groups;

        s->free_groups = g->next_free;
        heap_free(g);
    }
}
