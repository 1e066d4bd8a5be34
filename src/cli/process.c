/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/heap.h"
#include "sys/clock.h"

#define END_MS 3000 /* for a program whose time is up to clean up */
#define END_LOOK_MS 10

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

static char **join_environment(const char *const *added)
{
    size_t count = 0, more = 0;
    char **joined;

    while (environ[count] != NULL) {
        count++;
    }
    while (added != NULL && added[more] != NULL) {
        more++;
    }
    joined = heap_alloc((count + more + 1) * sizeof *joined);
    /* The added ones come first: of two with one name the first counts. */
    for (size_t i = 0; i < more; i++) {
        joined[i] = (char *)(uintptr_t)added[i];
    }
    memcpy(joined + more, environ, (count + 1) * sizeof *joined);
    return joined;
}

/* Wires one stream: `theirs` becomes `target` in the child. */
static int wire(posix_spawn_file_actions_t *actions, int theirs, int target)
{
    return theirs < 0 ? 0 : posix_spawn_file_actions_adddup2(actions, theirs, target);
}

static int spawn(const struct process *p, int in, int out, int err, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    char **environment = join_environment(p->environment);
    int rc = posix_spawn_file_actions_init(&actions);

    if (rc == 0) {
        rc = wire(&actions, in, 0);
    }
    if (rc == 0) {
        rc = wire(&actions, p->joins_output ? 2 : out, 1);
    }
    if (rc == 0) {
        rc = wire(&actions, err, 2);
    }
    if (rc == 0) {
        rc = posix_spawnp(ret_pid, p->argv[0], &actions, NULL, (char **)(uintptr_t)p->argv,
                          environment);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    heap_free(environment);
    return rc;
}

/* Opens what is needed.  The input is a socket, so that a reader gone early raises no signal. */
static int open_streams(const struct process *p, int in[2], int out[2], int err[2])
{
    if (p->has_input_fd) {
        in[0] = fcntl(p->input_fd, F_DUPFD_CLOEXEC, 0);
        if (in[0] < 0) {
            return errno;
        }
    } else if (p->input.size > 0 || p->awaits_input) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) != 0) {
            return errno;
        }
    } else {
        in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (in[0] < 0) {
            return errno;
        }
    }
    if (p->has_output_fd) {
        out[1] = fcntl(p->output_fd, F_DUPFD_CLOEXEC, 0);
        if (out[1] < 0) {
            return errno;
        }
    } else if (!p->joins_output && pipe2(out, O_CLOEXEC) != 0) {
        return errno;
    }
    if (!p->keeps_error && pipe2(err, O_CLOEXEC) != 0) {
        return errno;
    }
    return 0;
}

enum rk_status process_start(struct process *p, struct errmsg *why)
{
    int in[2] = { -1, -1 }, out[2] = { -1, -1 }, err[2] = { -1, -1 };
    int rc = open_streams(p, in, out, err);

    buffer_clear(&p->output);
    buffer_clear(&p->error);
    if (rc == 0) {
        rc = spawn(p, in[0], out[1], err[1], &p->pid);
    }
    close_fd(&in[0]);
    close_fd(&out[1]);
    close_fd(&err[1]);
    if (rc != 0) {
        p->pid = 0;
        close_fd(&in[1]);
        close_fd(&out[0]);
        close_fd(&err[0]);
        errmsg_set(why, "start %s: %s", p->argv[0], strerror(rc));
        return RK_IO;
    }
    p->streams = (struct process_streams){ in[1], out[0], err[0], 0 };
    return RK_OK;
}

static void send_some(const struct process *p, struct process_streams *s)
{
    ssize_t size = send(s->input, p->input.data + s->sent, p->input.size - s->sent,
                        MSG_NOSIGNAL | MSG_DONTWAIT);

    if (size > 0) {
        s->sent += (size_t)size;
    }
    if (s->sent == p->input.size || (size < 0 && errno != EAGAIN && errno != EINTR)) {
        close_fd(&s->input);
    }
}

static void receive_some(int *fd, struct buffer *out)
{
    char part[16384];
    ssize_t size = read(*fd, part, sizeof part);

    if (size > 0) {
        buffer_put(out, part, (size_t)size);
    } else if (size == 0 || errno != EINTR) {
        close_fd(fd);
    }
}

