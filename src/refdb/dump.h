/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a dumped state.  [docs/DISK_FORMAT.md, dump of the state]
 *
 *   dump     chunks in order of kind, as many of each kind as needed; HEADER and END once
 *   chunk    u32 size of the payload, u8 kind, payload
 *
 *   HEADER       4 bytes "RKDB", u32 version, u64 applied index, u64 applied term,
 *                u64 cluster_ms, u64 membership index, the membership unless that is 0,
 *                seven u64 counts: settings, storages, repositories, refs, sessions, results,
 *                tombstones
 *   SETTINGS     by name:  string name, string record [settings.h]
 *   STORAGES     by name:  string name, string record [storage.h]
 *   REPOSITORIES by path:  u8 1, string path, u64 id, u8 format, u8 state, string head,
 *                          string reason, u64 epoch, u64 last index, u64 number of refs,
 *                          varint primary, varint n, n varint replicas
 *                then its refs in runs, by name:
 *                          u8 2, u32 n, n times: varint shared, varint suffix size, suffix,
 *                          oid, varint last index, varint actor, and if that is the first
 *                          time for this actor: varint size, text
 *   SESSIONS     by id:    u64 id, record [session.h]
 *   RESULTS      by id and sequence:  u64 id, u64 sequence, string result [result.h]
 *   TOMBSTONES   by path:  string path, u64 id, u64 index of the removal
 *   END          the digest of the state, 16 bytes
 *
 * Storages are named by their place in the list above, from 1; actors by the order in which
 * refs name them first, from 1; actor 0 is none.
 * `shared` counts the bytes a name shares with the one before it in the run.
 */
#ifndef REFDB_DUMP_H
#define REFDB_DUMP_H

#include "refdb/state.h"

#define DUMP_MAGIC 0x524b4442U
#define DUMP_VERSION 1
#define DUMP_CHUNK_HEADER_BYTES 5
#define DUMP_CHUNK_BYTES (120 * KIB) /* closed behind the record that passes this: below 256 KiB */
#define DUMP_CHUNK_BYTES_MAX (512 * KIB) /* refused above */
#define DUMP_COUNTS 7

enum dump_kind {
    DUMP_HEADER = 1,
    DUMP_SETTINGS,
    DUMP_STORAGES,
    DUMP_REPOSITORIES,
    DUMP_SESSIONS,
    DUMP_RESULTS,
    DUMP_TOMBSTONES,
    DUMP_END,
    DUMP_DONE, /* nothing follows */
};

enum dump_repository_record {
    DUMP_REPOSITORY = 1,
    DUMP_REFS = 2,
};

#endif
