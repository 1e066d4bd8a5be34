/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The side of seed_codec.py that is storage.
 *
 *   log_listing new DIR TERM    makes a member with an empty log and that term
 *   log_listing fill DIR N      makes one with N entries
 *   log_listing list DIR        opens it, and lists the entries
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/store.h"

static bool print_entry(void *context, const struct entry *entry, uint64_t offset)
{
    const uint8_t *crc = entry->command.data - 8;

    (void)context;
    (void)offset;
    printf("%" PRIu64 " %" PRIu64 " %zu %08x\n", entry->index, entry->term, entry->command.size,
           get_be32(crc));
    return true;
}

static enum rk_status run(struct store *t, const char *verb, uint64_t number)
{
    enum rk_status status = store_open(t);

    if (status == RK_OK && strcmp(verb, "new") == 0) {
        status = store_set_term(t, number, 1);
    }
    for (uint64_t i = 0; status == RK_OK && strcmp(verb, "fill") == 0 && i < number; i++) {
        status = store_append_sync(t, 1 + i / 100, 1, i % 97);
    }
    if (status == RK_OK && strcmp(verb, "list") == 0) {
        status = storage_walk(t->s, 1, print_entry, NULL, &t->why);
    }
    return status;
}

int main(int argc, char **argv)
{
    struct store t = STORE_INIT(fs_posix(), argc > 2 ? argv[2] : "");
    enum rk_status status;

    if (argc < 3) {
        return 2;
    }
    status = run(&t, argv[1], argc > 3 ? strtoull(argv[3], NULL, 10) : 0);
    if (status != RK_OK) {
        fprintf(stderr, "%s: %s\n", rk_status_word(status), t.why.text);
    }
    store_release(&t);
    return status == RK_OK ? 0 : 1;
}
