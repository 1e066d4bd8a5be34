/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loaded into a real refkeeperd by LD_PRELOAD: stops it at one of the calls that change files, lets
 * one fail, or lies about syncs.  RK_SHIM says what, RK_SHIM_COUNTER names a file whose first 8
 * bytes count the calls.
 *
 *   count                 only counts
 *   before:K, after:K     kill -9 before or after the K-th call that changes files
 *   torn:K:Q              in the middle: Q quarters of a write are done
 *   eio:K                 the K-th call returns EIO and does nothing
 *   nosync                fsync and fdatasync do nothing
 *   nomem:K               the K-th allocation of the program itself fails; libraries get theirs
 *   countmem              counts these allocations
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHIM __attribute__((visibility("default")))

enum mode { OFF, COUNT, BEFORE, AFTER, TORN, FAIL, NOSYNC, NOMEM, COUNTMEM };

static enum mode mode;
static uint64_t at;
static unsigned quarters;
static _Atomic uint64_t here; /* when there is no file to count in */
static _Atomic uint64_t *counter = &here;

/* Where the code of the program lies. */
static uintptr_t program_start;
static uintptr_t program_size;

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static void *next(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);

    if (function == NULL) {
        abort();
    }
    return function;
}

/* The program comes first; its segments are one range of addresses. */
static int find_program(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    (void)context;
    program_start = info->dlpi_addr;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t end = info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;

        if (info->dlpi_phdr[i].p_type == PT_LOAD && end > program_size) {
            program_size = end;
        }
    }
    return 1;
}

__attribute__((constructor)) static void choose(void)
{
    static const char *const names[] = { "",    "count",  "before", "after",   "torn",
                                         "eio", "nosync", "nomem",  "countmem" };
    const char *text = getenv("RK_SHIM");
    const char *path = getenv("RK_SHIM_COUNTER");
    size_t size;

    if (path != NULL) {
        int (*real_open)(const char *, int, ...) = (int (*)(const char *, int, ...))next("open");
        int fd = real_open(path, O_RDWR | O_CLOEXEC);
        void *page = fd < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        counter = page == MAP_FAILED ? &here : page;
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    if (text == NULL) {
        return;
    }
    (void)dl_iterate_phdr(find_program, NULL);
    size = strcspn(text, ":");
    for (unsigned i = 1; i < sizeof names / sizeof names[0]; i++) {
        if (strlen(names[i]) == size && strncmp(names[i], text, size) == 0) {
            char *end = NULL;

            at = text[size] == ':' ? strtoull(text + size + 1, &end, 10) : 0;
            quarters = end != NULL && *end == ':' ? (unsigned)strtoul(end + 1, NULL, 10) : 0;
            mode = (enum mode)i;
            return;
        }
    }
    (void)fprintf(stderr, "RK_SHIM=%s is not known\n", text);
    _exit(2);
}

static void die(void)
{
    (void)kill(getpid(), SIGKILL);
    for (;;) {
        (void)pause();
    }
}

/* Whether this call is the one; before it, the process may die. */
static bool is_it(void)
{
    bool hit;

    if (mode < COUNT || mode > FAIL) {
        return false;
    }
    hit = atomic_fetch_add(counter, 1) + 1 == at;
    if (hit && mode == BEFORE) {
        die();
    }
    return hit;
}

/* Before a call that is no write: true when it fails. */
static bool fails(bool hit)
{
    if (hit && mode == TORN) {
        die();
    }
    if (hit && mode == FAIL) {
        errno = EIO;
        return true;
    }
    return false;
}

static int done(bool hit, int result)
{
    if (hit && mode == AFTER) {
        die();
    }
    return result;
}

/* ---- Calls that change files; config.h names them as it does for the daemon ---- */

SHIM ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    ssize_t (*real)(int, const void *, size_t,
                    off_t) = (ssize_t(*)(int, const void *, size_t, off_t))next("pwrite");
    bool hit = is_it();
    ssize_t result;

    if (hit && mode == FAIL) {
        errno = EIO;
        return -1;
    }
    if (hit && mode == TORN) {
        (void)!real(fd, data, size * quarters / 4, offset);
        die();
    }
    result = real(fd, data, size, offset);
    if (hit && mode == AFTER) {
        die();
    }
    return result;
}

SHIM int fsync(int fd)
{
    int (*real)(int) = (int (*)(int))next("fsync");
    bool hit = is_it();

    return mode == NOSYNC ? 0 : fails(hit) ? -1 : done(hit, real(fd));
}

SHIM int fdatasync(int fd)
{
    int (*real)(int) = (int (*)(int))next("fdatasync");
    bool hit = is_it();

    return mode == NOSYNC ? 0 : fails(hit) ? -1 : done(hit, real(fd));
}

SHIM int ftruncate(int fd, off_t size)
{
    int (*real)(int, off_t) = (int (*)(int, off_t))next("ftruncate");
    bool hit = is_it();

    return fails(hit) ? -1 : done(hit, real(fd, size));
}

SHIM int fallocate(int fd, int how, off_t offset, off_t size)
{
    int (*real)(int, int, off_t, off_t) = (int (*)(int, int, off_t, off_t))next("fallocate");
    bool hit = is_it();

    return fails(hit) ? -1 : done(hit, real(fd, how, offset, size));
}

SHIM int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    int (*real)(int, const char *, int,
                const char *) = (int (*)(int, const char *, int, const char *))next("renameat");
    bool hit = is_it();

    return fails(hit) ? -1 : done(hit, real(from_dir, from, to_dir, to));
}

SHIM int unlinkat(int dir, const char *name, int how)
{
    int (*real)(int, const char *, int) = (int (*)(int, const char *, int))next("unlinkat");
    bool hit = is_it();

    return fails(hit) ? -1 : done(hit, real(dir, name, how));
}

SHIM int openat(int dir, const char *name, int how, ...)
{
    int (*real)(int, const char *, int, ...) = (int (*)(int, const char *, int, ...))next("openat");
    bool hit = (how & O_CREAT) != 0 && is_it();
    mode_t bits = 0;

    if ((how & O_CREAT) != 0) {
        va_list rest;

        va_start(rest, how);
        bits = va_arg(rest, mode_t);
        va_end(rest);
    }
    return fails(hit) ? -1 : done(hit, real(dir, name, how, bits));
}

/* ---- Memory ---- */

static bool is_exhausted(const void *caller)
{
    if ((mode != NOMEM && mode != COUNTMEM) || (uintptr_t)caller - program_start >= program_size) {
        return false;
    }
    if (atomic_fetch_add(counter, 1) + 1 != at || mode != NOMEM) {
        return false;
    }
    errno = ENOMEM;
    return true;
}

SHIM void *malloc(size_t size)
{
    return is_exhausted(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

SHIM void *calloc(size_t count, size_t size)
{
    return is_exhausted(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

SHIM void *realloc(void *old, size_t size)
{
    return is_exhausted(__builtin_return_address(0)) ? NULL : __libc_realloc(old, size);
}
