#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads a whole data directory, written from docs/DISK_FORMAT.md alone.

  disk_reader.py DIR     prints state, entries, index records and snapshots as JSON

Every rule of that page is asserted: sizes, CRCs, orders, counts, references, no byte left over.
tests/system/test_disk_format.py compares what it finds with what refkeeper says.
"""
import hashlib
import json
import os
import re
import struct
import sys
import zlib

SLOT_BYTES = 65536
NUMBER_MAX = 1 << 62
M64 = (1 << 64) - 1


class Damaged(Exception):
    """The bytes are not what the page says."""


def need(condition, text):
    if not condition:
        raise Damaged(text)


class Reader:
    """A cursor over bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def bytes(self, size):
        need(len(self.data) - self.at >= size, "the data ends early")
        piece = self.data[self.at:self.at + size]
        self.at += size
        return piece

    def number(self, size):
        return int.from_bytes(self.bytes(size), "big")

    def u8(self):
        return self.number(1)

    def u16(self):
        return self.number(2)

    def u32(self):
        return self.number(4)

    def u64(self):
        return self.number(8)

    def signed(self):
        return int.from_bytes(self.bytes(8), "big", signed=True)

    def string(self):
        return self.bytes(self.u32())

    def short(self):
        return self.bytes(self.number(2))

    def text(self):
        return self.bytes(self.u8()).decode()

    def varint(self):
        value = shift = 0
        while True:
            byte = self.u8()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                need(byte != 0 or shift == 7, "a varint with a byte too many")
                return value

    def left(self):
        return len(self.data) - self.at

    def end(self):
        need(self.left() == 0, "%d bytes too many" % self.left())


# ---- Parts that several files have ----

def membership(r):
    found = {"cluster_id": r.bytes(16).hex(), "members": []}
    before = 0
    for _ in range(r.u8()):
        member = {"id": r.u64(), "incarnation": r.u64(), "flags": r.u8(), "name": r.text(),
                  "peer": r.text(), "client": r.text(), "http": r.text()}
        need(member["id"] > before, "member ids do not rise")
        before = member["id"]
        found["members"].append(member)
    need(len(found["members"]) <= 16, "too many members")
    found["feature_level"] = r.u32()
    return found


def oid_text(raw):
    return raw.hex()


# ---- raft-state.dat ----

def slot(data):
    need(data[:8] == b"RKSTATE\n", "no state slot")
    version, size, generation, crc, zero = struct.unpack(">IIQII", data[8:32])
    need(32 + size <= len(data), "a slot that is cut off")
    whole = data[:32 + size]
    need(zlib.crc32(whole[:24] + whole[28:]) == crc, "the crc of a slot")
    need(version == 1 and zero == 0, "version %d" % version)
    r = Reader(whole[32:])
    s = {"generation": generation, "promised_ms": r.u16(), "flags": r.u16(),
         "current_term": r.u64(),
         "voted_for": r.u64(), "cluster_id": r.bytes(16).hex(), "node_name": r.string().decode(),
         "id": r.u64(), "incarnation": r.u64(), "boot_count": r.u64(), "feature_level": r.u32(),
         "newest_term": r.u64(), "base": (r.u64(), r.u64()),
         "checkpoint": (r.u64(), r.u64(), r.u64()), "pending_base": (r.u64(), r.u64()),
         "pending_checkpoint": (r.u64(), r.u64(), r.u64())}
    s["repair"] = [(r.u64(), r.u64(), r.u64()) for _ in range(r.u32())]
    need(len(s["repair"]) <= 1, "ranges under repair")
    s["committed"] = (r.u64(), membership(r))
    s["latest"] = (r.u64(), membership(r))
    s["peers"] = [(r.u64(), r.u64(), r.u64()) for _ in range(r.u32())]
    r.end()
    for name in ("current_term", "boot_count", "newest_term"):
        need(s[name] <= NUMBER_MAX, name)
    return s


def state(data):
    """The newer of two slots; both are checked when both are there."""
    found = []
    for start in (0, SLOT_BYTES):
        try:
            found.append(slot(data[start:start + SLOT_BYTES]))
        except Damaged:
            pass
    need(found, "neither slot is readable")
    return max(found, key=lambda s: s["generation"])


# ---- raft-log.dat, raft-index.dat ----

