/* SPDX-License-Identifier: Apache-2.0 */
/* What the process is allowed, and what it uses. */
#ifndef DAEMON_PROCESS_H
#define DAEMON_PROCESS_H

#include "base/bytes.h"
#include "daemon/config.h"

/* umask 077, SIGPIPE ignored, as many descriptors as the system grants, no core dump and no
 * debugger when keys are in memory.  Warns when the descriptors do not suffice. */
void process_prepare(const struct config *c);

struct process_facts {
    uint64_t resident_bytes;
    double cpu_seconds;
    uint64_t open_descriptors, descriptors_max;
};
void process_get_facts(struct process_facts *ret_facts);

#endif
