/* SPDX-License-Identifier: Apache-2.0 */
/* What belongs together, and what must not. */
#include <string.h>

#include "daemon/config.h"
#include "daemon/config_value.h"
#include "node/address.h"

static bool is_set(const struct config *c, enum config_key key)
{
    return config_text(c, key) != NULL;
}

/* "listen-http (default): " in front of what is wrong with a value. */
static enum rk_status refuse(const struct config *c, enum config_key key, struct errmsg *why,
                             const char *what)
{
    char source[256];

    if (is_set(c, key)) {
        config_source_text(c, key, source, sizeof source);
        errmsg_set(why, "%s (%s): %s", config_keys[key].key, source, what);
    } else {
        errmsg_set(why, "%s: %s", config_keys[key].key, what);
    }
    return RK_CONFIG;
}

static enum rk_status check_identity(struct config *c, struct errmsg *why)
{
    static const enum config_key needed[] = { CONFIG_NAME, CONFIG_DATA_DIR,
                                              CONFIG_INITIAL_MEMBERS };

    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        bool is_needed = needed[i] != CONFIG_INITIAL_MEMBERS || !config_is_on(c, CONFIG_JOIN);

        if (is_needed && !is_set(c, needed[i])) {
            errmsg_set(why, "%s is not set; give --%s %s", config_keys[needed[i]].key,
                       config_keys[needed[i]].key, config_keys[needed[i]].value);
            return RK_CONFIG;
        }
    }
    if (config_text(c, CONFIG_DATA_DIR)[0] != '/') {
        return refuse(c, CONFIG_DATA_DIR, why, "the path must be absolute");
    }
    return RK_OK;
}

static enum rk_status check_members(struct config *c, struct errmsg *why)
{
    const char *advertised = config_text(c, CONFIG_ADVERTISE_PEER);
    const struct member *self;
    enum rk_status status;

    if (!is_set(c, CONFIG_INITIAL_MEMBERS)) {
        return RK_OK;
    }
    status = config_members_parse(config_text(c, CONFIG_INITIAL_MEMBERS), &c->members, why);
    if (status != RK_OK || config_is_on(c, CONFIG_JOIN)) {
        return status;
    }
    self = membership_find_name(&c->members, config_text(c, CONFIG_NAME));
    if (self == NULL) {
        char what[128];

        snprintf(what, sizeof what, "this node, %s, is not among them",
                 config_text(c, CONFIG_NAME));
        return refuse(c, CONFIG_INITIAL_MEMBERS, why, what);
    }
    if (advertised != NULL && strcmp(advertised, self->peer_address) != 0) {
        buffer_printf(&c->warnings,
                      "advertise-peer %s differs from this node's address in initial-members, %s\n",
                      advertised, self->peer_address);
    }
    if (c->members.count % 2 == 0) {
        buffer_printf(&c->warnings,
                      "%u initial members survive no more failures than %u would: an odd number "
                      "is better\n",
                      c->members.count, c->members.count - 1);
    }
    return RK_OK;
}

/* Either none of a certificate's files, or those that belong to it. */
static enum rk_status check_files(struct config *c, enum config_key ca, enum config_key cert,
                                  enum config_key key, bool needs_ca, struct errmsg *why)
{
    if (is_set(c, cert) && !is_set(c, key)) {
        return refuse(c, cert, why, "the key that belongs to it is not set");
    }
    if (is_set(c, key) && !is_set(c, cert)) {
        return refuse(c, key, why, "the certificate that belongs to it is not set");
    }
    if (is_set(c, ca) && !is_set(c, cert)) {
        return refuse(c, ca, why, "needs a certificate and a key of this node, too");
    }
    if (is_set(c, cert) && needs_ca && !is_set(c, ca)) {
        return refuse(c, cert, why, "the CA that signs the other side's is not set");
    }
    return RK_OK;
}

static enum rk_status check_peer_security(struct config *c, struct errmsg *why)
{
    bool is_insecure = config_is_on(c, CONFIG_INSECURE_PEER);
    enum rk_status status = check_files(c, CONFIG_PEER_CA, CONFIG_PEER_CERT, CONFIG_PEER_KEY, true,
                                        why);

    if (status != RK_OK) {
        return status;
    }
    if (is_set(c, CONFIG_PEER_CERT) && is_insecure) {
        return refuse(c, CONFIG_INSECURE_PEER, why,
                      "peer-cert is set, too: it is either TLS or plaintext");
    }
    if (!is_set(c, CONFIG_PEER_CERT) && !is_insecure) {
        errmsg_set(why,
                   "peer-ca, peer-cert and peer-key are not set; nodes talk by TLS "
                   "(scripts/make-certs makes certificates) unless --insecure-peer says "
                   "that whoever reaches %s may take over the cluster",
                   config_text(c, CONFIG_LISTEN_PEER));
        return RK_CONFIG;
    }
    if (is_insecure) {
        buffer_printf(&c->warnings, "insecure-peer: nodes talk without TLS on %s\n",
                      config_text(c, CONFIG_LISTEN_PEER));
    }
    return RK_OK;
}

