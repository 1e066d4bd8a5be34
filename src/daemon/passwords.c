/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/passwords.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/heap.h"
#include "server/server.h"

#define USER_BYTES_MAX 63
#define HASH_BYTES 32
#define PASSWORDS_MAX 1024 /* lines of the file */
#define LINE_BYTES_MAX 256

struct password {
    char user[USER_BYTES_MAX + 1];
    unsigned scope;
    unsigned char hash[HASH_BYTES];
};

struct passwords {
    unsigned count;
    struct password list[PASSWORDS_MAX];
};

static const struct {
    const char *word;
    unsigned scope;
} scopes[] = {
    { "read", SERVER_MAY_READ },
    { "write", SERVER_MAY_READ | SERVER_MAY_WRITE },
    { "admin", SERVER_MAY_ALL },
};

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, c);

    return at == NULL ? -1 : (int)(at - digits);
}

static bool parse_hash(const char *text, unsigned char *out)
{
    if (strlen(text) != HASH_BYTES * 2) {
        return false;
    }
    for (int i = 0; i < HASH_BYTES; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

/* What is wrong with the line; NULL = it was taken, or says nothing. */
static const char *take_line(struct passwords *p, const char *line)
{
    struct password *entry = &p->list[p->count];
    char user[LINE_BYTES_MAX], scope[LINE_BYTES_MAX], hash[LINE_BYTES_MAX], more[2];
    int count = sscanf(line, "%255s %255s %255s %1s", user, scope, hash, more);

    if (count <= 0 || user[0] == '#') {
        return NULL;
    }
    if (count != 3 || strlen(user) > USER_BYTES_MAX) {
        return "expected: user, read or write or admin, SHA-256 in hex";
    }
    if (p->count == PASSWORDS_MAX) {
        return "too many lines";
    }
    *entry = (struct password){ .scope = 0 };
    for (size_t i = 0; i < sizeof scopes / sizeof scopes[0]; i++) {
        if (strcmp(scope, scopes[i].word) == 0) {
            entry->scope = scopes[i].scope;
        }
    }
    if (entry->scope == 0) {
        return "the second word must be read, write or admin";
    }
    if (!parse_hash(hash, entry->hash)) {
        return "the third word must be a SHA-256 in 64 lower-case hex digits";
    }
    snprintf(entry->user, sizeof entry->user, "%.*s", USER_BYTES_MAX, user);
    p->count++;
    return NULL;
}

static enum rk_status read_lines(FILE *file, const char *path, struct passwords *p,
                                 struct errmsg *why)
{
    char line[LINE_BYTES_MAX];
    unsigned number = 0;

    while (fgets(line, sizeof line, file) != NULL) {
        const char *wrong = strlen(line) + 1 == sizeof line ? "the line is too long"
                                                            : take_line(p, line);

        number++;
        if (wrong != NULL) {
            errmsg_set(why, "%s:%u: %s", path, number, wrong);
            return RK_CONFIG;
        }
    }
    if (ferror(file) || p->count == 0) {
        errmsg_set(why, "%s: %s", path, ferror(file) ? "cannot be read" : "names no user");
        return RK_CONFIG;
    }
    return RK_OK;
}

enum rk_status passwords_open(const char *path, struct passwords **ret_passwords,
                              struct errmsg *why)
{
    FILE *file = fopen(path, "re");
    struct passwords *p;
    struct stat facts;
    enum rk_status status;

    if (file == NULL || fstat(fileno(file), &facts) != 0) {
        errmsg_set(why, "client-passwords: %s: %s", path, strerror(errno));
        if (file != NULL) {
            fclose(file);
        }
        return RK_CONFIG;
    }
    if ((facts.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        errmsg_set(why, "client-passwords: %s: mode %04o lets group or others at it; chmod 600 it",
                   path, (unsigned)(facts.st_mode & 07777));
        fclose(file);
        return RK_CONFIG;
    }
    p = heap_new(struct passwords);
    status = read_lines(file, path, p, why);
    fclose(file);
    if (status != RK_OK) {
        errmsg_wrap(why, "client-passwords");
        heap_free(p);
        return status;
    }
    *ret_passwords = p;
    return RK_OK;
}

void passwords_close(struct passwords *p)
{
    heap_free(p);
}

unsigned passwords_check(const struct passwords *p, struct slice user, struct slice password)
{
    unsigned char hash[HASH_BYTES];
    unsigned scope = 0;

    if (EVP_Digest(password.data == NULL ? (const uint8_t *)"" : password.data, password.size, hash,
                   NULL, EVP_sha256(), NULL) != 1) {
        return 0;
    }
    for (unsigned i = 0; i < p->count; i++) {
        bool is_hash = CRYPTO_memcmp(p->list[i].hash, hash, HASH_BYTES) == 0;

        if (is_hash && slice_equal(slice_of_text(p->list[i].user), user)) {
            scope |= p->list[i].scope;
        }
    }
    OPENSSL_cleanse(hash, sizeof hash);
    return scope;
}
