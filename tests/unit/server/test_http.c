/* SPDX-License-Identifier: Apache-2.0 */
/* What HTTP requests are answered with; above all those that are not quite right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The order above is cmocka's wish. */
#include <cmocka.h>
#include <unistd.h>

#include "base/heap.h"
#include "server_fixture.h"

#define END "\r\n\r\n"
#define HOST " HTTP/1.1\r\nHost: x"

static int setup(void **state)
{
    struct fixture *f = heap_new(struct fixture);

    fixture_open(f, NULL);
    fixture_chat(f, "REPO.REGISTER a/b.git s1", "*2\r\n:1\r\n+CREATED\r\n");
    fixture_chat(f, "STORAGE.SET s1 HTTP 10.0.0.1:80", ":2\r\n");
    fixture_chat(f, "REF.UPDATE a/b.git refs/heads/m ABSENT " OID_A, ":3\r\n");
    fixture_chat(f, "REF.UPDATE a/b.git refs/heads/\xff ABSENT " OID_B, ":4\r\n");
    close(f->fd);
    f->fd = fixture_connect(f, true);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_close(*state);
    heap_free(*state);
    return 0;
}

/* Sends one request on a new connection; the answer is in f->seen, NUL-terminated. */
static const char *talk(struct fixture *f, const char *text)
{
    close(f->fd);
    f->fd = fixture_connect(f, true);
    f->is_closed = false;
    buffer_clear(&f->seen);
    fixture_send(f, text, strlen(text));
    fixture_settle(f);
    buffer_put_u8(&f->seen, '\0');
    return (const char *)f->seen.data;
}

struct row {
    const char *request;
    const char *code;
    const char *part; /* of the answer; NULL = none looked for */
};

