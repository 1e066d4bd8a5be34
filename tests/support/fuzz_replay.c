/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main() of a fuzz target in a build without libFuzzer: gives it each file named on the command
 * line, so that every input that once broke something is tried by make check.
 *
 * Each file is named on stderr before it is run: after a crash the last name is the culprit.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads the whole file into memory of exactly its size, so that ASan sees a read past its end. */
static uint8_t *read_file(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    long size;

    if (file == NULL)
        return NULL;
    if (fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0)
        goto out;
    rewind(file);
    data = malloc(size > 0 ? (size_t)size : 1);
    if (data == NULL)
        goto out;
    if (fread(data, 1, (size_t)size, file) != (size_t)size) {
        free(data);
        data = NULL;
        goto out;
    }
    *ret_size = (size_t)size;
out:
    (void)fclose(file);
    return data;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        size_t size = 0;
        uint8_t *data = read_file(argv[i], &size);

        if (data == NULL) {
            perror(argv[i]);
            return 1;
        }
        fprintf(stderr, "%s\n", argv[i]);
        LLVMFuzzerTestOneInput(data, size);
        free(data);
    }
    return 0;
}
