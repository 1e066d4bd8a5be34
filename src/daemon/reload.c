/* SPDX-License-Identifier: Apache-2.0 */
/* SIGHUP: judge the new configuration as a whole, then take up what can change while running. */
#include <string.h>

#include "daemon/daemon.h"
#include "daemon/logging.h"
#include "sys/clock.h"

static bool can_change(enum config_key key)
{
    return key == CONFIG_LOG_LEVEL || key == CONFIG_LOG_FORMAT || key == CONFIG_PEER_CA ||
           key == CONFIG_PEER_CERT || key == CONFIG_PEER_KEY || key == CONFIG_CLIENT_CA ||
           key == CONFIG_CLIENT_CERT || key == CONFIG_CLIENT_KEY || key == CONFIG_CLIENT_PASSWORDS;
}

static bool is_changed(const struct config *a, const struct config *b, enum config_key key)
{
    const char *old = config_text(a, key), *new = config_text(b, key);

    return (old == NULL) != (new == NULL) || (old != NULL && strcmp(old, new) != 0);
}

static enum rk_status check_changes(const struct config *old, const struct config *new,
                                    struct errmsg *why)
{
    static const enum config_key fixed[] = { CONFIG_PEER_CERT, CONFIG_CLIENT_CERT,
                                             CONFIG_CLIENT_PASSWORDS };

    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        if ((config_text(old, fixed[i]) == NULL) != (config_text(new, fixed[i]) == NULL)) {
            errmsg_set(why, "%s cannot be set or taken away without a restart",
                       config_keys[fixed[i]].key);
            return RK_CONFIG;
        }
    }
    for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (!can_change((enum config_key)i) && is_changed(old, new, (enum config_key)i)) {
            log_warn("reload: %s has changed; that needs a restart", config_keys[i].key);
        }
    }
    return daemon_check_files(new, why);
}

/* Puts the new value in force and leaves the old one to be released. */
static void swap_values(struct daemon *d, struct config *fresh)
{
    for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (can_change((enum config_key)i)) {
            struct config_value old = d->config.values[i];

            d->config.values[i] = fresh->values[i];
            fresh->values[i] = old;
        }
    }
}

/* The two halves were judged before, so that the second fails only if a file changed since. */
static enum rk_status take_up_certificates(struct daemon *d, const struct config *fresh,
                                           struct errmsg *why)
{
    struct tls_options storage;
    const struct tls_options *tls = daemon_peer_tls(fresh, &storage);
    enum rk_status status = RK_OK;

    if (tls != NULL) {
        status = node_reload_peer_tls(d->node, tls, why);
    }
    tls = daemon_client_tls(fresh, &storage);
    if (status == RK_OK && tls != NULL && d->server != NULL) {
        status = server_reload_tls(d->server, tls, why);
    }
    return status;
}

static enum rk_status take_up(struct daemon *d, struct config *fresh, struct errmsg *why)
{
    const char *path = config_text(fresh, CONFIG_CLIENT_PASSWORDS);
    struct passwords *passwords = NULL;
    enum rk_status status = RK_OK;

    if (path != NULL) {
        status = passwords_open(path, &passwords, why);
    }
    if (status == RK_OK) {
        status = take_up_certificates(d, fresh, why);
    }
    if (status != RK_OK) {
        passwords_close(passwords);
        return status;
    }
    passwords_close(d->passwords);
    d->passwords = passwords;
    swap_values(d, fresh);
    logging_open((enum node_log_level)config_number(&d->config, CONFIG_LOG_LEVEL),
                 (enum config_format)config_number(&d->config, CONFIG_LOG_FORMAT),
                 config_text(&d->config, CONFIG_NAME));
    daemon_learn_certificates(d);
    return RK_OK;
}

void daemon_reload(struct daemon *d)
{
    struct errmsg why = ERRMSG_INIT;
    struct config fresh;
    enum rk_status status = config_load(&fresh, d->argc, d->argv, d->environment, &why);

    if (status == RK_OK) {
        status = check_changes(&d->config, &fresh, &why);
    }
    if (status == RK_OK) {
        status = take_up(d, &fresh, &why);
    }
    config_release(&fresh);
    d->reload_failed = status != RK_OK;
    if (d->reload_failed) {
        log_error("reload: %s; everything stays as it was", why.text);
        return;
    }
    d->reloaded_wall_ms = clock_wall_ms();
    log_info("reloaded: log level and format, certificates, passwords");
}