static const struct row rows[] = {
    { "GET /livez" HOST END, "200", "ok" },
    { "HEAD /livez" HOST END, "200", NULL },
    { "POST /livez" HOST "\r\nContent-Length: 0" END, "405", NULL },
    { "GET /livez HTTP/1.0" END, "200", "Connection: close" },
    { "GET /livez HTTP/1.1" END, "400", NULL },
    { "GET /livez" HOST "\r\nHost: y" END, "400", NULL },
    { "GET /livez HTTP/1.1\nHost: x\n\n", "400", NULL },
    { "GET /livez" HOST "\r\n folded" END, "400", NULL },
    { "GET /livez" HOST "\r\nA : b" END, "400", NULL },
    { "GET /livez" HOST "\r\nA: b\001" END, "400", NULL },
    { "GET /livez" HOST "\r\nContent-Length: 0\r\nContent-Length: 0" END, "400", NULL },
    { "GET /livez" HOST "\r\nContent-Length: +5" END, "400", NULL },
    { "GET /livez" HOST "\r\nContent-Length: 0x5" END, "400", NULL },
    { "GET /livez" HOST "\r\nContent-Length: 99999999" END, "413", NULL },
    { "GET /livez" HOST "\r\nTransfer-Encoding: chunked" END, "411", NULL },
    { "GET /livez" HOST "\r\nExpect: miracle" END, "417", NULL },
    { "GET http://x/livez" HOST END, "400", NULL },
    { "GET  /livez" HOST END, "400", NULL },
    { "GET /livez HTTP/1.7\r\nHost: x" END, "505", NULL },
    { "\r\n\r\n", "400", NULL },
    { "GET /nothing" HOST END, "404", "NOTFOUND" },
    { "PUT /v1/repos" HOST "\r\nContent-Length: 0" END, "405", NULL },
    { "GET /v1/status" HOST END, "200", "\"node\":\"n1\",\"term\":1,\"applied_index\":4" },
    { "GET /v1/repo?path=a/b.git" HOST END, "200", "\"id\":\"1\"" },
    { "GET /v1/repo" HOST END, "400", "path: missing" },
    { "GET /v1/repo?path=a/b.git&path=a/b.git" HOST END, "400", "given twice" },
    { "GET /v1/repo?path=a/b.git&x=%0d%0a" HOST END, "400", "\"parameter\":\"x\"" },
    { "GET /v1/repo?path=a%00" HOST END, "400", NULL },
    { "GET /v1/repo?path=a%2" HOST END, "400", NULL },
    { "GET /v1/repo?path=a+b" HOST END, "404", "NOREPO" },
    { "GET /v1/refs?path=a/b.git" HOST END, "200",
      "\"ref\":null,\"ref_b64\":\"cmVmcy9oZWFkcy//\"" },
    { "GET /v1/refs?path=a/b.git&limit=1" HOST END, "200", "\"next\":\"refs/heads/m\"" },
    { "GET /v1/refs?path=a/b.git&if_index=4" HOST END, "200", "\"refs\":null" },
    { "GET /v1/ref?path=a/b.git&ref=refs/heads/m" HOST END, "200", OID_A },
    { "GET /v1/ref?path=a/b.git&ref=refs/heads/n" HOST END, "404", "NOREF" },
    { "GET /v1/ref?path=a/b.git&ref=heads/n" HOST END, "400", "BADREF" },
    { "GET /v1/ref?path=a/b.git&ref=refs/heads/m&consistency=stale" HOST END, "200", OID_A },
    { "GET /v1/ref?path=a/b.git&ref=refs/heads/m&consistency=maybe" HOST END, "400", NULL },
    { "GET /v1/route?path=a/b.git&op=write" HOST END, "200", "\"primary_http\":\"10.0.0.1:80\"" },
    { "GET /v1/route?path=a/b.git&op=push" HOST END, "400", NULL },
    { "DELETE /v1/repo?path=z" HOST END, "404", "NOREPO" },
    { "GET /route/headers" HOST
      "\r\nX-Original-URI: /a/b.git/info/refs?service=git-receive-pack" END,
      "200", "X-Git-Primary: 10.0.0.1:80\r\n" },
    { "GET /route/headers" HOST "\r\nX-Original-URI: /a/z.git/git-upload-pack" END, "403",
      "X-Git-Route: unknown\r\n" },
    { "GET /route/headers" HOST "\r\nX-Original-URI: /a/./b.git/git-upload-pack" END, "403",
      "X-Git-Route: malformed\r\n" },
    { "GET /route/headers" HOST "\r\nX-Original-URI: /a%2fb.git/git-upload-pack" END, "403",
      "X-Git-Route: malformed\r\n" },
    { "GET /route/headers" HOST END, "403", "X-Git-Route: malformed\r\n" },
};

static void each_request_gets_its_status(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *answer = talk(f, rows[i].request);

        if (strlen(answer) < 12 || memcmp(answer + 9, rows[i].code, 3) != 0 ||
            (rows[i].part != NULL && strstr(answer, rows[i].part) == NULL)) {
            fail_msg("asked: %s\nwanted: %s %s\ngot: %s", rows[i].request, rows[i].code,
                     rows[i].part == NULL ? "" : rows[i].part, answer);
        }
    }
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    const char *answer = talk(*state, "GET /v1/repo?path=no" HOST END "GET /livez" HOST END
                                      "GET /v1/ref?path=a/b.git&ref=refs/heads/m" HOST END);
    const char *second = strstr(answer, "ok\n");

    assert_non_null(second);
    assert_true(strstr(answer, "NOREPO") < second);
    assert_non_null(strstr(second, OID_A));
}

static void half_a_request_ends_at_its_deadline(void **state)
{
    struct fixture *f = *state;

    assert_string_equal(talk(f, "GET /livez HTTP/1.1\r\nHost:"), "");
    assert_false(f->is_closed);
    f->node->now_ms += HTTP_REQUEST_DEADLINE_MS;
    for (int i = 0; i < 3000 && !f->is_closed; i++) { /* the sweep comes once a second */
        fixture_settle(f);
    }
    buffer_put_u8(&f->seen, '\0');
    assert_non_null(strstr((const char *)f->seen.data + 1, "408"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_request_gets_its_status, setup, teardown),
        cmocka_unit_test_setup_teardown(pipelined_requests_are_answered_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(half_a_request_ends_at_its_deadline, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
