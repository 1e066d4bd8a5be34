/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ssh_command.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/heap.h"
#include "model/refname.h"

/* git's own quoting: '...' with '\'' and '\!' for the two that it escapes; or no quotes at all. */
static bool dequote(const char *text, char *out, size_t size, const char **ret_rest)
{
    bool is_quoted = false;
    size_t used = 0;

    for (; *text != '\0' && (is_quoted || *text != ' '); text++) {
        char c = *text;

        if (c == '\'') {
            is_quoted = !is_quoted;
            continue;
        }
        if (c == '\\' && !is_quoted && (text[1] == '\'' || text[1] == '!')) {
            c = *++text;
        }
        if (used + 1 >= size) {
            return false;
        }
        out[used++] = c;
    }
    out[used] = '\0';
    *ret_rest = text;
    return !is_quoted;
}

/* "git-upload-pack" as well as "git upload-pack"; NULL = none of ours. */
static const char *take_service(const char **at)
{
    static const char *const services[] = { "git-upload-pack", "git-receive-pack",
                                            "git-upload-archive" };

    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++) {
        size_t size = strlen(services[i]);

        if (strncmp(*at, "git", 3) == 0 && ((*at)[3] == '-' || (*at)[3] == ' ') &&
            strncmp(*at + 4, services[i] + 4, size - 4) == 0 && (*at)[size] == ' ') {
            *at += size + 1;
            return services[i];
        }
    }
    return NULL;
}

enum rk_status ssh_command_parse(const char *text, struct ssh_command *ret_command,
                                 struct errmsg *why)
{
    char path[PATH_BYTES_MAX + 2];
    const char *at = text;
    const char *service = take_service(&at);
    const char *bare = path;

    if (service == NULL) {
        errmsg_set(why, "only git-upload-pack, git-receive-pack and git-upload-archive are served");
        return RK_BADARG;
    }
    if (!dequote(at, path, sizeof path, &at) || *at != '\0') {
        errmsg_set(why, "one repository path is expected behind %s", service);
        return RK_BADARG;
    }
    bare += path[0] == '/' ? 1 : 0;
    /* A dash in front would be an option to git. */
    if (bare[0] == '-' || !repository_path_is_valid(slice_of_text(bare))) {
        errmsg_set(why, "this is no path of a repository: %s", bare);
        return RK_BADARG;
    }
    ret_command->service = service;
    ret_command->is_write = strcmp(service, "git-receive-pack") == 0;
    snprintf(ret_command->path, sizeof ret_command->path, "%s", bare);
    return RK_OK;
}

char *ssh_command_format(const struct ssh_command *command)
{
    struct buffer out = BUFFER_INIT;

    buffer_printf(&out, "%s '", command->service);
    for (const char *p = command->path; *p != '\0'; p++) {
        if (*p == '\'' || *p == '!') {
            buffer_printf(&out, "'\\%c'", *p);
        } else {
            buffer_put_u8(&out, (uint8_t)*p);
        }
    }
    buffer_printf(&out, "'");
    buffer_put_u8(&out, '\0');
    return (char *)out.data;
}

static bool is_host_text(const char *text)
{
    return text[0] != '\0' && text[0] != '-' &&
           text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                             "._-@:%")] == '\0';
}

enum rk_status ssh_address_parse(const char *text, struct ssh_address *ret_address,
                                 struct errmsg *why)
{
    const char *open = strchr(text, '['), *close = strchr(text, ']');
    const char *colon = strrchr(close == NULL ? text : close, ':');
    const char *port = colon == NULL ? "" : colon + 1;
    const char *user_end = strrchr(text, '@');
    int size = 0;

    if (close != NULL && open != NULL && open < close) {
        size = snprintf(ret_address->destination, sizeof ret_address->destination, "%.*s%.*s",
                        (int)(user_end == NULL ? 0 : user_end + 1 - text), text,
                        (int)(close - open - 1), open + 1);
    } else {
        size = snprintf(ret_address->destination, sizeof ret_address->destination, "%.*s",
                        (int)(colon == NULL ? strlen(text) : (size_t)(colon - text)), text);
    }
    if (size < 0 || size >= (int)sizeof ret_address->destination ||
        !is_host_text(ret_address->destination) || strlen(port) >= sizeof ret_address->port ||
        port[strspn(port, "0123456789")] != '\0' || (colon != NULL && port[0] == '\0')) {
        errmsg_set(why, "the ssh address is not [user@]host[:port]: %s", text);
        return RK_BADARG;
    }
    snprintf(ret_address->port, sizeof ret_address->port, "%s", port);
    return RK_OK;
}
