/* SPDX-License-Identifier: Apache-2.0 */
/* What a push is made of: the token's code, push options, programs started early, loose refs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/heap.h"
#include "base/limits.h"
#include "cli/agent_wire.h"
#include "cli/git.h"
#include "cli/hook_options.h"
#include "cli/process.h"
#include "cli/tracked_refs.h"
#include "model/ref_filter.h"
#include "sys/clock.h"

static void put_hex(const uint8_t *bytes, size_t size, char *ret_text)
{
    for (size_t i = 0; i < size; i++) {
        (void)snprintf(ret_text + 2 * i, 3, "%02x", bytes[i]);
    }
}

/* RFC 4231, 4.4 and 4.8 (a key longer than a block): nonce and head together are the data. */
static void the_code_is_hmac_sha256(void **state)
{
    uint8_t key[131], data[50], mac[AGENT_MAC_BYTES];
    static const char long_data[] =
        "This is a test using a larger than block-size key and a larger "
        "than block-size data. The key needs to be hashed before being "
        "used by the HMAC algorithm.";
    char text[2 * AGENT_MAC_BYTES + 1];

    (void)state;
    memset(key, 0xaa, sizeof key);
    memset(data, 0xdd, sizeof data);
    agent_mac(slice_of(key, 20), data, slice_of(data + AGENT_NONCE_BYTES, 50 - AGENT_NONCE_BYTES),
              mac);
    put_hex(mac, sizeof mac, text);
    assert_string_equal(text, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    agent_mac(slice_of(key, sizeof key), (const uint8_t *)long_data,
              slice_of_text(long_data + AGENT_NONCE_BYTES), mac);
    put_hex(mac, sizeof mac, text);
    assert_string_equal(text, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

static void options_of_ours_are_taken_and_others_left(void **state)
{
    struct hook_options o = { .reason = NULL };

    (void)state;
    hook_options_take(&o, "ci.skip");
    hook_options_take(&o, "refkeeper");
    hook_options_take(&o, "");
    hook_options_take(&o, "refkeeper.reason=a=b c");
    hook_options_take(&o, "refkeeper.syncReplicas=2");
    assert_string_equal(o.refusal.text, "");
    assert_string_equal(o.reason, "a=b c");
    assert_int_equal(o.sync_replicas, 2);
    hook_options_release(&o);
}

static void wrong_options_refuse_the_push(void **state)
{
    static const char *const wrong[] = {
        "refkeeper.",        "refkeeper.reason",          "refkeeper.reason=",
        "refkeeper.Reason=", "refkeeper.reason=\x1b[31m", "refkeeper.syncReplicas=",
        "refkeeper.x=1",     "refkeeper.syncReplicas=x",  "refkeeper.syncReplicas=33",
    };
    char long_reason[PUSH_REASON_BYTES_MAX + 32] = "refkeeper.reason=";

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct hook_options o = { .reason = NULL };

        hook_options_take(&o, wrong[i]);
        assert_true(o.refusal.text[0] != '\0');
        hook_options_release(&o);
    }
    for (size_t extra = 0; extra < 2; extra++) {
        struct hook_options o = { .reason = NULL };
        size_t size = strlen("refkeeper.reason=");

        memset(long_reason + size, 'x', PUSH_REASON_BYTES_MAX + extra);
        long_reason[size + PUSH_REASON_BYTES_MAX + extra] = '\0';
        hook_options_take(&o, long_reason);
        assert_int_equal(o.refusal.text[0] != '\0', extra == 1);
        hook_options_release(&o);
    }
    for (unsigned extra = 0; extra < 2; extra++) {
        struct hook_options o = { .reason = NULL };

        for (unsigned i = 0; i < PUSH_OPTIONS_MAX + extra; i++) {
            hook_options_take(&o, "x");
        }
        assert_int_equal(o.refusal.text[0] != '\0', extra == 1);
    }
}

static void a_program_is_started_before_its_input_is_known(void **state)
{
    static const char *const cat[] = { "cat", NULL };
    static const size_t size = 300 * 1024; /* more than a socket holds */
    struct process p = { .argv = cat,
                         .awaits_input = true,
                         .deadline_ms = clock_monotonic_ms() + 30000 };
    struct errmsg why = ERRMSG_INIT;
    char *data = heap_alloc(size);

    (void)state;
    memset(data, 'x', size);
    assert_int_equal(process_start(&p, &why), RK_OK);
    assert_true(process_feed(&p, data, size));
    assert_true(process_feed(&p, "y", 1));
    p.input = slice_of_text("z");
    assert_int_equal(process_finish(&p, &why), RK_OK);
    assert_int_equal(p.exit_code, 0);
    assert_int_equal(p.output.size, size + 2);
    assert_memory_equal(p.output.data + size, "yz", 2);
    process_release(&p);
    heap_free(data);
}

static void a_program_that_is_not_needed_is_ended(void **state)
{
    static const char *const cat[] = { "cat", NULL };
    static const char *const fails[] = { "false", NULL };
    struct process p = { .argv = cat, .awaits_input = true };
    struct process f = { .argv = fails,
                         .awaits_input = true,
                         .deadline_ms = clock_monotonic_ms() + 30000 };
    struct errmsg why = ERRMSG_INIT;
    char byte[4096] = "";

    (void)state;
    assert_int_equal(process_start(&p, &why), RK_OK);
    assert_true(p.pid > 0);
    process_release(&p);
    assert_int_equal(p.pid, 0);
    /* One that does not read is told from one that failed at its end. */
    assert_int_equal(process_start(&f, &why), RK_OK);
    while (process_feed(&f, byte, sizeof byte)) {
    }
    process_end_input(&f);
    assert_int_equal(process_finish(&f, &why), RK_OK);
    assert_int_equal(f.exit_code, 1);
    process_release(&f);
}

/* As git does: it cleans up when it is told to end. */
static void a_program_whose_time_is_up_may_clean_up(void **state)
{
    char path[] = "/tmp/refkeeper-test-XXXXXX", script[200];
    const char *const argv[] = { "sh", "-c", script, NULL };
    struct process p = { .argv = argv, .deadline_ms = clock_monotonic_ms() + 500 };
    struct errmsg why = ERRMSG_INIT;
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    (void)close(fd);
    (void)snprintf(script, sizeof script,
                   "trap 'rm %s; kill $!; exit 1' TERM; tail -f /dev/null & wait", path);
    assert_int_equal(process_run(&p, &why), RK_TIMED_OUT);
    assert_int_not_equal(access(path, F_OK), 0);
    process_release(&p);
}

static void a_loose_ref_is_read_without_git(void **state)
{
    char folder[] = "/tmp/refkeeper-test-XXXXXX", path[128], oid[65];
    static const char value[] = "0123456789012345678901234567890123456789";
    FILE *file;

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/refs", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/refs/x", folder);
    file = fopen(path, "w");
    assert_non_null(file);
    (void)fprintf(file, "%s\n", value);
    (void)fclose(file);
    assert_true(git_read_loose(folder, "refs/x", oid));
    assert_string_equal(oid, value);
    assert_false(git_read_loose(folder, "refs/y", oid));
    assert_false(git_read_loose(folder, "refs", oid));
    assert_false(git_read_loose(folder, "refs/../refs/x", oid));
    file = fopen(path, "w");
    assert_non_null(file);
    (void)fprintf(file, "ref: refs/heads/main\n");
    (void)fclose(file);
    assert_false(git_read_loose(folder, "refs/x", oid));
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/refs", folder);
    (void)rmdir(path);
    (void)rmdir(folder);
}

static void the_filter_and_what_is_the_storages_own(void **state)
{
    struct tracked_refs t = { .rules = BUFFER_INIT };
    struct ref_rule rule = { .is_tracked = false, .pattern = slice_of_text("refs/changes/") };

    (void)state;
    assert_true(tracked_refs_has(&t, "refs/changes/1"));
    assert_false(tracked_refs_has(&t, "refs/refkeeper/pin/1"));
    assert_false(tracked_refs_has_filter(&t));
    ref_filter_put(&t.rules, &rule);
    assert_false(tracked_refs_has(&t, "refs/changes/1"));
    assert_true(tracked_refs_has(&t, "refs/heads/main"));
    assert_true(tracked_refs_has_filter(&t));
    tracked_refs_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_code_is_hmac_sha256),
        cmocka_unit_test(options_of_ours_are_taken_and_others_left),
        cmocka_unit_test(wrong_options_refuse_the_push),
        cmocka_unit_test(a_program_is_started_before_its_input_is_known),
        cmocka_unit_test(a_program_that_is_not_needed_is_ended),
        cmocka_unit_test(a_program_whose_time_is_up_may_clean_up),
        cmocka_unit_test(a_loose_ref_is_read_without_git),
        cmocka_unit_test(the_filter_and_what_is_the_storages_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