static bool is_loopback(const struct config *c, enum config_key key)
{
    struct address address;

    return address_parse(config_text(c, key), &address, NULL) == RK_OK &&
           address_is_loopback(&address);
}

static enum rk_status check_client_listener(struct config *c, enum config_key key,
                                            struct errmsg *why)
{
    bool asks_who = config_is_on(c, CONFIG_CLIENT_REQUIRE_CERT) ||
                    is_set(c, CONFIG_CLIENT_PASSWORDS);

    if (is_loopback(c, key) || asks_who) {
        return RK_OK;
    }
    if (!config_is_on(c, CONFIG_INSECURE_CLIENT_LISTEN)) {
        return refuse(c, key, why,
                      "reaches beyond this machine, and clients are not asked who they are: set "
                      "client-require-cert or client-passwords, or --insecure-client-listen");
    }
    buffer_printf(&c->warnings,
                  "insecure-client-listen: whoever reaches %s can change every repository\n",
                  config_text(c, key));
    return RK_OK;
}

static enum rk_status check_client_security(struct config *c, struct errmsg *why)
{
    bool requires_cert = config_is_on(c, CONFIG_CLIENT_REQUIRE_CERT);
    enum rk_status status = check_files(c, CONFIG_CLIENT_CA, CONFIG_CLIENT_CERT, CONFIG_CLIENT_KEY,
                                        requires_cert, why);

    if (status == RK_OK && requires_cert && !is_set(c, CONFIG_CLIENT_CERT)) {
        status = refuse(c, CONFIG_CLIENT_REQUIRE_CERT, why,
                        "needs client-ca, client-cert and client-key");
    }
    if (status == RK_OK) {
        status = check_client_listener(c, CONFIG_LISTEN_CLIENT, why);
    }
    if (status == RK_OK) {
        status = check_client_listener(c, CONFIG_LISTEN_HTTP, why);
    }
    if (status == RK_OK && is_set(c, CONFIG_CLIENT_PASSWORDS) && !is_set(c, CONFIG_CLIENT_CERT)) {
        buffer_printf(&c->warnings, "client-passwords without client-cert: passwords travel "
                                    "without encryption\n");
    }
    return status;
}

static enum rk_status check_addresses(struct config *c, struct errmsg *why)
{
    static const enum config_key listens[] = { CONFIG_LISTEN_PEER, CONFIG_LISTEN_CLIENT,
                                               CONFIG_LISTEN_HTTP };
    static const enum config_key advertises[] = { CONFIG_ADVERTISE_PEER, CONFIG_ADVERTISE_CLIENT,
                                                  CONFIG_ADVERTISE_HTTP };
    struct address at[3];

    for (int i = 0; i < 3; i++) {
        if (address_parse(config_text(c, listens[i]), &at[i], why) != RK_OK) {
            return RK_CONFIG;
        }
        for (int j = 0; j < i; j++) {
            if (strcmp(at[i].host, at[j].host) == 0 && strcmp(at[i].port, at[j].port) == 0 &&
                address_port(&at[i]) != 0) {
                return refuse(c, listens[i], why, "another port listens there already");
            }
        }
        if (i > 0 && at[i].host[0] == '\0' && !is_set(c, advertises[i])) {
            buffer_printf(&c->warnings,
                          "%s has no host and %s is not set: other nodes cannot "
                          "tell clients where this one is\n",
                          config_keys[listens[i]].key, config_keys[advertises[i]].key);
        }
    }
    return RK_OK;
}

static enum rk_status check_times(struct config *c, struct errmsg *why)
{
    if (config_number(c, CONFIG_ELECTION_TIMEOUT) <
        5 * config_number(c, CONFIG_HEARTBEAT_INTERVAL)) {
        return refuse(c, CONFIG_ELECTION_TIMEOUT, why,
                      "must be at least five times heartbeat-interval");
    }
    return RK_OK;
}

enum rk_status config_validate(struct config *c, struct errmsg *why)
{
    enum rk_status (*const checks[])(struct config *, struct errmsg *) = {
        check_identity, check_members,       check_addresses,
        check_times,    check_peer_security, check_client_security,
    };
    enum rk_status status = RK_OK;

    for (size_t i = 0; status == RK_OK && i < sizeof checks / sizeof checks[0]; i++) {
        status = checks[i](c, why);
    }
    return status;
}
