/* SPDX-License-Identifier: Apache-2.0 */
/* One state of refs of one shape, measured in a process of its own. */
#ifndef BENCH_REFDB_MEASURE_H
#define BENCH_REFDB_MEASURE_H

#include "support/ref_set.h"

/* Times are CPU time of the measuring thread unless they say wall. */
struct measured {
    uint64_t refs, repositories;
    double process_bytes;   /* resident, the whole process, when every ref was created */
    double structure_bytes; /* held by the state's maps then */
    double loaded_bytes;    /* resident, the whole process, after loading a snapshot */
    double create_ns, update_ns, lookup_ns, list_ns, page_ns, digest_ns;
    double freeze_ms, thaw_ms;
    double write_s, write_cpu_s;    /* wall: the snapshot file, synced, updates going on */
    double write_bytes;             /* of that file */
    double pause_ms, pause_wall_ms; /* longest turn of the loop meanwhile and until all is freed */
    double during;                  /* updates while it was written */
    double overhead;                /* resident at the most meanwhile, above before; 0.1 = 10 % */
    double load_s, load_cpu_s;      /* wall: verify the file, load it, compare the digest */
};

/* `rate`: updates per second of the thread that writes the snapshot; 0 = as many as can be. */
void measure(const struct ref_set *set, double rate, struct measured *ret);

#endif
