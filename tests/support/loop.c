/* SPDX-License-Identifier: Apache-2.0 */
#include "support/loop.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "sys/clock.h"

static void on_tick(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    (void)argument;
}

/* The tick only wakes the loop up, so that a deadline is seen when nothing else happens. */
bool loop_until(struct event_base *base, bool (*is_true)(void *argument), void *argument)
{
    struct timeval period = { 0, 20000 };
    struct event *tick = event_new(base, -1, EV_PERSIST, on_tick, NULL);
    int64_t deadline_ms = clock_monotonic_ms() + LOOP_DEADLINE_MS;
    bool is_reached = is_true(argument);

    event_add(tick, &period);
    while (!is_reached && clock_monotonic_ms() < deadline_ms) {
        event_base_loop(base, EVLOOP_ONCE);
        is_reached = is_true(argument);
    }
    event_free(tick);
    return is_reached;
}

void loop_settle(struct event_base *base)
{
    for (int i = 0; i < 10; i++) {
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
}

static bool is_past(void *argument)
{
    return clock_monotonic_ms() >= *(int64_t *)argument;
}

void loop_for(struct event_base *base, int ms)
{
    int64_t end_ms = clock_monotonic_ms() + ms;

    loop_until(base, is_past, &end_ms);
}

static int loop_listen(struct sockaddr_in *ret_address)
{
    socklen_t size = sizeof *ret_address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *ret_address = (struct sockaddr_in){ .sin_family = AF_INET };
    ret_address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    INVARIANT(bind(fd, (struct sockaddr *)ret_address, size) == 0);
    INVARIANT(listen(fd, 1) == 0);
    INVARIANT(getsockname(fd, (struct sockaddr *)ret_address, &size) == 0);
    return fd;
}

void loop_tcp_pair(int ret_fds[2])
{
    struct sockaddr_in address;
    int listener = loop_listen(&address);

    ret_fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    INVARIANT(connect(ret_fds[0], (struct sockaddr *)&address, sizeof address) == 0);
    ret_fds[1] = accept(listener, NULL, NULL);
    INVARIANT(ret_fds[1] >= 0);
    close(listener);
    for (int i = 0; i < 2; i++) {
        INVARIANT(evutil_make_socket_nonblocking(ret_fds[i]) == 0);
    }
}

unsigned loop_free_port(void)
{
    struct sockaddr_in address;

    close(loop_listen(&address));
    return ntohs(address.sin_port);
}
