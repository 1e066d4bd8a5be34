/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks up host names without stopping the loop.
 *
 * A lookup is getaddrinfo() on a thread of its own: it honours /etc/hosts, search domains and
 * name service modules as every other program of the machine does, and a name server that
 * does not answer delays only the peer that is asked for.  At most one lookup runs per peer,
 * so there are at most MEMBERS_MAX threads.  Numeric addresses never come here.
 */
#ifndef NODE_RESOLVER_H
#define NODE_RESOLVER_H

#include <event2/event.h>

#include "node/address.h"

#define RESOLVER_ADDRESSES_MAX 8 /* of one name; more are not tried */

struct lookup;

/* `error` NULL: `count` >= 1 addresses.  The lookup is gone after this. */
typedef void (*lookup_fn)(void *context, const char *error, const struct address_socket *found,
                          unsigned count);

/* NULL when the system has no thread or descriptor left; `done` is then not called. */
struct lookup *lookup_start(struct event_base *base, const struct address *address, lookup_fn done,
                            void *context);

/* The callback will not come; the thread ends by itself.  Accepts NULL. */
void lookup_cancel(struct lookup *l);

#endif
