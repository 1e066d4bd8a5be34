#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No reply to a write leaves before fdatasync of the log has returned on a majority of the nodes.

Three nodes run under strace.  Updates are sent one at a time, to the leader and to a follower; for
each, the system call that wrote the reply must have begun after fdatasync(raft-log.dat) returned on
two nodes, counted from the moment the request was sent.
"""
import os
import re
import time

from cluster import Cluster, check, run_tests

UPDATES = 50
REPO = "a/strace.git"
CALLS = "fdatasync,write,writev,sendmsg,sendto"
LINE = re.compile(r"^(\d+)\s+(\d+\.\d+) (.*)$")


def strace(path):
    return ["strace", "-f", "-ttt", "-T", "-y", "-s", "4096", "-e", "trace=" + CALLS, "-o", path]


class Trace:
    """What one node did: when its log syncs returned, when it began to write what."""

    def __init__(self, path):
        self.syncs = []   # time of return
        self.writes = []  # (time of begin, text)
        unfinished = {}
        with open(path, errors="replace") as f:
            for line in f:
                match = LINE.match(line.rstrip("\n"))
                if match:
                    self.note(match.group(1), float(match.group(2)), match.group(3), unfinished)

    def note(self, thread, when, text, unfinished):
        if text.endswith("<unfinished ...>"):
            unfinished[thread] = (when, text)
            if not text.startswith("fdatasync"):
                self.writes.append((when, text))
            return
        if " resumed>" in text:
            begun, first = unfinished.pop(thread, (None, ""))
            if first.startswith("fdatasync") and "raft-log.dat" in first and "= 0" in text:
                self.syncs.append(when_returned(begun, text))
            return
        if text.startswith("fdatasync"):
            if "raft-log.dat" in text and "= 0" in text:
                self.syncs.append(when_returned(when, text))
        else:
            self.writes.append((when, text))


def when_returned(begun, text):
    return begun + float(re.search(r"<([\d.]+)>$", text).group(1))


def update_all(node, tag):
    """Returns [(sent, received, index)]."""
    connection = node.resp(30)
    done = []
    for i in range(UPDATES):
        sent = time.time()
        index = connection.call("REF.UPDATE", REPO, "refs/heads/%s%d" % (tag, i), "ABSENT",
                                "%040x" % (i + 1))
        done.append((sent, time.time(), index))
    connection.close()
    return done


def reply_begun(trace, sent, received, index):
    text = ":%d\\r\\n" % index
    times = [t for t, call in trace.writes if sent <= t <= received and text in call]
    check(times, "no system call wrote the reply %s" % text)
    return min(times)


def check_updates(traces, answering, updates):
    for sent, received, index in updates:
        begun = reply_begun(traces[answering], sent, received, index)
        synced = [name for name, trace in traces.items()
                  if any(sent < t <= begun for t in trace.syncs)]
        check(len(synced) >= 2, "the reply %d left when only %s had synced" % (index, synced))


def replies_follow_syncs_on_a_majority():
    cluster = Cluster(options=("--insecure-peer", "--election-timeout", "3s"))
    try:
        paths = {n.name: os.path.join(cluster.directory, n.name + ".strace") for n in cluster.nodes}
        for n in cluster.nodes:
            n.start(wrapper=strace(paths[n.name]))
        leader = cluster.wait_leader(60)
        follower = [n for n in cluster.nodes if n is not leader][0]
        leader.resp(30).call("REPO.REGISTER", REPO, "s1")
        asked = {leader.name: update_all(leader, "l"), follower.name: update_all(follower, "f")}
        for n in cluster.nodes:
            n.stop(30)
        traces = {name: Trace(path) for name, path in paths.items()}
        for name, updates in asked.items():
            check_updates(traces, name, updates)
        print("# %d replies checked" % (2 * UPDATES))
    finally:
        cluster.close()


run_tests([replies_follow_syncs_on_a_majority])
