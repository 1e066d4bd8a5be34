/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/client/fake_server.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define REQUESTS_MAX 64
#define REQUEST_BYTES_MAX 4096

struct fake_server {
    const struct fake_step *steps;
    size_t count, next;
    int listener;
    pthread_t thread;
    char address[32];
    char requests[REQUESTS_MAX][REQUEST_BYTES_MAX];
    char wrong[REQUEST_BYTES_MAX + 200]; /* the first request that was not expected */
};

static bool read_line(FILE *in, char *line, int capacity)
{
    return fgets(line, capacity, in) != NULL;
}

/* One request as words joined by blanks; false when the client went away. */
static bool read_request(FILE *in, char *words)
{
    char line[64];
    size_t used = 0;
    long count;

    if (!read_line(in, line, sizeof line) || line[0] != '*') {
        return false;
    }
    count = strtol(line + 1, NULL, 10);
    words[0] = '\0';
    for (long i = 0; i < count; i++) {
        size_t size;

        if (!read_line(in, line, sizeof line) || line[0] != '$') {
            return false;
        }
        size = (size_t)strtol(line + 1, NULL, 10);
        if (used + size + 3 > REQUEST_BYTES_MAX) {
            return false;
        }
        if (i > 0) {
            words[used++] = ' ';
        }
        if (fread(words + used, 1, size + 2, in) != size + 2) {
            return false;
        }
        used += size;
        words[used] = '\0';
    }
    return true;
}

static void send_reply(int fd, const struct fake_step *step)
{
    size_t size = strlen(step->reply);
    size_t part = step->drips ? 1 : size;

    for (size_t at = 0; at < size; at += part) {
        if (send(fd, step->reply + at, part, MSG_NOSIGNAL) < 0) {
            return;
        }
    }
}

/* Until the client goes away or the script closes.  */
static void serve(struct fake_server *s, int fd)
{
    FILE *in = fdopen(fd, "r");
    char words[REQUEST_BYTES_MAX];

    while (read_request(in, words)) {
        const struct fake_step *step = &s->steps[s->next];

        if (s->next == s->count) {
            snprintf(s->wrong, sizeof s->wrong, "a request too many: %s", words);
            break;
        }
        snprintf(s->requests[s->next], REQUEST_BYTES_MAX, "%s", words);
        if (step->expect != NULL && strstr(words, step->expect) == NULL) {
            snprintf(s->wrong, sizeof s->wrong, "request %zu: expected %.80s, came %s", s->next,
                     step->expect, words);
        }
        s->next++;
        if (step->reply != NULL) {
            send_reply(fd, step);
        }
        if (step->closes) {
            break;
        }
    }
    (void)fclose(in);
}

static void *run(void *context)
{
    struct fake_server *s = context;
    int fd;

    while ((fd = accept(s->listener, NULL, NULL)) >= 0) {
        serve(s, fd);
        if (s->next == s->count) {
            break;
        }
    }
    (void)close(s->listener);
    return NULL;
}

struct fake_server *fake_server_start(const struct fake_step *steps, size_t count)
{
    struct fake_server *s = calloc(1, sizeof *s);
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof address;

    assert_non_null(s);
    assert_true(count <= REQUESTS_MAX);
    s->steps = steps;
    s->count = count;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(s->listener, 8), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&address, &size), 0);
    snprintf(s->address, sizeof s->address, "127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    assert_int_equal(pthread_create(&s->thread, NULL, run, s), 0);
    return s;
}

const char *fake_server_address(const struct fake_server *s)
{
    return s->address;
}

const char *fake_server_request(const struct fake_server *s, size_t i)
{
    return s->requests[i];
}

void fake_server_stop(struct fake_server *s)
{
    (void)shutdown(s->listener, SHUT_RDWR);
    (void)pthread_join(s->thread, NULL);
    if (s->wrong[0] != '\0') {
        fail_msg("%s", s->wrong);
    }
    assert_int_equal(s->next, s->count);
}

void fake_server_free(struct fake_server *s)
{
    free(s);
}
