#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A data directory stays below what docs/DISK_FORMAT.md states, while entries keep coming,
snapshots are taken and the log is cut; files that are gone but still open count too."""
import os
import threading
import time

from cluster import Cluster, check, wait_until
from torture import LONG, REPO, run, value

MIB = 1 << 20
COMPACT = 8 * MIB
TRAILING = 2000
ACTOR = "a" * 240
ENTRY = 340  # bytes of an update with such an actor
REFS = 20000
WRITERS = 3
CUTS = 40 if LONG else 6
OPTIONS = ("--insecure-peer", "--log-compact-bytes", str(COMPACT), "--trailing-entries",
           str(TRAILING))


class Load(threading.Thread):
    """Updates with long actors, 64 in a pipeline, until it is stopped."""

    def __init__(self, node, number):
        super().__init__(daemon=True)
        self.node, self.number = node, number
        self.is_stopping = False
        self.count = 0

    def run(self):
        connection = self.node.resp(60)
        while not self.is_stopping:
            for _ in range(64):
                name = "refs/heads/w%d/%05d" % (self.number, self.count % REFS)
                connection.send("REF.UPDATE", REPO, name, "ANY", value(self.count + 1), "ACTOR",
                                ACTOR)
                self.count += 1
            for _ in range(64):
                connection.read()
        connection.close()


def paths_in_use(node):
    """Of the directory, and of what is deleted but still open."""
    for name in os.listdir(node.data_dir):
        yield os.path.join(node.data_dir, name)
    fds = "/proc/%d/fd" % node.pid()
    for fd in os.listdir(fds):
        path = os.path.join(fds, fd)
        try:
            target = os.readlink(path)
        except OSError:
            continue
        if target.startswith(node.data_dir) and target.endswith(" (deleted)"):
            yield path


def measure(node):
    """Bytes of the disk, and those of the largest snapshot.  A file that is renamed meanwhile
    counts once."""
    used, snapshot = {}, 0
    for path in paths_in_use(node):
        try:
            found = os.stat(path)
        except OSError:
            continue
        used[found.st_ino] = 512 * found.st_blocks
        if "raft-snapshot-" in path:
            snapshot = max(snapshot, found.st_size)
    return sum(used.values()), snapshot


def bound(snapshot):
    """As docs/DISK_FORMAT.md states it.  What is appended while a snapshot is written and the log
    is copied is less than COMPACT here."""
    tail = TRAILING * ENTRY
    log = 2 * COMPACT + COMPACT + tail + 16 * MIB
    copy = COMPACT + COMPACT + tail + 16 * MIB
    index = 20 * (log + copy) // ENTRY + 2 * MIB
    reserve = 2 * (2 * MIB + snapshot * 5 // 4 + 10000 * ENTRY)
    return 3 * snapshot + log + copy + index + reserve + 128 * 1024


def cuts(node):
    with open(node.log_path) as f:
        return f.read().count("taken")


def disk_use_is_bounded():
    cluster = Cluster(1, OPTIONS)
    node = cluster.nodes[0]
    try:
        cluster.start()
        connection = node.resp()
        connection.call("REPO.REGISTER", REPO, "s1")
        connection.close()
        loads = [Load(node, i) for i in range(WRITERS)]
        for load in loads:
            load.start()
        peak, snapshot = 0, 0
        deadline = time.monotonic() + (600 if LONG else 90)
        while cuts(node) < CUTS:
            used, largest = measure(node)
            peak, snapshot = max(peak, used), max(snapshot, largest)
            check(time.monotonic() < deadline and node.is_alive(), node.log_tail(3))
        for load in loads:
            load.is_stopping = True
        for load in loads:
            load.join(60)
        most = bound(snapshot)
        check(peak <= most, "%d bytes on disk, stated are at most %d" % (peak, most))
        check(peak > 2 * COMPACT, "nothing was measured: %d bytes" % peak)
        return "at most %.1f MiB on disk of the %.1f stated, over %d snapshots of up to %.1f MiB " \
            "and %d updates" % (peak / MIB, most / MIB, CUTS, snapshot / MIB,
                                sum(load.count for load in loads))
    finally:
        cluster.close()


run([disk_use_is_bounded])
