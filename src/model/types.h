/* SPDX-License-Identifier: Apache-2.0 */
/* The scalars that mean something. */
#ifndef MODEL_TYPES_H
#define MODEL_TYPES_H

#include <stdbool.h>
#include <stdint.h>

typedef uint64_t raft_index; /* position in the log; the first entry is 1, 0 = none */
typedef uint64_t raft_term;  /* 0 = before the first election */
typedef uint64_t node_id;    /* a member; 0 = none */
typedef int64_t time_ms;     /* monotonic milliseconds of this process */

#define INDEX_FMT "%" PRIu64

#endif
