/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a batch costs on this disk, by the way the space for it is taken.
 *
 *   disk [DIR]      appended, allocated ahead, zeros written ahead; 256 B, 4 KiB, 64 KiB
 *
 * The ways are interleaved: figures of a shared disk are only to be compared within a run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/limits.h"
#include "sys/clock.h"
#include "sys/fs.h"

enum { ROUNDS = 400, SPACE_BYTES = 32 * MIB };

enum way { WAY_APPEND, WAY_ALLOCATE, WAY_ZEROS, WAY_COUNT };

static const char *const way_names[WAY_COUNT] = { "appended", "allocated", "zeros" };

struct file {
    fs_handle handle;
    uint64_t offset;
    int64_t took_us[ROUNDS];
};

static void must(int error, const char *what)
{
    if (error != 0) {
        fprintf(stderr, "%s: %s\n", what, strerror(error));
        exit(1);
    }
}

static void prepare(struct fs *fs, fs_handle dir, enum way way, struct file *file)
{
    file->offset = 0;
    must(fs->ops->open(fs, dir, way_names[way], FS_WRITE | FS_CREATE | FS_TRUNC, &file->handle),
         "open");
    if (way == WAY_ALLOCATE) {
        must(fs->ops->allocate(fs, file->handle, 0, SPACE_BYTES), "allocate");
    }
    if (way == WAY_ZEROS) {
        uint8_t *zeros = heap_zalloc(SPACE_BYTES);

        must(fs->ops->write(fs, file->handle, 0, zeros, SPACE_BYTES), "write");
        heap_free(zeros);
    }
    must(fs->ops->datasync(fs, file->handle), "sync");
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void measure(struct fs *fs, fs_handle dir, size_t size)
{
    struct file *files = heap_zalloc(WAY_COUNT * sizeof *files);
    uint8_t *data = heap_alloc(size);

    memset(data, 7, size);
    for (unsigned way = 0; way < WAY_COUNT; way++) {
        prepare(fs, dir, (enum way)way, &files[way]);
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        for (unsigned way = 0; way < WAY_COUNT; way++) {
            struct file *file = &files[way];
            int64_t start_us = clock_monotonic_us();

            must(fs->ops->write(fs, file->handle, file->offset, data, size), "write");
            must(fs->ops->datasync(fs, file->handle), "sync");
            file->took_us[i] = clock_monotonic_us() - start_us;
            file->offset += size;
        }
    }
    for (unsigned way = 0; way < WAY_COUNT; way++) {
        qsort(files[way].took_us, ROUNDS, sizeof files[way].took_us[0], compare);
        printf("%6zu B %-10s p50 %5lld us  p90 %5lld us  p99 %5lld us\n", size, way_names[way],
               (long long)files[way].took_us[ROUNDS / 2],
               (long long)files[way].took_us[ROUNDS * 9 / 10],
               (long long)files[way].took_us[ROUNDS * 99 / 100]);
        fs->ops->close(fs, files[way].handle);
        must(fs->ops->unlink(fs, dir, way_names[way]), "unlink");
    }
    heap_free(data);
    heap_free(files);
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = { 256, 4 * KIB, 64 * KIB };
    struct fs *fs = fs_posix();
    fs_handle dir;

    must(fs->ops->open_dir(fs, argc > 1 ? argv[1] : "refkeeper-bench-disk", true, &dir),
         "open directory");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        measure(fs, dir, sizes[i]);
    }
    fs->ops->close(fs, dir);
    return 0;
}
