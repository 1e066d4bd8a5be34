/* SPDX-License-Identifier: Apache-2.0 */
#include "server_fixture.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUIET_TURNS 5

int fixture_connect(struct fixture *f, bool is_http)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int on = 1;

    address.sin_port = htons(
        (uint16_t)(is_http ? server_http_port(f->server) : server_client_port(f->server)));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

void fixture_open(struct fixture *f, const struct server_options *options)
{
    struct server_options o = { 0 };
    struct errmsg why = ERRMSG_INIT;

    signal(SIGPIPE, SIG_IGN);
    *f = (struct fixture){ .base = event_base_new() };
    f->node = fake_node_new(f->base);
    if (options != NULL) {
        o = *options;
    }
    o.listen_client = "127.0.0.1:0";
    o.listen_http = "127.0.0.1:0";
    assert_int_equal(server_open(f->base, f->node, &o, &f->server, &why), RK_OK);
    f->fd = fixture_connect(f, false);
    fixture_settle(f);
}

void fixture_close(struct fixture *f)
{
    close(f->fd);
    server_close(f->server);
    fake_node_free(f->node);
    event_base_free(f->base);
    buffer_release(&f->seen);
}

/* Takes what came; false when nothing did. */
static bool take_input(struct fixture *f)
{
    uint8_t bytes[65536];
    ssize_t size = recv(f->fd, bytes, sizeof bytes, MSG_DONTWAIT);

    if (size > 0) {
        buffer_put(&f->seen, bytes, (size_t)size);
        return true;
    }
    f->is_closed = f->is_closed || size == 0 || errno == ECONNRESET;
    return false;
}

void fixture_settle(struct fixture *f)
{
    for (int quiet = 0; quiet < QUIET_TURNS;) {
        struct pollfd loopback = { .fd = f->fd, .events = POLLIN };

        fake_node_turn(f->node);
        quiet = take_input(f) ? 0 : quiet + 1;
        if (!f->is_closed) {
            (void)poll(&loopback, 1, 1); /* bytes on loopback take a moment */
        }
    }
}

void fixture_send(struct fixture *f, const void *bytes, size_t size)
{
    const uint8_t *p = bytes;

    while (size > 0) {
        ssize_t sent = send(f->fd, p, size, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent > 0) {
            p += sent;
            size -= (size_t)sent;
        } else if (errno == EAGAIN) {
            fake_node_turn(f->node);
            (void)take_input(f);
        } else {
            return; /* closed by the server: the test sees it */
        }
    }
}

void fixture_ask(struct fixture *f, const char *words)
{
    struct buffer out = BUFFER_INIT;
    unsigned count = 1;

    for (const char *p = words; *p != '\0'; p++) {
        count += *p == ' ';
    }
    buffer_printf(&out, "*%u\r\n", count);
    while (count-- > 0) {
        size_t size = strcspn(words, " ");

        buffer_printf(&out, "$%zu\r\n%.*s\r\n", size, (int)size, words);
        words += size + (words[size] == ' ');
    }
    fixture_send(f, out.data, out.size);
    buffer_release(&out);
}

void fixture_expect(struct fixture *f, const char *text)
{
    fixture_settle(f);
    buffer_put_u8(&f->seen, '\0');
    assert_string_equal((const char *)f->seen.data, text);
    buffer_clear(&f->seen);
}

void fixture_chat(struct fixture *f, const char *words, const char *text)
{
    fixture_ask(f, words);
    fixture_expect(f, text);
}
