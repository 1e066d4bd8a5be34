/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of our commands, shared by decoder and encoder  [docs/DISK_FORMAT.md, Commands].
 *
 *   string        u32 length, bytes
 *   short string  u16 length, bytes
 *
 *   16 noop, 26 open session   nothing
 *   17 membership              model/membership.c
 *   18 envelope                below
 *   19 create repo             string path, string primary, u8 format, string head,
 *                              u32 n, n strings
 *   20 rename repo             u8 is_prefix, string from, string to
 *   21 set head                string path, string refname
 *   22 set state               string path, u8 state, string reason
 *   23 remove replica          string path, string storage
 *   24 set storage             string name, u8 fields, then those set, in this order:
 *                              string http, string ssh, string zone, u8 state
 *   25 remove storage          string name
 *   27 set limits              u8 fields, then u64 for each that is set, in this order:
 *                              repositories, refs, bytes, refs of a repository
 *   28 set filter              u32 n, n rules: u8 is_tracked, string pattern
 *   29 move primary            string storage, u32 n, n times: string path, u64 seen index
 *
 *   envelope    u8 tag, u8 flags, u8 kind, u8 zero, u64 wall_ms, u64 cluster_ms,
 *               [u64 session, u64 sequence, u64 lowest_unanswered]  HAS_SESSION
 *               [u64 epoch] HAS_EPOCH  [u64 repository id] HAS_ID  [short storage] HAS_STORAGE
 *               short actor, short reason,
 *               kind 0: short path, u32 n, n items      kind 1: one encoded command
 *   item        u8 flags, short refname, [old oid], [new oid]
 */
#ifndef MODEL_COMMAND_BYTES_H
#define MODEL_COMMAND_BYTES_H

#define ENVELOPE_WALL_OFFSET 4
#define ENVELOPE_CLUSTER_OFFSET 12
#define ENVELOPE_HEADER_BYTES 20

#define ENVELOPE_FLAGS_ALL                                                                         \
    (ENVELOPE_ATOMIC | ENVELOPE_HAS_EPOCH | ENVELOPE_HAS_STORAGE | ENVELOPE_HAS_ID |               \
     ENVELOPE_HAS_SESSION | ENVELOPE_FORCE)

#define SET_STORAGE_FIELDS_ALL                                                                     \
    (SET_STORAGE_HTTP | SET_STORAGE_SSH | SET_STORAGE_ZONE | SET_STORAGE_STATE)

#define SET_LIMITS_FIELDS_ALL ((1 << LIMIT_COUNT) - 1)

#define FILTER_RULE_BYTES_MIN 5 /* of an encoded rule */

enum envelope_kind {
    ENVELOPE_KIND_UPDATES = 0,
    ENVELOPE_KIND_COMMAND = 1,
};

enum item_flags {
    ITEM_OLD_MASK = 3,        /* enum old_value */
    ITEM_DELETE = 1 << 2,     /* no new oid follows */
    ITEM_OLD_SHA256 = 1 << 3, /* the old oid has 32 bytes, not 20; only with OLD_OID */
    ITEM_NEW_SHA256 = 1 << 4, /* the new oid has 32 bytes, not 20; never with DELETE */
};
#define ITEM_FLAGS_ALL 31
#define ITEM_BYTES_MIN 3

/* A short string that did not fit is written as this length alone; the decoder refuses it. */
#define SHORT_STRING_REFUSED 0xffff

#endif
