#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Disks that fail under a real kernel, and disks that are full.

    EIO      each write to the block device fails from some moment on: what a node acknowledges
             after that would be a lie. It ends with exit code 74; the disk healed and mounted
             again, everything acknowledged is there
    ENOSPC   a small tmpfs fills up: updates are refused, or the node ends; nothing acknowledged is
             lost; once there is space, updates go on
"""
import os
import subprocess
import tempfile

from cluster import Cluster, check, wait_until
from disk import Disk
from torture import REPO, Skip, Writer, check_refs, list_refs, own_mounts, run

OPTIONS = ("--insecure-peer", "--election-timeout", "500ms", "--heartbeat-interval", "50ms")
IO_ERROR = 74
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


def start_writers(node):
    writers = [Writer(node, i) for i in range(WRITERS)]
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


def is_full(node, writers):
    return not node.is_alive() or refusals(writers).get("NOSPACE", 0) > 100


def goes_on(node, number):
    """A new writer makes progress by itself."""
    writer = Writer(node, number)
    writer.start()
    wait_until(lambda: writer.count > 0 or writer.error, 60, "updates go on")
    finish([writer])
    check(writer.count > 0, "no update: %s" % writer.error)


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
            wait_until(lambda: is_full(node, writers), 120, "the disk is full")
            ended = not node.is_alive()
            if ended:
                code = node.process.wait()
                node.process = None
                check(code == IO_ERROR, "exit code %d:\n%s" % (code, node.log_tail(4)))
            else:
                check_nothing_lost(node, writers)  # reads go on
            finish(writers)
            disk.grow("400m")
            if ended:
                start_again(cluster)
            goes_on(node, 100)
            check_nothing_lost(node, writers)
            check(node.stop(30) == 0, "no clean stop")
            how = "ended with 74" if ended else "refused %s and served reads" % refusals(writers)
            return "a full disk: the node %s, %d acknowledged updates, 0 lost, then goes on" % (
                how, count(writers))
        finally:
            if cluster is not None:
                cluster.nodes[0].kill()
            disk.close()


try:
    own_mounts()
except Skip as no_namespace:  # then the tests say what is missing
    print("# %s" % no_namespace)
run([eio_on_ext4, eio_on_xfs, a_full_disk])
