/* SPDX-License-Identifier: Apache-2.0 */
/* When our certificates end: known, told early, and exported. */
#include <inttypes.h>

#include "daemon/daemon.h"
#include "daemon/logging.h"
#include "sys/clock.h"

#define DAY_S (24 * 3600)
#define WARN_DAYS 30

void daemon_learn_certificates(struct daemon *d)
{
    static const enum config_key keys[2] = { CONFIG_PEER_CERT, CONFIG_CLIENT_CERT };
    int64_t now_s = clock_wall_ms() / 1000;

    for (int i = 0; i < 2; i++) {
        struct daemon_certificate *certificate = &d->certificates[i];
        const char *path = config_text(&d->config, keys[i]);
        int64_t days;

        certificate->key = keys[i];
        certificate->is_known = path != NULL && tls_file_not_after(path, &certificate->not_after_s);
        if (!certificate->is_known) {
            continue;
        }
        days = (certificate->not_after_s - now_s) / DAY_S;
        if (certificate->not_after_s <= now_s) {
            log_error("%s %s has expired", config_keys[keys[i]].key, path);
        } else if (days < WARN_DAYS) {
            log_warn("%s %s expires in %" PRId64 " days", config_keys[keys[i]].key, path, days);
        }
    }
}
