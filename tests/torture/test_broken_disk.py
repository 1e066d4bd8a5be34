#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Disks that fail under a real kernel, and disks that are full.

    EIO      each write to the block device fails from some moment on: what a node acknowledges
             after that would be a lie. It ends with exit code 74; the disk healed and mounted
             again, everything acknowledged is there
    ENOSPC   a small tmpfs fills up, by the node's own files or by those of others: no node ends;
             updates are refused with NOSPACE only when a majority lacks space, reads go on, a node
             starts and votes on a full disk; once there is space, updates go on by themselves, and
             nothing acknowledged is lost
"""
import os
import subprocess
import tempfile
import threading
import time

from cluster import Cluster, RespError, check, wait_until
from disk import Disk
from torture import REPO, Skip, Writer, check_refs, list_refs, own_mounts, run

OPTIONS = ("--insecure-peer", "--election-timeout", "500ms", "--heartbeat-interval", "50ms")
IO_ERROR = 74
COMPACTS_S = 30  # a snapshot every 5 s, the reserve taken back 10 s after it; the rest is slack
READS_S = 10  # its first entry has its space: an election or two, and one timeout of a read
HEALS_S = 13  # the reserve is given away for 10 s and looked after every second; the rest is slack
WRITERS = 4


def cluster_in(directory, logs, size=1):
    cluster = Cluster(size, OPTIONS, directory)
    for node in cluster.nodes:
        node.log_path = os.path.join(logs, node.name + ".log")
    return cluster


def begin(cluster):
    cluster.start()
    connection = cluster.leader().resp()
    connection.call("REPO.REGISTER", REPO, "s1")
    connection.close()


def start_writers(node, first=0):
    writers = [Writer(node, first + i) for i in range(WRITERS)]
    for w in writers:
        w.start()
    return writers


def count(writers):
    return sum(w.count for w in writers)


def finish(writers):
    for w in writers:
        w.is_stopping = True
    for w in writers:
        w.join(60)
        check(not w.is_alive(), "a writer still waits for its reply")


def check_nothing_lost(node, writers):
    connection = node.resp(30)
    refs = list_refs(connection)
    connection.close()
    for w in writers:
        lost = check_refs(refs, w.names(), w.acknowledged, w.tried)
        check(not lost, "%d acknowledged updates are lost: %s" % (len(lost), lost[:3]))


def start_again(cluster):
    node = cluster.nodes[0]
    node.start()
    wait_until(lambda: cluster.leader() or not node.is_alive(), 60, "it is back")
    check(node.is_alive(), "it does not start again:\n" + node.log_tail(5))


def writes_fail(kind):
    disk = Disk(kind, can_fail=True)
    cluster = None
    with tempfile.TemporaryDirectory(prefix="refkeeper-test-") as logs:
        try:
            cluster = cluster_in(disk.mountpoint, logs)
            node = cluster.nodes[0]
            begin(cluster)
            writers = start_writers(node)
            wait_until(lambda: count(writers) > 2000, 60, "2000 updates")
            disk.fail()
            wait_until(lambda: not node.is_alive(), 60, "the node has ended")
            code = node.process.wait()
            node.process = None
            check(code == IO_ERROR, "exit code %d:\n%s" % (code, node.log_tail(4)))
            finish(writers)
            disk.heal()
            disk.unmount()
            disk.mount()
            start_again(cluster)
            check_nothing_lost(node, writers)
            check(node.stop() == 0, "no clean stop")
            return "EIO on %s: exit code 74, %d acknowledged updates, 0 lost, 0 false" % (
                kind, count(writers))
        finally:
            if cluster is not None:
                cluster.nodes[0].kill()
            disk.close()


def eio_on_ext4():
    return writes_fail("ext4")


def eio_on_xfs():
    return writes_fail("xfs")


class SmallDisk:
    """A tmpfs."""

    def __init__(self, size):
        self.path = tempfile.mkdtemp(prefix="refkeeper-disk-")
        self.is_mounted = False
        self.mount("size=" + size)

    def mount(self, options):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", self.path],
                              capture_output=True, text=True)
        if done.returncode != 0:
            os.rmdir(self.path)
            raise Skip("cannot mount a tmpfs: " + done.stderr.strip())
        self.is_mounted = True

    def grow(self, size):
        subprocess.run(["mount", "-o", "remount,size=" + size, self.path], check=True)

    def close(self):
        subprocess.run(["umount", "-l", self.path])
        os.rmdir(self.path)


def refusals(writers):
    total = {}
    for w in writers:
        for word, n in w.refusals.items():
            total[word] = total.get(word, 0) + n
    return total


class Greedy(threading.Thread):
    """Another program on the same disk: it takes whatever is free, until it is stopped."""

    def __init__(self, disk):
        super().__init__(daemon=True)
        self.path = os.path.join(disk.path, "greedy")
        self.is_stopping = threading.Event()

    def run(self):
        with open(self.path, "wb", buffering=0) as f:
            piece = bytes(1 << 20)
            while not self.is_stopping.is_set():
                try:
                    f.write(piece)
                except OSError:  # a part of it may have been written
                    piece = bytes(4096)
                    self.is_stopping.wait(0.002)

    def let_go(self):
        self.is_stopping.set()
        self.join()
        os.unlink(self.path)


def is_refused(writers, count):
    return refusals(writers).get("NOSPACE", 0) > count


def is_full(node):
    status = node.status()
    return status is not None and status["disk_full"] == 1


def goes_on(node, number, within=HEALS_S):
    """Updates succeed again without anybody's help; in how many seconds."""
    started = time.monotonic()
    while True:
        writer = Writer(node, number, refs=1)
        writer.start()
        wait_until(lambda: writer.count > 0 or writer.error or refusals([writer]), within,
                   "an answer")
        finish([writer])
        if writer.count > 0:
            return time.monotonic() - started
        check(time.monotonic() - started < within, "no update within %d s of space: %s %s" % (
            within, writer.error, refusals([writer])))


