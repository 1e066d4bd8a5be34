/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of all families in one list, found by name through a small hash table. */
#include "base/assert.h"
#include "server/request.h"

#define SLOTS 256 /* a power of two, at least four times the rows */

_Static_assert(SLOTS >= 4 * REQUEST_TYPES_MAX, "probes stay short");

static const struct request_type *types[REQUEST_TYPES_MAX];
static unsigned type_count;
static uint8_t slots[SLOTS]; /* number of the row + 1; 0 = free */

static unsigned hash_name(struct slice name)
{
    uint32_t hash = 2166136261U;

    for (size_t i = 0; i < name.size; i++) {
        hash = (hash ^ (name.data[i] & 0xdfU)) * 16777619U;
    }
    return (hash ^ hash >> 16) % SLOTS;
}

static void add_row(const struct request_type *type)
{
    unsigned slot = hash_name(slice_of_text(type->name));

    INVARIANT(type_count < REQUEST_TYPES_MAX);
    while (slots[slot] != 0) {
        slot = (slot + 1) % SLOTS;
    }
    types[type_count++] = type;
    slots[slot] = (uint8_t)type_count;
}

static void build(void)
{
    static const struct request_type *const families[] = {
        requests_ref,      requests_repo,    requests_storage, requests_route,  requests_replica,
        requests_settings, requests_cluster, requests_member,  requests_events, requests_connect,
    };

    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        for (const struct request_type *type = families[i]; type->name != NULL; type++) {
            add_row(type);
        }
    }
}

const struct request_type *request_type_at(unsigned i)
{
    if (type_count == 0) {
        build();
    }
    return i < type_count ? types[i] : NULL;
}

const struct request_type *request_type_find(struct slice name)
{
    if (type_count == 0) {
        build();
    }
    for (unsigned slot = hash_name(name); slots[slot] != 0; slot = (slot + 1) % SLOTS) {
        const struct request_type *type = types[slots[slot] - 1];

        if (word_is(name, type->name)) {
            return type;
        }
    }
    return NULL;
}

unsigned request_type_number(const struct request_type *type)
{
    for (unsigned slot = hash_name(slice_of_text(type->name)); slots[slot] != 0;
         slot = (slot + 1) % SLOTS) {
        if (types[slots[slot] - 1] == type) {
            return slots[slot] - 1U;
        }
    }
    INVARIANT(type_count == 0);
    return 0;
}

void request_encode_envelope(const struct request *r, const struct command *command,
                             struct buffer *out)
{
    struct buffer inner = BUFFER_INIT;

    command_encode_plain(&inner, command);
    command_encode_envelope(out, &r->envelope, buffer_slice(&inner));
    buffer_release(&inner);
}