def fold(h, word):
    x = ((h ^ word) * 0x9e3779b97f4a7c15) & M64
    return x ^ (x >> 32)


def log(data, base):
    """All entries, and the hash after each."""
    entries = []
    index, term = base
    h = fold(fold(0, index), term)
    offset = 0
    while len(data) - offset >= 24 and any(data[offset:offset + 24]):
        entry_term, entry_index, crc, size = struct.unpack_from(">QQII", data, offset)
        command = data[offset + 24:offset + 24 + size]
        need(len(command) == size, "the entry at %d is cut off" % offset)
        need(zlib.crc32(data[offset:offset + 16] + command) == crc, "the crc at %d" % offset)
        need(entry_index == index + 1 and entry_term >= term, "the order at %d" % offset)
        index, term = entry_index, entry_term
        h = fold(fold(fold(h, term), index), crc << 32 | size)
        entries.append({"index": index, "term": term, "offset": offset, "bytes": 24 + size,
                        "command": command, "hash": h})
        offset += 24 + size
    need(not any(data[offset:]), "bytes behind the last entry")
    return entries


def index(data, entries):
    """Records of the entries, from the first on; the newest may not be there yet."""
    count = 0
    for at in range(0, len(data) - len(data) % 20, 20):
        record = data[at:at + 20]
        if not any(record):
            break
        need(count < len(entries), "a record behind the last entry")
        e = entries[count]
        need(struct.unpack(">QQI", record) == (e["index"], e["offset"], e["bytes"]),
             "the record at %d" % at)
        count += 1
    need(not any(data[20 * count:]), "bytes behind the last record")
    return count


# ---- Commands ----

KINDS = {0: "ref_update", 1: "register_repo", 2: "remove_repo", 3: "set_primary", 16: "noop",
         17: "membership", 18: "envelope", 19: "create_repo", 20: "rename_repo", 21: "set_head",
         22: "set_state", 23: "remove_replica", 24: "set_storage", 25: "remove_storage",
         26: "open_session", 27: "set_limits", 28: "set_filter", 29: "move_primary"}


def fixed_strings(r, count):
    need(r.u32() == count, "the number of strings")
    return [r.string() for _ in range(count)]


def strings(r):
    return [r.string() for _ in range(r.u32())]


def by_bits(r, bits, readers):
    """Fields whose bits are set, in the order of the bits."""
    need(bits < 1 << len(readers), "a bit that nobody knows")
    return [read() for i, read in enumerate(readers) if bits >> i & 1]


PLAIN = {
    0: lambda r: fixed_strings(r, 4),
    1: lambda r: fixed_strings(r, 2),
    2: lambda r: fixed_strings(r, 1),
    3: lambda r: [r.string(), strings(r)],
    16: lambda r: [],
    17: lambda r: [membership(r)],
    19: lambda r: [r.string(), r.string(), r.u8(), r.string(), strings(r)],
    20: lambda r: [r.u8(), r.string(), r.string()],
    21: lambda r: [r.string(), r.string()],
    22: lambda r: [r.string(), r.u8(), r.string()],
    23: lambda r: [r.string(), r.string()],
    24: lambda r: [r.string(), by_bits(r, r.u8(), [r.string, r.string, r.string, r.u8])],
    25: lambda r: [r.string()],
    26: lambda r: [],
    27: lambda r: by_bits(r, r.u8(), [r.u64] * 4),
    28: lambda r: [(r.u8(), r.string()) for _ in range(r.u32())],
    29: lambda r: [r.string(), [(r.string(), r.u64()) for _ in range(r.u32())]],
}


def ref_item(r):
    flags = r.u8()
    item = {"flags": flags, "ref": r.short()}
    if flags & 3 == 2:
        item["old"] = oid_text(r.bytes(32 if flags & 8 else 20))
    if not flags & 4:
        item["new"] = oid_text(r.bytes(32 if flags & 16 else 20))
    return item


