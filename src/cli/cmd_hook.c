/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refkeeper hook proc-receive: the conversation with git receive-pack.  [githooks(5)]
 *
 *   git   version=1 [NUL features], flush
 *   we    version=1 [NUL those we share], flush
 *   git   "old new ref" per ref, flush; push options, flush, when negotiated
 *   we    "ok ref" or "ng ref reason" per ref, flush
 *
 * Once the conversation is finished the exit status is 0, whatever was refused.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "cli/hook.h"
#include "cli/hook_journal.h"
#include "cli/hook_pack.h"
#include "cli/pkt_line.h"
#include "cli/verbs.h"
#include "model/oid.h"

static bool is_in_list(const char *list, const char *word)
{
    size_t size = strlen(word);

    for (const char *at = list; at != NULL && *at != '\0';) {
        size_t length = strcspn(at, " ");

        if (length == size && memcmp(at, word, size) == 0) {
            return true;
        }
        at += length;
        at += *at == ' ' ? 1 : 0;
    }
    return false;
}

static bool write_out(const struct buffer *out)
{
    return fwrite(out->data, 1, out->size, stdout) == out->size && fflush(stdout) == 0;
}

/* version=1 and what both sides can do. */
static enum rk_status greet(struct hook_push *push, struct errmsg *why)
{
    struct buffer packet = BUFFER_INIT, out = BUFFER_INIT, line = BUFFER_INIT;
    bool is_flush = false;
    const char *features = "";
    enum rk_status status = pkt_read(stdin, &packet, &is_flush, why);

    if (status == RK_OK && (is_flush || strcmp((const char *)packet.data, "version=1") != 0)) {
        errmsg_set(why, "git speaks another version of proc-receive");
        status = RK_PROTOCOL;
    }
    if (status == RK_OK) {
        if (packet.size > strlen("version=1")) {
            features = (const char *)packet.data + strlen("version=1") + 1;
        }
        push->is_atomic = is_in_list(features, "atomic");
        push->has_options = is_in_list(features, "push-options");
        buffer_printf(&line, "version=1");
        buffer_put_u8(&line, '\0');
        buffer_printf(&line, "%s%s", push->has_options ? "push-options " : "",
                      push->is_atomic ? "atomic" : "");
        pkt_put(&out, buffer_slice(&line));
        pkt_put_flush(&out);
    }
    while (status == RK_OK && !is_flush) {
        status = pkt_read(stdin, &packet, &is_flush, why);
    }
    if (status == RK_OK && !write_out(&out)) {
        errmsg_set(why, "answer git: %s", strerror(errno));
        status = RK_IO;
    }
    buffer_release(&packet);
    buffer_release(&out);
    buffer_release(&line);
    return status;
}

static bool parse_oid(const char *text, char ret_hex[65], bool *ret_is_null)
{
    struct oid oid;

    if (oid_parse(slice_of_text(text), &oid) != RK_OK) {
        return false;
    }
    oid_format(&oid, ret_hex);
    *ret_is_null = oid_is_null(&oid);
    return true;
}

static enum rk_status add_ref(struct hook_push *push, char *line, struct errmsg *why)
{
    char *new_oid = strchr(line, ' ');
    char *name = new_oid == NULL ? NULL : strchr(new_oid + 1, ' ');
    struct hook_ref *ref;

    if (name == NULL) {
        errmsg_set(why, "git sent a command that is not \"old new ref\"");
        return RK_PROTOCOL;
    }
    *new_oid++ = '\0';
    *name++ = '\0';
    if (push->count == push->capacity) {
        push->capacity = push->capacity == 0 ? 16 : 2 * push->capacity;
        push->refs = heap_grow(push->refs, push->capacity * sizeof *push->refs);
    }
    ref = &push->refs[push->count];
    *ref = (struct hook_ref){ .state = HOOK_ASKED };
    if (!parse_oid(line, ref->old_oid, &ref->is_create) ||
        !parse_oid(new_oid, ref->new_oid, &ref->is_delete)) {
        errmsg_set(why, "git sent a command with a bad object id");
        return RK_PROTOCOL;
    }
    ref->name = heap_copy_text(name, strlen(name));
    push->count++;
    return RK_OK;
}

