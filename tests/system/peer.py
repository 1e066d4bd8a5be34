# SPDX-License-Identifier: Apache-2.0
"""A node's side of the protocol between nodes, written from docs/PROTOCOL.md and nothing else."""
import socket
import struct
import zlib

HELLO, HELLO_REFUSED, MESSAGE, FORWARD, FORWARD_REPLY, CHANGE, CHANGE_REPLY, DIGEST = range(1, 9)
(REQUEST_VOTE, REQUEST_VOTE_REPLY, APPEND_ENTRIES, APPEND_ENTRIES_REPLY, INSTALL_SNAPSHOT,
 INSTALL_SNAPSHOT_REPLY, READ_INDEX, READ_INDEX_REPLY, TIMEOUT_NOW) = range(1, 10)
HEADER_BYTES = 12
ENTRIES = 1  # flag of a frame

# code: (names, struct format) of the fields behind code, flags, from, to and term
BODIES = {
    REQUEST_VOTE: (("last_log_index", "last_log_term"), ">QQ"),
    REQUEST_VOTE_REPLY: ((), ">"),
    APPEND_ENTRIES: (("prev_log_index", "prev_log_term", "leader_commit", "read_sequence", "count",
                      "bytes"), ">QQQQII"),
    APPEND_ENTRIES_REPLY: (("match_index", "reject_index", "conflict_index", "conflict_term",
                            "last_log_index", "read_sequence"), ">QQQQQQ"),
    INSTALL_SNAPSHOT: (("last_index", "last_term", "offset", "file_bytes", "bytes"), ">QQQQI"),
    INSTALL_SNAPSHOT_REPLY: (("last_index", "stored_bytes"), ">QQ"),
    READ_INDEX: (("token",), ">Q"),
    READ_INDEX_REPLY: (("token", "read_index"), ">QQ"),
    TIMEOUT_NOW: ((), ">"),
}


class Refused(Exception):
    """HELLO_REFUSED: its status word and sentence."""


def text(value):
    value = value.encode()
    return struct.pack(">B", len(value)) + value


def string(value):
    return struct.pack(">I", len(value)) + value


def frame(kind, payload):
    header = struct.pack(">IBBH", len(payload), kind, 0, 0)
    return header + struct.pack(">I", zlib.crc32(header + payload)) + payload


def register_repo(path, storage):
    """An encoded command (docs/DISK_FORMAT.md)."""
    return b"\x01" + struct.pack(">I", 2) + string(path.encode()) + string(storage.encode())


def message(code, sender, target, term, flags=0, tail=b"", **fields):
    names, body = BODIES[code]
    values = [fields.get(name, 0) for name in names]
    return struct.pack(">BBHQQQ", code, flags, 0, sender, target, term) + \
        struct.pack(body, *values) + tail


def parse_entries(data):
    entries = []
    while data:
        term, index, crc, size = struct.unpack(">QQII", data[:24])
        command = data[24:24 + size]
        assert zlib.crc32(data[:16] + command) == crc and len(command) == size
        entries.append((term, index, command))
        data = data[24 + size:]
    return entries


def parse_message(payload):
    code, flags, zero, sender, target, term = struct.unpack(">BBHQQQ", payload[:28])
    names, body = BODIES[code]
    size = struct.calcsize(body)
    m = dict(zip(names, struct.unpack(body, payload[28:28 + size])))
    m.update(code=code, flags=flags, sender=sender, target=target, term=term,
             tail=payload[28 + size:])
    assert zero == 0 and len(m["tail"]) == m.get("bytes", 0)
    if code == APPEND_ENTRIES:
        m["entries"] = parse_entries(m["tail"])
        assert len(m["entries"]) == m["count"]
    return m


class Hello:
    def __init__(self, sender, target, name, **changes):
        self.version_min = self.version_max = 1
        self.cluster_id = bytes(16)
        self.sender, self.target, self.name = sender, target, name
        self.incarnation, self.boot_count, self.features, self.flags = 77, 1, 0, 1
        self.client_address = self.http_address = self.target_name = ""
        self.membership_index = self.target_incarnation = 0
        self.more = b""
        for key, value in changes.items():
            setattr(self, key, value)

    def encode(self):
        return struct.pack(">II16sQQQQQB", self.version_min, self.version_max, self.cluster_id,
                           self.sender, self.target, self.incarnation, self.boot_count,
                           self.features, self.flags) + \
            text(self.name) + text(self.client_address) + text(self.http_address) + \
            struct.pack(">QQ", self.membership_index, self.target_incarnation) + \
            text(self.target_name) + self.more

    @staticmethod
    def parse(payload):
        h = Hello(0, 0, "")
        (h.version_min, h.version_max, h.cluster_id, h.sender, h.target, h.incarnation,
         h.boot_count, h.features, h.flags) = struct.unpack(">II16sQQQQQB", payload[:65])
        at, texts = 65, []
        for _ in range(3):
            size = payload[at]
            texts.append(payload[at + 1:at + 1 + size].decode())
            at += 1 + size
        h.name, h.client_address, h.http_address = texts
        h.membership_index, h.target_incarnation = struct.unpack(">QQ", payload[at:at + 16])
        h.target_name = payload[at + 17:at + 17 + payload[at + 16]].decode()
        assert at + 17 + payload[at + 16] == len(payload)
        return h


class Connection:
    def __init__(self, port, timeout=10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def send(self, kind, payload):
        self.socket.sendall(frame(kind, payload))

    def read(self):
        """(type, payload) of the next frame; None when the other side closed."""
        header = self.file.read(HEADER_BYTES)
        if len(header) < HEADER_BYTES:
            return None
        length, kind, flags, head, crc = struct.unpack(">IBBHI", header)
        payload = self.file.read(length)
        assert len(payload) == length and flags in (0, ENTRIES)
        covered = payload[:head] if flags == ENTRIES else payload
        assert zlib.crc32(header[:8] + covered) == crc and (flags == ENTRIES or head == 0)
        return kind, payload

    def shake_hands(self, hello):
        """The HELLO of the other side."""
        self.send(HELLO, hello.encode())
        kind, payload = self.read() or (None, b"")
        if kind == HELLO_REFUSED:
            size = payload[0]
            word, rest = payload[1:1 + size].decode(), payload[1 + size:]
            assert rest[0] == len(rest) - 1
            raise Refused(word, rest[1:].decode())
        assert kind == HELLO, "closed"
        return Hello.parse(payload)

    def is_closed(self):
        """Reads until the other side closes; False when it does not within the timeout."""
        try:
            while self.read() is not None:
                pass
            return True
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def close(self):
        self.file.close()
        self.socket.close()