def envelope(r):
    e = {"kind": "envelope", "flags": r.u8(), "inner": r.u8()}
    need(r.u8() == 0 and e["inner"] <= 1, "an envelope")
    e["wall_ms"], e["cluster_ms"] = r.signed(), r.signed()
    if e["flags"] & 16:
        e["session"], e["sequence"], e["lowest"] = r.u64(), r.u64(), r.u64()
    if e["flags"] & 2:
        e["epoch"] = r.u64()
    if e["flags"] & 8:
        e["id"] = r.u64()
    if e["flags"] & 4:
        e["storage"] = r.short()
    e["actor"], e["reason"] = r.short(), r.short()
    if e["inner"] == 0:
        e["path"] = r.short()
        e["items"] = [ref_item(r) for _ in range(r.u32())]
        need(e["path"] and 1 <= len(e["items"]) <= 20000, "a batch of ref updates")
    else:
        tag = r.u8()
        need(tag in PLAIN and tag not in (16, 17), "the command in an envelope")
        e["command"] = {"kind": KINDS[tag], "fields": PLAIN[tag](r)}
    return e


def command(data):
    r = Reader(data)
    tag = r.u8()
    need(tag in KINDS, "tag %d" % tag)
    found = envelope(r) if tag == 18 else {"kind": KINDS[tag], "fields": PLAIN[tag](r)}
    r.end()
    return found


# ---- raft-snapshot-*.dat ----

def snapshot(data):
    r = Reader(data)
    need(r.bytes(8) == b"RKSNAP1\n", "no snapshot")
    need(r.u32() == 1, "the version of a snapshot")
    header_bytes = r.u32()
    s = {"cluster_id": r.bytes(16).hex(), "last_index": r.u64(), "last_term": r.u64(),
         "membership_index": r.u64(), "feature_level": r.u32()}
    block_max = r.u32()
    s["membership"] = membership(r)
    need(r.u32() == zlib.crc32(data[:r.at - 4]) and r.at == header_bytes, "the header's crc")
    raw = b""
    blocks = 0
    while True:
        start = r.at
        raw_size = r.u32()
        if raw_size == 0:
            break
        stored_size, crc = r.u32(), r.u32()
        stored = r.bytes(stored_size)
        need(raw_size <= block_max, "a block that is too large")
        need(zlib.crc32(data[start:start + 8] + stored) == crc, "the crc of a block at %d" % start)
        block = stored if stored_size == raw_size else zlib.decompress(stored)
        need(len(block) == raw_size, "the size of a block")
        raw += block
        blocks += 1
    need((r.u32(), r.u64(), r.u64()) == (blocks, len(raw), len(data)), "the trailer")
    need(r.u32() == zlib.crc32(data[start:start + 24]), "the trailer's crc")
    need(hashlib.sha256(data[:r.at]).digest() == r.bytes(32), "the digest of a snapshot")
    r.end()
    s["state"] = dump(raw)
    return s


# ---- The dump of the state ----

def chunks(raw):
    r = Reader(raw)
    while r.left():
        size = r.u32()
        need(size <= 256 * 1024, "a chunk that is too large")
        kind = r.u8()
        yield kind, Reader(r.bytes(size))