/* Waits for one of the streams and serves those that are ready.  False when the deadline passed. */
static bool serve_once(struct process *p, struct process_streams *s, bool sends)
{
    struct pollfd fds[3] = { { s->input, POLLOUT, 0 },
                             { s->output, POLLIN, 0 },
                             { s->error, POLLIN, 0 } };
    int64_t left = p->deadline_ms - clock_monotonic_ms();

    if (left <= 0 || (poll(fds, 3, left > 60000 ? 60000 : (int)left) < 0 && errno != EINTR)) {
        return false;
    }
    if (fds[0].revents != 0 && sends) {
        send_some(p, s);
    }
    if (fds[1].revents != 0) {
        receive_some(&s->output, &p->output);
    }
    if (fds[2].revents != 0) {
        receive_some(&s->error, &p->error);
    }
    return true;
}

static bool has_line(struct slice text, const char *line)
{
    size_t size = strlen(line);

    for (size_t at = 0; at + size <= text.size; at++) {
        if ((at == 0 || text.data[at - 1] == '\n') && memcmp(text.data + at, line, size) == 0) {
            return true;
        }
    }
    return false;
}

/* Until all streams are closed, or that line was written.  False when the deadline passed. */
static bool pump(struct process *p, struct process_streams *s, const char *line)
{
    if (s->input >= 0 && p->input.size == 0) {
        close_fd(&s->input);
    }
    while ((s->input >= 0 || s->output >= 0 || s->error >= 0) &&
           (line == NULL || !has_line(buffer_slice(&p->output), line))) {
        if (!serve_once(p, s, true)) {
            return false;
        }
    }
    return true;
}

bool process_feed(struct process *p, const void *data, size_t size)
{
    const uint8_t *at = data;

    while (size > 0) {
        ssize_t sent = send(p->streams.input, at, size, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent > 0) {
            at += sent;
            size -= (size_t)sent;
        } else if (sent == 0 || (errno != EINTR && errno != EAGAIN) ||
                   !serve_once(p, &p->streams, false)) {
            return false;
        }
    }
    return true;
}

/* git removes its locks when it is told to end, and leaves them behind when it is killed. */
static void end(pid_t pid)
{
    int64_t deadline_ms = clock_monotonic_ms() + END_MS;
    siginfo_t info = { .si_pid = 0 };

    (void)kill(pid, SIGTERM);
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0 &&
           clock_monotonic_ms() < deadline_ms) {
        (void)poll(NULL, 0, END_LOOK_MS);
    }
    (void)kill(pid, SIGKILL);
}

static int wait_for(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void process_end_input(struct process *p)
{
    close_fd(&p->streams.input);
}

static void close_streams(struct process *p)
{
    close_fd(&p->streams.input);
    close_fd(&p->streams.output);
    close_fd(&p->streams.error);
}

bool process_await(struct process *p, const char *line)
{
    return pump(p, &p->streams, line) && has_line(buffer_slice(&p->output), line);
}

enum rk_status process_finish(struct process *p, struct errmsg *why)
{
    bool is_done = pump(p, &p->streams, NULL);

    if (!is_done) {
        end(p->pid);
    }
    close_streams(p);
    p->exit_code = wait_for(p->pid);
    p->pid = 0;
    if (!is_done) {
        errmsg_set(why, "%s %s: no end in time", p->argv[0], p->argv[1] == NULL ? "" : p->argv[1]);
        return RK_TIMED_OUT;
    }
    return RK_OK;
}

bool process_is_running(const struct process *p)
{
    siginfo_t info = { .si_pid = 0 };

    return p->pid != 0 && waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
}

void process_abandon(struct process *p)
{
    if (p->pid != 0) {
        (void)kill(p->pid, SIGKILL);
        close_streams(p);
        (void)wait_for(p->pid);
        p->pid = 0;
    }
}

enum rk_status process_run(struct process *p, struct errmsg *why)
{
    enum rk_status status = process_start(p, why);

    return status == RK_OK ? process_finish(p, why) : status;
}

void process_release(struct process *p)
{
    process_abandon(p);
    buffer_release(&p->output);
    buffer_release(&p->error);
}

const char *process_last_words(struct process *p)
{
    char *text;
    char *line;

    while (p->error.size > 0 && p->error.data[p->error.size - 1] == '\n') {
        p->error.size--;
    }
    buffer_put_u8(&p->error, '\0');
    p->error.size--;
    text = (char *)p->error.data;
    line = strstr(text, "fatal: ");
    if (line != NULL) {
        /* git's reason; what follows is advice. */
        line[strcspn(line, "\n")] = '\0';
        return line + strlen("fatal: ");
    }
    line = strrchr(text, '\n');
    return line == NULL ? text : line + 1;
}
