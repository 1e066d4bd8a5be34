#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The bytes of log and index once more, from their description alone.

  seed_codec.py write DIR N   writes N entries as raft-log.dat and raft-index.dat, and lists them
  seed_codec.py read DIR      checks both files byte by byte, and lists the entries
  seed_codec.py               as a test: both directions against the program beside it

A listing has one line per entry: index term length-of-command crc.
"""

import os
import struct
import subprocess
import sys
import tempfile
import zlib


def string(text):
    return struct.pack(">I", len(text)) + text


def command(tag, *fields):
    if tag == 3:
        storage, paths = fields
        head = b"\3" + string(storage) + struct.pack(">I", len(paths))
        return head + b"".join(map(string, paths))
    return bytes([tag]) + struct.pack(">I", len(fields)) + b"".join(map(string, fields))


def entry(term, index, body):
    crc = zlib.crc32(struct.pack(">QQ", term, index) + body)
    return struct.pack(">QQII", term, index, crc, len(body)) + body


def example(i):
    path = b"group/%d.git" % i
    return (
        lambda: command(0, path, b"refs/heads/main", b"0" * 40, b"%040x" % i),
        lambda: command(1, path, b"s%d" % (i % 3)),
        lambda: command(2, path),
        lambda: command(3, b"s1", [b"p%d" % k for k in range(i % 50)]),
        lambda: bytes([200, i % 256]),  # no command anyone knows, in a sound entry
    )[i % 5]()


def line(term, index, body):
    return "%d %d %d %08x" % (index, term, len(body),
                              zlib.crc32(struct.pack(">QQ", term, index) + body))


def write(directory, count):
    log = b""
    records = b""
    lines = []
    for i in range(1, count + 1):
        term = 1 + i // 100
        encoded = entry(term, i, example(i))
        records += struct.pack(">QQI", i, len(log), len(encoded))
        log += encoded
        lines.append(line(term, i, example(i)))
    for name, data in (("raft-log.dat", log), ("raft-index.dat", records)):
        with open(os.path.join(directory, name), "wb") as file:
            file.write(data)
    return lines


def read(directory):
    with open(os.path.join(directory, "raft-log.dat"), "rb") as file:
        log = file.read()
    with open(os.path.join(directory, "raft-index.dat"), "rb") as file:
        records = file.read()
    lines = []
    offset = 0
    while offset < len(log):
        term, index, crc, size = struct.unpack_from(">QQII", log, offset)
        body = log[offset + 24:offset + 24 + size]
        assert len(body) == size and log[offset:offset + 24 + size] == entry(term, index, body)
        expected = struct.pack(">QQI", index, offset, 24 + size)
        assert records[20 * len(lines):20 * len(lines) + 20] == expected, "index record %d" % index
        lines.append(line(term, index, body))
        offset += 24 + size
    assert len(records) == 20 * len(lines), "index records behind the log"
    return lines


def listing(program, directory):
    done = subprocess.run([program, "list", directory], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def test():
    program = os.path.join(os.environ["RK_BUILDDIR"], "tests/golden/log_listing")
    golden = ("0000000000000001" "0000000000000001" "23793a59" "00000016"
              "01" "00000002" "00000007" "612f622e676974" "00000002" "7331")
    print("1..4")
    assert entry(1, 1, command(1, b"a/b.git", b"s1")).hex() == golden
    print("ok 1 - the golden entry")
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as theirs:
        subprocess.run([program, "new", ours, "20"], check=True)
        lines = write(ours, 1234)
        found = listing(program, ours)
        assert found == lines
        print("ok 2 - recovery reads each entry written here")
        assert read(ours) == lines
        print("ok 3 - and leaves the files as they were")
        subprocess.run([program, "fill", theirs, "777"], check=True)
        found = listing(program, theirs)
        assert read(theirs) == found and len(found) == 777
        print("ok 4 - files written by storage are read here")


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "write":
        print("\n".join(write(sys.argv[2], int(sys.argv[3]))))
    elif len(sys.argv) == 3 and sys.argv[1] == "read":
        print("\n".join(read(sys.argv[2])))
    elif len(sys.argv) == 1:
        test()
    else:
        sys.exit(__doc__)
