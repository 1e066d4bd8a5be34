/* SPDX-License-Identifier: Apache-2.0 */
#include "base/teeth.h"

#ifdef RK_TEETH

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const struct {
    const char *name;
    const char *text;
} teeth[TOOTH_COUNT] = {
    { "NONE", "nothing" },
#define TOOTH_ROW(NAME, text) { #NAME, text },
    TEETH_LIST(TOOTH_ROW)
#undef TOOTH_ROW
};
/* clang-format on */

enum tooth tooth_biting;

const char *tooth_name(enum tooth tooth)
{
    return teeth[tooth].name;
}

const char *tooth_text(enum tooth tooth)
{
    return teeth[tooth].text;
}

enum tooth tooth_find(const char *name)
{
    size_t i = 0;

    while (i < TOOTH_COUNT && strcmp(teeth[i].name, name) != 0) {
        i++;
    }
    return (enum tooth)i;
}

/* Programs choose theirs by the environment: a daemon has no other way to be told. */
__attribute__((constructor)) static void choose(void)
{
    const char *name = getenv("RK_TOOTH");

    if (name == NULL) {
        return;
    }
    tooth_biting = tooth_find(name);
    if (tooth_biting == TOOTH_COUNT) {
        fprintf(stderr, "RK_TOOTH=%s: no such tooth (src/base/teeth.h)\n", name);
        exit(2);
    }
}

#endif