static enum rk_status read_refs(struct hook_push *push, struct errmsg *why)
{
    struct buffer packet = BUFFER_INIT;
    bool is_flush = false;
    enum rk_status status = RK_OK;

    while (status == RK_OK) {
        status = pkt_read(stdin, &packet, &is_flush, why);
        if (status != RK_OK || is_flush) {
            break;
        }
        status = add_ref(push, (char *)packet.data, why);
    }
    is_flush = !push->has_options;
    while (status == RK_OK && !is_flush) {
        status = pkt_read(stdin, &packet, &is_flush, why);
        if (status == RK_OK && !is_flush) {
            hook_options_take(&push->options, (const char *)packet.data);
        }
    }
    buffer_release(&packet);
    return status;
}

static bool answer(const struct hook_push *push)
{
    struct buffer out = BUFFER_INIT, line = BUFFER_INIT;
    bool is_ok;

    for (size_t i = 0; i < push->count; i++) {
        const struct hook_ref *ref = &push->refs[i];

        buffer_clear(&line);
        if (ref->state == HOOK_DONE) {
            buffer_printf(&line, "ok %s", ref->name);
        } else {
            buffer_printf(&line, "ng %s %s", ref->name,
                          ref->reason == NULL ? "refkeeper: not decided" : ref->reason);
        }
        pkt_put(&out, buffer_slice(&line));
    }
    pkt_put_flush(&out);
    is_ok = write_out(&out);
    buffer_release(&out);
    buffer_release(&line);
    return is_ok;
}

static void ask_cluster(struct hook_push *push)
{
    hook_check_policy(push);
    if (hook_has_state(push, HOOK_ASKED)) {
        hook_sync(push);
    }
    if (hook_has_state(push, HOOK_ASKED)) {
        hook_journal_write(push);
        hook_apply_prepare(push);
        hook_decide(push);
    }
    if (hook_has_state(push, HOOK_DECIDED)) {
        hook_apply(push);
    }
}

static void decide(struct hook_push *push)
{
    if (push->options.refusal.text[0] != '\0') {
        hook_refuse_all(push, "refkeeper: %s", push->options.refusal.text);
        return;
    }
    /* Each gets ready while the others do; what is waited for first is started first. */
    git_config_start(&push->place.config);
    if (!hook_pack_start_early(push)) {
        hook_apply_start(push);
        hook_journal_write(push);
    }
    if (hook_setup(push)) {
        ask_cluster(push);
    }
    hook_apply_let_go(push);
    if (!push->is_uncertain) {
        hook_journal_drop(push);
    }
}

static void release(struct hook_push *push)
{
    for (size_t i = 0; i < push->count; i++) {
        heap_free(push->refs[i].name);
        heap_free(push->refs[i].reason);
    }
    heap_free(push->refs);
    heap_free(push->journal);
    hook_options_release(&push->options);
    process_release(&push->writer);
    process_release(&push->packer);
    if (push->pack >= 0) {
        (void)close(push->pack);
    }
    hook_place_release(&push->place);
}

int cmd_hook_proc_receive(struct cli *cli, int argc, char **argv)
{
    struct hook_push push = { .cli = cli, .pack = -1 };
    struct errmsg why = ERRMSG_INIT;
    enum rk_status status;

    if (cli_parse(cli, argc, argv, NULL, 0, 0, 0) < 0) {
        return EXIT_USAGE;
    }
    status = greet(&push, &why);
    if (status == RK_OK) {
        status = read_refs(&push, &why);
    }
    if (status == RK_OK) {
        decide(&push);
        if (!answer(&push)) {
            errmsg_set(&why, "answer git: %s", strerror(errno));
            status = RK_IO;
        }
    }
    release(&push);
    return status == RK_OK ? 0 : cli_fail_text(cli, status, "%s", why.text);
}