def check_alive(cluster):
    for node in cluster.nodes:
        check(node.is_alive(), "%s has ended:\n%s" % (node.name, node.log_tail(4)))


def restart_on_full_disk(cluster, node, how):
    how()
    node.start()
    wait_until(lambda: not node.is_alive() or knows_leader(node), 30, node.name + " is back")
    check_alive(cluster)


def knows_leader(node):
    status = node.status()
    return status is not None and status["leader"] is not None


def serves_reads(node):
    connection = node.resp(30)
    try:
        list_refs(connection)
        return True
    except RespError as error:
        check(error.word == "NOLEADER", str(error))
        return False
    finally:
        connection.close()


def a_full_disk():
    if os.geteuid() != 0:
        raise Skip("needs root")
    disk = SmallDisk("40m")
    cluster = None
    with tempfile.TemporaryDirectory(prefix="refkeeper-test-") as logs:
        try:
            cluster = cluster_in(disk.path, logs)
            node = cluster.nodes[0]
            begin(cluster)
            writers = start_writers(node)
            wait_until(lambda: not node.is_alive() or is_refused(writers, 100), 120,
                       "the disk is full")
            check_alive(cluster)
            check_nothing_lost(node, writers)  # reads go on
            finish(writers)
            goes_on(node, 99, COMPACTS_S)  # what compaction leaves is enough
            greedy = Greedy(disk)
            greedy.start()
            more = start_writers(node, WRITERS)
            wait_until(lambda: is_refused(more, 100), 60, "NOSPACE")
            finish(more)
            writers += more
            # Those under way found space, or were refused: none is left waiting for it.
            check(set(refusals(writers)) == {"NOSPACE"}, "refusals: %s" % refusals(writers))
            for how in (lambda: check(node.stop(30) == 0, "no clean stop"), node.kill):
                restart_on_full_disk(cluster, node, how)
                wait_until(lambda: serves_reads(node), READS_S, "reads after a restart")
                check_nothing_lost(node, writers)
            disk.grow("400m")
            greedy.let_go()
            seconds = goes_on(node, 100)
            check_nothing_lost(node, writers)
            check(node.stop(30) == 0, "no clean stop")
            return ("a full disk: refused %s and served reads, also started on it; %d acknowledged "
                    "updates, 0 lost; %.1f s after there was space it went on by itself" % (
                        refusals(writers), count(writers), seconds))
        finally:
            if cluster is not None:
                cluster.nodes[0].kill()
            disk.close()


