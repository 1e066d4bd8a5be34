/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of HTTP writes: what is taken, and where the pointer of a refusal points. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/heap.h"
#include "server/json_body.h"

#define A "1111111111111111111111111111111111111111"
#define B "2222222222222222222222222222222222222222"

static struct request_scratch scratch;

static enum rk_status parse(struct json_body *body, const char *request, const char *text,
                            struct request *r, struct failure *why)
{
    *why = (struct failure){ .status = RK_OK };
    return json_body_parse(body, request_type_find(slice_of_text(request)), slice_of_text(text),
                           SLICE_NONE, &scratch, r, why);
}

static void a_transaction_is_taken(void **state)
{
    struct json_body body;
    struct request r;
    struct failure why;

    (void)state;
    assert_int_equal(parse(&body, "REF.TXN",
                           "{\"path\":\"a/b.git\",\"atomic\":false,\"actor\":\"jane\",\"id\":\"7\","
                           "\"updates\":["
                           "{\"ref\":\"refs/heads/m\",\"old\":null,\"new\":\"" A "\"},"
                           "{\"ref\":null,\"ref_b64\":\"cmVmcy9oZWFkcy//\",\"old\":\"ANY\","
                           "\"new\":\"" B "\"},"
                           "{\"ref\":\"refs/heads/d\",\"old\":\"" B "\",\"new\":null}]}",
                           &r, &why),
                     RK_OK);
    assert_int_equal(r.update_count, 3);
    assert_false(r.envelope.flags & ENVELOPE_ATOMIC);
    assert_int_equal(r.updates[1].refname.size, 12);
    assert_int_equal(r.updates[1].refname.data[11], 0xff);
    assert_true(r.updates[2].is_delete);
    assert_int_equal(r.envelope.repository_id, 7);
    json_body_release(&body);
}

static void a_transaction_is_atomic_unless_it_says_otherwise(void **state)
{
    struct json_body body;
    struct request r;
    struct failure why;

    (void)state;
    assert_int_equal(parse(&body, "REF.TXN",
                           "{\"path\":\"a\",\"updates\":[{\"ref\":\"refs/heads/m\",\"old\":"
                           "\"ABSENT\",\"new\":\"" A "\"}]}",
                           &r, &why),
                     RK_OK);
    assert_true(r.envelope.flags & ENVELOPE_ATOMIC);
    json_body_release(&body);
}

static void what_is_wrong_is_pointed_at(void **state)
{
    static const struct {
        const char *request, *text;
        enum rk_status status;
        const char *pointer; /* NULL = none */
    } rows[] = {
        { "REF.TXN", "", RK_BADARG, NULL },
        { "REF.TXN", "[]", RK_BADARG, NULL },
        { "REF.TXN", "{\"path\":\"a\",\"path\":\"b\"}", RK_BADARG, NULL },
        { "REF.TXN", "{\"path\":\"\xff\"}", RK_BADARG, NULL },
        { "REF.TXN", "{\"pa~th/\":1}", RK_BADARG, "/pa~0th~1" },
        { "REF.TXN", "{\"path\":[]}", RK_BADARG, "/path" },
        { "REF.TXN", "{\"path\":-1}", RK_BADARG, "/path" },
        { "REF.TXN", "{\"path\":7}", RK_BADARG, "/path" },
        { "REF.TXN", "{\"reqid\":\"1:1:1\"}", RK_BADARG, "/reqid" },
        { "REF.TXN", "{\"atomic\":1}", RK_BADARG, "/atomic" },
        { "REF.TXN", "{\"path\":\"a\"}", RK_BADARG, "" },
        { "REF.TXN", "{\"updates\":[]}", RK_BADARG, "/updates" },
        { "REF.TXN", "{\"updates\":{}}", RK_BADARG, "/updates" },
        { "REF.TXN", "{\"updates\":[1]}", RK_BADARG, "/updates/0" },
        { "REF.TXN", "{\"updates\":[{\"ref\":1}]}", RK_BADARG, "/updates/0/ref" },
        { "REF.TXN", "{\"updates\":[{\"ref_b64\":\"*\"}]}", RK_BADREF, "/updates/0/ref_b64" },
        { "REF.TXN", "{\"updates\":[{\"ref\":\"refs/heads/a\",\"old\":null}]}", RK_BADARG,
          "/updates/0" },
        { "REF.TXN",
          "{\"updates\":[{\"ref\":\"refs/heads/a\",\"old\":null,\"new\":\"" A "\"},"
          "{\"ref\":\"refs/heads/a..b\",\"old\":null,\"new\":\"" A "\"}]}",
          RK_BADREF, "/updates/1" },
        { "REF.TXN", "{\"updates\":[{\"ref\":\"refs/heads/a\",\"old\":\"zz\",\"new\":\"" A "\"}]}",
          RK_BADOID, "/updates/0" },
        { "REPO.CREATE", "{\"path\":\"a\",\"primary\":\"s\",\"replicas\":[\"s\",\"/\"]}", RK_BADARG,
          "/replicas/1" },
        { "REPO.CREATE", "{\"path\":\"a\",\"primary\":\"s\",\"replicas\":\"s\"}", RK_BADARG,
          "/replicas" },
        { "PRIMARY.SET", "{\"storage\":\"s\",\"paths\":[\"a\",2]}", RK_BADARG, "/paths/1" },
        { "PRIMARY.SET", "[[[[[[[[[1]]]]]]]]]", RK_TOOLARGE, NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct json_body body;
        struct request r;
        struct failure why;
        const struct failure_field *pointer = NULL;

        assert_int_equal(parse(&body, rows[i].request, rows[i].text, &r, &why), rows[i].status);
        assert_true(why.text[0] != '\0');
        for (unsigned k = 0; k < why.field_count; k++) {
            pointer = strcmp(why.fields[k].key, "pointer") == 0 ? &why.fields[k] : pointer;
        }
        if (rows[i].pointer == NULL) {
            assert_null(pointer);
        } else {
            assert_non_null(pointer);
            assert_int_equal(pointer->text.size, strlen(rows[i].pointer));
            assert_memory_equal(pointer->text.data, rows[i].pointer, pointer->text.size);
        }
        json_body_release(&body);
    }
}

static void long_names_are_cut_not_overrun(void **state)
{
    char text[2048] = "{\"";
    struct json_body body;
    struct request r;
    struct failure why;

    (void)state;
    memset(text + 2, '~', 1500);
    memcpy(text + 1502, "\":1}", sizeof "\":1}");
    assert_int_equal(parse(&body, "REF.TXN", text, &r, &why), RK_BADARG);
    assert_true(strlen(body.pointer) < sizeof body.pointer);
    json_body_release(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transaction_is_taken),
        cmocka_unit_test(a_transaction_is_atomic_unless_it_says_otherwise),
        cmocka_unit_test(what_is_wrong_is_pointed_at),
        cmocka_unit_test(long_names_are_cut_not_overrun),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
