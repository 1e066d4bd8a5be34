/* SPDX-License-Identifier: Apache-2.0 */
#include "support/golden.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

static int hex_value(int c)
{
    return isdigit(c) ? c - '0' : tolower(c) - 'a' + 10;
}

/* The next character that is neither blank nor in a comment; EOF at the end. */
static int next_character(FILE *file)
{
    bool is_comment = false;
    int c;

    while ((c = fgetc(file)) != EOF) {
        is_comment = c == '#' || (is_comment && c != '\n');
        if (!is_comment && !isspace(c)) {
            break;
        }
    }
    return c;
}

/* -1 at the end of the file or on anything else. */
static int next_digit(FILE *file)
{
    int c = next_character(file);

    return isxdigit(c) ? hex_value(c) : -1;
}

void golden_load(struct buffer *out, const char *name)
{
    const char *root = getenv("RK_SRCDIR") != NULL ? getenv("RK_SRCDIR") : "..";
    char path[512];
    FILE *file;
    int high, low = 0;

    snprintf(path, sizeof path, "%s/tests/golden/%s.hex", root, name);
    file = fopen(path, "r");
    if (file == NULL) {
        fail_msg("cannot open %s", path);
    }
    while ((high = next_digit(file)) >= 0 && (low = next_digit(file)) >= 0) {
        buffer_put_u8(out, (uint8_t)(high << 4 | low));
    }
    if (!feof(file) || low < 0) {
        fail_msg("%s: not hex", path);
    }
    (void)fclose(file);
}

static void show(const char *what, struct slice bytes)
{
    printf("# %s ", what);
    for (size_t i = 0; i < bytes.size; i++) {
        printf("%02x", bytes.data[i]);
    }
    printf("\n");
}

void golden_expect(const char *name, struct slice bytes)
{
    struct buffer golden = BUFFER_INIT;

    golden_load(&golden, name);
    if (!slice_equal(buffer_slice(&golden), bytes)) {
        show("golden", buffer_slice(&golden));
        show("encoded", bytes);
        fail_msg("%s differs", name);
    }
    buffer_release(&golden);
}
