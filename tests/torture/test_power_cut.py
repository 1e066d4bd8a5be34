#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The power fails under a real file system, again and again: nothing acknowledged is lost.

A real refkeeperd alone in its cluster writes to ext4 or xfs on a block device of user space.  That
device is stopped at any moment, its contents are copied and mounted elsewhere, as after a power
cut, and a second refkeeperd recovers from the copy.  Every ref must have reached at least the step
that was acknowledged before the cut.  The same test must fail when fdatasync does nothing.

    RK_SEED=n replays the draws; RK_TORTURE=long is the full version.
"""
import os
import random
import tempfile

from cluster import Cluster, check, wait_until
from disk import Disk, require
from torture import LONG, REPO, Shim, Writer, check_refs, list_refs, own_mounts, run

CUTS = 30 if LONG else 5             # on each file system
UPDATES_PER_CUT = 2000 if LONG else 400
WRITERS = 4
SEED = int(os.environ.get("RK_SEED", "1"))
OPTIONS = ("--insecure-peer", "--snapshot-interval", "1s", "--trailing-entries", "200")


def cluster_on(directory, log):
    cluster = Cluster(1, OPTIONS, directory)
    cluster.nodes[0].log_path = log
    return cluster


def recover(disk, log):
    """Starts from a copy of the disk; its refs."""
    copy = disk.copy()
    disk.go_on()
    cluster = None
    try:
        copy.mount()
        cluster = cluster_on(copy.mountpoint, log)
        node = cluster.nodes[0]
        node.start()
        wait_until(lambda: cluster.leader() or not node.is_alive(), 60, "the copy has started")
        check(node.is_alive(), "it does not start from the copy:\n" + node.log_tail(5))
        connection = node.resp()
        refs = list_refs(connection)
        connection.close()
        check(node.stop() == 0, "the recovered node did not stop cleanly")
        return refs
    finally:
        if cluster is not None:
            cluster.nodes[0].kill()
        copy.close()


def total(writers):
    for w in writers:
        if w.error is not None:
            raise w.error
    return sum(w.count for w in writers)


def cut_once(disk, writers, draw, log):
    """The refs that lost an acknowledged step."""
    goal = total(writers) + UPDATES_PER_CUT + draw.randrange(200)
    wait_until(lambda: total(writers) >= goal, 60, "%d updates" % goal)
    least = [list(w.acknowledged) for w in writers]
    disk.stop()
    copied = recover(disk, log)
    lost = []
    for w, acknowledged in zip(writers, least):
        lost += check_refs(copied, w.names(), acknowledged, w.tried)
    return lost


def cut(kind, cuts, shim=None):
    """Returns cuts made, updates acknowledged, and what was lost."""
    draw = random.Random("%d %s" % (SEED, kind))
    disk = Disk(kind)
    lost, made = [], 0
    cluster = None
    with tempfile.TemporaryDirectory(prefix="refkeeper-test-") as logs:
        try:
            cluster = cluster_on(disk.mountpoint, os.path.join(logs, "writing.log"))
            if shim is None:
                cluster.start()
            else:
                with shim.armed("nosync"):
                    cluster.start()
            connection = cluster.nodes[0].resp()
            connection.call("REPO.REGISTER", REPO, "s1")
            connection.close()
            writers = [Writer(cluster.nodes[0], i) for i in range(WRITERS)]
            for w in writers:
                w.start()
            while made < cuts and not (shim and lost):
                lost += cut_once(disk, writers, draw, os.path.join(logs, "copy.log"))
                made += 1
            for w in writers:
                w.is_stopping = True
            for w in writers:
                w.join(60)
            return made, total(writers), lost
        finally:
            if cluster is not None:
                cluster.nodes[0].kill()
            disk.close()


def nothing_is_lost(kind):
    made, count, lost = cut(kind, CUTS)
    check(not lost, "of %d updates %d lost: %s" % (count, len(lost), lost[:3]))
    return "%s: %d power cuts, %d acknowledged updates, 0 lost" % (kind, made, count)


def power_cuts_on_ext4():
    return nothing_is_lost("ext4")


def power_cuts_on_xfs():
    return nothing_is_lost("xfs")


def has_teeth_without_fdatasync():
    require("ext4")
    with tempfile.TemporaryDirectory() as directory:
        made, count, lost = cut("ext4", 10, Shim(directory))
    check(lost, "%d cuts without fdatasync and nothing was lost" % made)
    return "has teeth: without fdatasync %d of %d acknowledged updates lost by %d cuts" % (
        sum(a - b for _, a, b in lost), count, made)


try:
    own_mounts()
except Exception as no_namespace:  # then the tests say what is missing
    print("# %s" % no_namespace)
run([power_cuts_on_ext4, power_cuts_on_xfs, has_teeth_without_fdatasync])
