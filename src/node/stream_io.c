/* SPDX-License-Identifier: Apache-2.0 */
/* One transfer of a stream: on the socket, or through OpenSSL on the same socket. */
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "node/stream_internal.h"

#define PIECES_MAX 64 /* of one gathering write */

static enum stream_result fail_by_errno(struct stream *s, const char *what, int error)
{
    bool by_host = error == ECONNRESET || error == EPIPE || error == ECONNREFUSED;

    stream_fail(s, by_host, "%s: %s", what, strerror(error));
    return STREAM_ENDED;
}

/* Arms the event that will tell when writing is possible again. */
static enum stream_result wait_to_write(struct stream *s)
{
    if (!s->is_waiting_to_write) {
        s->is_waiting_to_write = true;
        event_add(&s->writing, NULL);
    }
    return STREAM_BLOCKED;
}

/* ---- Plain ---- */

static enum stream_result plain_read(struct stream *s, void *data, size_t size, size_t *ret_size)
{
    ssize_t got;

    do {
        got = recv(s->fd, data, size, 0);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        *ret_size = (size_t)got;
        return STREAM_DONE;
    }
    if (got == 0) {
        stream_fail(s, true, "closed by the other side");
        return STREAM_ENDED;
    }
    if (errno == EAGAIN) {
        return STREAM_BLOCKED;
    }
    return fail_by_errno(s, "read", errno);
}

static enum stream_result plain_write(struct stream *s, size_t *ret_size)
{
    struct iovec pieces[PIECES_MAX];
    struct msghdr message = { .msg_iov = pieces };
    ssize_t sent;

    message.msg_iovlen = stream_queue_gather(&s->output, pieces, PIECES_MAX);
    do {
        sent = sendmsg(s->fd, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0) {
        *ret_size = (size_t)sent;
        return STREAM_DONE;
    }
    if (errno == EAGAIN) {
        return wait_to_write(s);
    }
    s->has_last_words = true;
    return fail_by_errno(s, "write", errno);
}

/* ---- TLS ---- */

/* The reason of the last error of OpenSSL, with the verdict on the certificate if there is one. */
static enum stream_result fail_by_openssl(struct stream *s)
{
    unsigned long error = ERR_peek_error();
    long verdict = SSL_get_verify_result(s->tls);
    const char *reason = ERR_reason_error_string(error);

    if (ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        stream_fail(s, true, "closed by the other side without a TLS close_notify");
    } else if (verdict != X509_V_OK && !SSL_is_init_finished(s->tls)) {
        stream_fail(s, false, "tls: %s: %s", reason == NULL ? "handshake failed" : reason,
                    X509_verify_cert_error_string(verdict));
    } else {
        stream_fail(s, false, "tls: %s", reason == NULL ? "unknown error" : reason);
    }
    ERR_clear_error();
    return STREAM_ENDED;
}

static enum stream_result fail_by_tls(struct stream *s, int error, int system_error)
{
    if (error == SSL_ERROR_ZERO_RETURN) {
        stream_fail(s, true, "closed by the other side");
        return STREAM_ENDED;
    }
    s->is_tls_broken = true;
    if (error == SSL_ERROR_SYSCALL) {
        ERR_clear_error();
        if (system_error != 0) {
            return fail_by_errno(s, "tls", system_error);
        }
        stream_fail(s, true, "closed by the other side without a TLS close_notify");
        return STREAM_ENDED;
    }
    return fail_by_openssl(s);
}

static enum stream_result tls_read(struct stream *s, void *data, size_t size, size_t *ret_size)
{
    int rc, error;

    ERR_clear_error();
    errno = 0;
    rc = SSL_read(s->tls, data, size > INT_MAX ? INT_MAX : (int)size);
    if (rc > 0) {
        *ret_size = (size_t)rc;
        return STREAM_DONE;
    }
    error = SSL_get_error(s->tls, rc);
    if (error == SSL_ERROR_WANT_READ) {
        return STREAM_BLOCKED;
    }
    if (error == SSL_ERROR_WANT_WRITE) {
        s->read_wants_write = true;
        return wait_to_write(s);
    }
    return fail_by_tls(s, error, errno);
}

static enum stream_result tls_write(struct stream *s, size_t *ret_size)
{
    struct iovec piece = { NULL, 0 };
    int rc, error;

    /* A call that is repeated after WANT_* must offer the same bytes, or more of them: the
     * head piece of the queue only grows until it is sent. */
    stream_queue_gather(&s->output, &piece, 1);
    ERR_clear_error();
    errno = 0;
    rc = SSL_write(s->tls, piece.iov_base, piece.iov_len > INT_MAX ? INT_MAX : (int)piece.iov_len);
    if (rc > 0) {
        *ret_size = (size_t)rc;
        return STREAM_DONE;
    }
    error = SSL_get_error(s->tls, rc);
    if (error == SSL_ERROR_WANT_WRITE) {
        return wait_to_write(s);
    }
    if (error == SSL_ERROR_WANT_READ) {
        s->write_wants_read = true;
        return STREAM_BLOCKED;
    }
    return fail_by_tls(s, error, errno);
}

/* ---- Both ---- */

enum stream_result stream_read(struct stream *s, void *data, size_t size, size_t *ret_size)
{
    size_t got = 0;
    enum stream_result result;

    if (s->tls == NULL) {
        result = plain_read(s, data, size, ret_size);
        got = result == STREAM_DONE ? *ret_size : 0;
    } else {
        /* A TLS record is 16 KiB at most: take as many as there are. */
        size_t one = 0;

        do {
            result = tls_read(s, (uint8_t *)data + got, size - got, &one);
            got += result == STREAM_DONE ? one : 0;
        } while (result == STREAM_DONE && got < size);
        *ret_size = got;
    }
    s->received_bytes += got;
    return got > 0 ? STREAM_DONE : result;
}

enum stream_result stream_write(struct stream *s, size_t *ret_size)
{
    enum stream_result result = s->tls == NULL ? plain_write(s, ret_size) : tls_write(s, ret_size);

    if (result == STREAM_DONE) {
        s->sent_bytes += *ret_size;
    }
    return result;
}

enum stream_result stream_handshake(struct stream *s)
{
    int rc, error;

    ERR_clear_error();
    errno = 0;
    rc = SSL_do_handshake(s->tls);
    if (rc == 1) {
        return STREAM_DONE;
    }
    error = SSL_get_error(s->tls, rc);
    if (error == SSL_ERROR_WANT_READ) {
        return STREAM_BLOCKED;
    }
    if (error == SSL_ERROR_WANT_WRITE) {
        return wait_to_write(s);
    }
    return fail_by_tls(s, error, errno);
}
