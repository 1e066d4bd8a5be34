#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What refkeeper says of a data directory offline, against a second reader of the same files.

tests/golden/disk_reader.py was written from docs/DISK_FORMAT.md alone. On directories of a real
cluster that has done a bit of everything, both must find the same entries, kinds, actors, sessions,
states, snapshots and digests; fsck must then name each place where a byte is changed.
"""
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["RK_SRCDIR"], "tests/golden"))
from cluster import CLI, Cluster, check, run_tests  # noqa: E402
import disk_reader  # noqa: E402

CLUSTER = Cluster(options=("--insecure-peer", "--trailing-entries", "20"))
A, B = "a" * 40, "b" * 40


def offline(*arguments, code=0):
    """The JSON that an offline verb prints."""
    done = subprocess.run([CLI, "-o", "json", *arguments], capture_output=True, text=True,
                          timeout=60)
    check(done.returncode == code, "%s: exit %d, wanted %d\n%s%s" % (
        arguments, done.returncode, code, done.stdout, done.stderr))
    return json.loads(done.stdout)


def cli(*arguments, **more):
    return CLUSTER.cli(*arguments, **more)


def take_snapshots():
    CLUSTER.wait_equal()
    for node in CLUSTER.nodes:
        node.take_snapshot()


def live():
    """A bit of everything that leaves bytes."""
    CLUSTER.start()
    cli("storage", "set", "s1", "--http", "h1:80", "--zone", "z1")
    cli("storage", "set", "s2", "--http", "h2:80")
    cli("repo", "create", "g/a.git", "s1")
    cli("repo", "create", "g/b.git", "s2")
    cli("repo", "register", "g/b.git", "s1")
    cli("repo", "freeze", "g/a.git", "being moved")
    cli("repo", "thaw", "g/a.git")
    cli("repo", "create", "g/old.git", "s1")
    cli("repo", "remove", "g/old.git")
    connection = CLUSTER.leader().resp(30)
    session = connection.call("SESSION.OPEN")
    for i in range(60):
        connection.call("REF.UPDATE", "g/a.git", "refs/heads/topic/%d" % i, "ABSENT", A, "ACTOR",
                        "mary %d" % (i % 3), "REQID", session, i + 1, max(i - 3, 1))
    take_snapshots()
    for i in range(50):
        connection.call("REF.UPDATE", "g/a.git", "refs/heads/topic/%d" % i, A, B, "ACTOR", "joe")
    connection.call("REF.TXN", "g/a.git", "ATOMIC", 2, "refs/tags/x", "ABSENT", A,
                    "refs/heads/topic/59", A, "0" * 40)
    connection.close()
    cli("repo", "rename", "g/b.git", "h/b.git")
    take_snapshots()
    cli("ref", "update", "g/a.git", "refs/heads/last", A, "--create")
    CLUSTER.wait_equal()
    for node in CLUSTER.nodes:
        node.stop()


def log_dump_says_what_the_files_hold():
    live()
    count = 0
    for node in CLUSTER.nodes:
        files = disk_reader.directory(node.data_dir)
        rows = offline("log", "dump", node.data_dir)
        check(len(rows) == len(files["entries"]) > 20, "%d rows" % len(rows))
        for row, entry in zip(rows, files["entries"]):
            decoded = entry["decoded"]
            for name in ("index", "term", "offset", "bytes"):
                check(row[name] == entry[name], "%s of %s is %s" % (name, row, entry[name]))
            check(row["kind"] == decoded["kind"], str((row, decoded)))
            if decoded["kind"] == "envelope":
                actor = decoded["actor"].decode() or None
                check(row["actor"] == actor, str((row, decoded)))
                session = "%d:%d" % (decoded["session"], decoded["sequence"]) \
                    if "session" in decoded else None
                check(row["session"] == session, str((row, decoded)))
                for item in decoded.get("items", ()):
                    check(item["ref"].decode() in row["what"], str((row, item)))
            count += 1
    print("# %d entries compared" % count)


def fsck_says_what_the_files_hold():
    rows = offline("fsck", *[n.data_dir for n in CLUSTER.nodes])
    for node, row in zip(CLUSTER.nodes, rows):
        files = disk_reader.directory(node.data_dir)
        newest = files["snapshots"][-1]
        check(len(files["snapshots"]) == 2, "two snapshots are kept")
        check(row["finding"] == "ok" and row["node"] == files["state"]["node_name"], str(row))
        check(row["term"] == files["state"]["current_term"], str(row))
        check(row["snapshot"] == newest["last_index"], str(row))
        check(row["first"] == files["state"]["base"][0] + 1, str(row))
        check(row["last"] == files["entries"][-1]["index"], str(row))
        check(files["records"] == len(files["entries"]), "a clean stop syncs the index")
        refs = [ref["name"] for repo in newest["state"].repositories for ref in repo["refs"]]
        check(len(refs) + 1 == row["refs"] and b"refs/tags/x" in refs, str((len(refs), row)))
        paths = [r["path"] for r in newest["state"].repositories]
        check(paths == [b"g/a.git", b"h/b.git"], str(paths))
        check([t["path"] for t in newest["state"].tombstones] == [b"g/old.git"], "tombstones")
        check(newest["state"].actors[:1] == [b"joe"], str(newest["state"].actors))
        check(newest["state"].sessions and newest["state"].results, "results of a session")


def equal_states_are_equal_bytes():
    by_index = {}
    for node in CLUSTER.nodes:
        for s in disk_reader.directory(node.data_dir)["snapshots"]:
            by_index.setdefault(s["last_index"], []).append(s["state"].digest)
    for digests in by_index.values():
        check(len(set(digests)) == 1, str(by_index))


def change(path, offset):
    with open(path, "r+b") as f:
        f.seek(offset)
        byte = f.read(1)
        f.seek(offset)
        f.write(bytes([byte[0] ^ 4]))


def fsck_names_the_place_of_each_damage():
    node = CLUSTER.nodes[0]
    files = disk_reader.directory(node.data_dir)
    third = files["entries"][2]
    newest = "raft-snapshot-%d-%d.dat" % (files["snapshots"][-1]["last_index"],
                                          files["snapshots"][-1]["last_term"])
    for name, offset, place, code in (
            ("raft-log.dat", third["offset"] + 30,
             "offset %d: entry %d" % (third["offset"], third["index"]), 8),
            ("raft-index.dat", 47, "offset 40: the record of entry %d" % third["index"], 4),
            ("raft-state.dat", 65536 + 50, "offset 65536: the second copy", 4),
            (newest, 300, newest, 4)):
        copy = node.data_dir + ".copy"
        shutil.copytree(node.data_dir, copy)
        change(os.path.join(copy, name), offset)
        row, = offline("fsck", copy, code=code)
        check(name in row["finding"] and place in row["finding"], "%s: %s" % (name, row["finding"]))
        shutil.rmtree(copy)


try:
    run_tests([log_dump_says_what_the_files_hold, fsck_says_what_the_files_hold,
               equal_states_are_equal_bytes, fsck_names_the_place_of_each_damage])
finally:
    CLUSTER.close()