class Three:
    """Three nodes, each on a disk of its own."""

    def __init__(self, size, logs):
        self.disks = []
        self.greedy = {}
        self.cluster = cluster_in(logs, logs, 3)
        for node in self.cluster.nodes:
            self.disks.append(SmallDisk(size))
            node.data_dir = os.path.join(self.disks[-1].path, "data")

    def fill(self, node):
        self.greedy[node] = Greedy(self.disks[self.cluster.nodes.index(node)])
        self.greedy[node].start()
        wait_until(lambda: is_full(node), 30, node.name + " is short of space")

    def give_space(self, node):
        self.greedy.pop(node).let_go()

    def close(self):
        for node in list(self.greedy):
            self.give_space(node)
        for node in self.cluster.nodes:
            node.kill()
        for disk in self.disks:
            disk.close()


def is_stuck(node):
    """It was sent entries that find no space."""
    status = node.status()
    return status is not None and status["durable_index"] < status["last_log_index"]


def one_full_of_three(three):
    """Updates go on; it restarts, votes while entries wait for space, and is not lost."""
    cluster = three.cluster
    full = cluster.followers()[0]
    writers = start_writers(cluster.leader())
    three.fill(full)
    restart_on_full_disk(cluster, full, full.kill)
    before = count(writers)
    wait_until(lambda: is_stuck(full), 60, "entries wait for space on " + full.name)
    wait_until(lambda: count(writers) > before + 5000, 60, "updates with one disk full of three")
    check(not refusals(writers), "refused with one disk full of three: %s" % refusals(writers))
    leader = cluster.leader()
    term = leader.status()["term"]
    wait_until(lambda: is_stuck(full), 60, "entries wait for space on " + full.name)
    leader.kill()
    finish(writers)
    wait_until(lambda: cluster.leader() is not None, 20, "a leader by the vote of " + full.name)
    check(full.is_alive() and full.status()["term"] > term, "its term was not saved")
    leader.start()
    wait_until(lambda: knows_leader(leader), 30, leader.name + " is back")
    three.give_space(full)
    cluster.wait_equal()
    check_nothing_lost(full, writers)
    return count(writers)


def two_full_of_three(three):
    """Updates are refused, reads go on; with space on one disk updates go on.  What was under way
    when the second disk filled up may stay unknown: it happens once there is space."""
    cluster = three.cluster
    full = cluster.followers()
    writers = start_writers(cluster.leader(), WRITERS)
    for node in full:
        three.fill(node)
    wait_until(lambda: is_refused(writers, 100), 60, "NOSPACE")
    finish(writers)
    check(set(refusals(writers)) <= {"NOSPACE", "UNKNOWN"}, "refusals: %s" % refusals(writers))
    check_nothing_lost(cluster.wait_leader(), writers)
    three.give_space(full[0])
    seconds = goes_on(cluster.wait_leader(), 101)
    three.give_space(full[1])
    cluster.wait_equal()
    check_nothing_lost(full[1], writers)
    return count(writers), seconds


def full_disks_of_three():
    if os.geteuid() != 0:
        raise Skip("needs root")
    three = None
    with tempfile.TemporaryDirectory(prefix="refkeeper-test-") as logs:
        try:
            three = Three("96m", logs)
            begin(three.cluster)
            with_one = one_full_of_three(three)
            with_two, seconds = two_full_of_three(three)
            check_alive(three.cluster)
            for node in three.cluster.nodes:
                check(node.stop(30) == 0, node.name + ": no clean stop")
            three.cluster.fsck()
            return ("one full disk of three: updates went on, it restarted and voted; two: NOSPACE "
                    "and reads; %d acknowledged updates, 0 lost; %.1f s after there was space they "
                    "went on by themselves" % (with_one + with_two, seconds))
        finally:
            if three is not None:
                three.close()


try:
    own_mounts()
except Skip as no_namespace:  # then the tests say what is missing
    print("# %s" % no_namespace)
run([eio_on_ext4, eio_on_xfs, a_full_disk, full_disks_of_three])