class Dump:
    """Collects the records of all chunks."""

    def __init__(self):
        self.kind = 0
        self.header = None
        self.settings, self.storages, self.repositories = {}, [], []
        self.sessions, self.results, self.tombstones = [], 0, []
        self.actors = []
        self.digest = None

    def take(self, kind, r):
        need(kind >= self.kind and self.digest is None, "chunks out of order")
        self.kind = kind
        if kind in (1, 8):
            (self.take_header if kind == 1 else self.take_end)(r)
        while r.left():
            (self.take_setting, self.take_storage, self.take_repository, self.take_session,
             self.take_result, self.take_tombstone)[kind - 2](r)

    def take_header(self, r):
        need(r.bytes(4) == b"RKDB" and r.u32() == 1, "the header of the state")
        h = {"applied_index": r.u64(), "applied_term": r.u64(), "time_ms": r.u64(),
             "membership_index": r.u64()}
        h["membership"] = membership(r) if h["membership_index"] else None
        h["counts"] = [r.u64() for _ in range(7)]
        r.end()
        self.header = h

    def take_setting(self, r):
        name, record = r.string().decode(), Reader(r.string())
        if name == "limits":
            self.settings[name] = [record.u64() for _ in range(4)]
        else:
            need(name == "filter", "setting " + name)
            self.settings[name] = PLAIN[28](record)
        record.end()

    def take_storage(self, r):
        name, record = r.string(), Reader(r.string())
        need(not self.storages or name > self.storages[-1]["name"], "storages out of order")
        self.storages.append({"name": name, "last_index": record.u64(), "state": record.u8(),
                              "addresses": [record.string() for _ in range(3)]})
        record.end()

    def storage_name(self, number):
        need(1 <= number <= len(self.storages), "storage %d" % number)
        return self.storages[number - 1]["name"]

    def take_repository(self, r):
        kind = r.u8()
        if kind == 2:
            return self.take_refs(r)
        need(kind == 1, "a record of repositories")
        repo = {"path": r.string(), "id": r.u64(), "format": r.u8(), "state": r.u8(),
                "head": r.string(), "reason": r.string(), "epoch": r.u64(), "last_index": r.u64(),
                "ref_count": r.u64(), "primary": self.storage_name(r.varint())}
        repo["replicas"] = [self.storage_name(r.varint()) for _ in range(r.varint())]
        repo["refs"] = []
        need(not self.repositories or repo["path"] > self.repositories[-1]["path"], "paths")
        self.repositories.append(repo)
        return None

    def take_refs(self, r):
        repo = self.repositories[-1]
        oid_bytes = 32 if repo["format"] == 2 else 20
        before = b""
        for _ in range(r.u32()):
            shared = r.varint()
            need(shared <= len(before), "a shared prefix")
            name = before[:shared] + r.bytes(r.varint())
            need(not repo["refs"] or name > repo["refs"][-1]["name"], "refs out of order")
            ref = {"name": name, "oid": oid_text(r.bytes(oid_bytes)), "last_index": r.varint()}
            ref["actor"] = self.actor(r, r.varint())
            repo["refs"].append(ref)
            before = name

    def actor(self, r, number):
        if number > len(self.actors):
            need(number == len(self.actors) + 1, "actor %d" % number)
            self.actors.append(r.bytes(r.varint()))
        return self.actors[number - 1] if number else None

    def take_session(self, r):
        self.sessions.append({"id": r.u64(), "last_index": r.u64(), "last_time": r.u64(),
                              "floor": r.u64(), "results": r.u64(), "bytes": r.u64()})

    def take_result(self, r):
        need(r.u64() in [s["id"] for s in self.sessions], "a result of no session")
        r.u64()
        r.string()
        self.results += 1

    def take_tombstone(self, r):
        self.tombstones.append({"path": r.string(), "id": r.u64(), "index": r.u64()})

    def take_end(self, r):
        self.digest = r.bytes(16).hex()
        r.end()


def dump(raw):
    d = Dump()
    for kind, r in chunks(raw):
        need(1 <= kind <= 8, "chunks of kind %d" % kind)
        d.take(kind, r)
    need(d.header is not None and d.digest is not None, "a dump without header or end")
    refs = sum(len(repo["refs"]) for repo in d.repositories)
    need([len(d.settings), len(d.storages), len(d.repositories), refs, len(d.sessions), d.results,
          len(d.tombstones)] == d.header["counts"], "the counts of the header")
    need(all(len(repo["refs"]) == repo["ref_count"] for repo in d.repositories), "number of refs")
    return d


# ---- A directory ----

NAME = re.compile(r"raft-snapshot-(\d+)-(\d+)\.dat$")


def read_file(directory, name):
    with open(os.path.join(directory, name), "rb") as f:
        return f.read()


def directory(path):
    s = state(read_file(path, "raft-state.dat"))
    need(s["flags"] == 0, "a start or a replacement was cut short")
    entries = log(read_file(path, "raft-log.dat"), s["base"])
    records = index(read_file(path, "raft-index.dat"), entries)
    for e in entries:
        e["decoded"] = command(e["command"])
        if e["index"] == s["checkpoint"][0]:
            need((e["term"], e["hash"]) == s["checkpoint"][1:], "the checkpoint's hash")
    snapshots = []
    for name in sorted(os.listdir(path)):
        match = NAME.match(name)
        if match:
            found = snapshot(read_file(path, name))
            need([int(match.group(1)), int(match.group(2))] ==
                 [found["last_index"], found["last_term"]], "the name of " + name)
            need(found["state"].header["applied_index"] == found["last_index"], "applied index")
            snapshots.append(found)
    snapshots.sort(key=lambda found: found["last_index"])
    return {"state": s, "entries": entries, "records": records, "snapshots": snapshots}


def main():
    def plain(value):
        return value.decode(errors="replace") if isinstance(value, bytes) else vars(value)
    json.dump(directory(sys.argv[1]), sys.stdout, default=plain, indent=1)


if __name__ == "__main__":
    main()
