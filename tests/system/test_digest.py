#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A node whose state is not the others' is found, serves nothing, and heals from them.

One byte of one object id is flipped in the memory of a running node, wherever it lies.  The next
change of that ref is then refused there and accepted elsewhere; at the next index that is a
multiple of 1,024 the members see that their states differ.
"""
from cluster import Cluster, RespError, check, run_tests, wait_until
from load import Load

REPO = "a/b.git"
REF = "refs/heads/rotten"
OLD = "5eed0a7e" * 5
NEW = "c0ffee00" * 5


def flip_in_memory(pid, wanted):
    """Flips a bit of the last byte of `wanted` wherever the process may write; how many."""
    count = 0
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "r+b", 0) as memory:
        for line in maps:
            fields = line.split()
            if not fields[1].startswith("rw") or (len(fields) > 5 and fields[5] == "[vvar]"):
                continue
            begin, end = (int(x, 16) for x in fields[0].split("-"))
            try:
                memory.seek(begin)
                data = memory.read(end - begin)
            except OSError:
                continue
            at = data.find(wanted)
            while at >= 0:
                memory.seek(begin + at + len(wanted) - 1)
                memory.write(bytes([wanted[-1] ^ 1]))
                count += 1
                at = data.find(wanted, at + 1)
    return count


def show(cluster):
    for n in cluster.nodes:
        print("# ---- %s\n# %s" % (n.name, n.log_tail().replace("\n", "\n# ")))


def a_rotten_state_is_found_and_replaced():
    cluster = Cluster(3)
    try:
        cluster.start()
        leader = cluster.leader()
        connection = leader.resp()
        connection.call("REPO.REGISTER", REPO, "s1")
        connection.call("REF.UPDATE", REPO, REF, "ABSENT", OLD)
        cluster.wait_equal()
        victim = cluster.followers()[0]
        try:
            count = flip_in_memory(victim.pid(), bytes.fromhex(OLD))
        except PermissionError:
            print("# SKIP 1: the memory of another process may not be written here")
            return
        check(count > 0, "the id was not found in memory")
        wrong = victim.resp().call("REF.GET", REPO, REF)
        check(wrong != OLD, "nothing was flipped: %s" % wrong)
        connection.call("REF.UPDATE", REPO, REF, OLD, NEW)
        load = Load(cluster)
        wait_until(lambda: "it serves nothing until" in victim.log_tail(500), 60, "quarantine")
        for words in (("REF.GET", REPO, REF, "STALE"), ("REF.GET", REPO, REF)):
            try:
                now = victim.resp().call(*words)
                check(now == NEW, "a quarantined node said %s" % now)  # healed already
            except RespError as error:
                check(error.word == "NOLEADER", "%s" % error)
        wait_until(lambda: "this node serves again" in victim.log_tail(500), 60, "healing")
        others = [n for n in cluster.nodes if n is not victim]
        check(all("differs from this node's" in n.log_tail(500) for n in others),
              "the others raised no alarm")
        check(not any("it serves nothing" in n.log_tail(500) for n in others),
              "a node was quarantined that should not be")
        target = load.total() + 2500
        wait_until(lambda: load.total() >= target, 60, "two more multiples of 1,024")
        load.stop()
        cluster.wait_equal()
        load.check(victim)
        check(victim.resp().call("REF.GET", REPO, REF, "STALE") == NEW, "it did not heal")
        for n in cluster.nodes:
            check(n.status()["state_check"] == "equal", "%s: %s" % (n.name, n.status()))
            check(n.stop() == 0, n.name + " did not stop cleanly")
        print("# flipped in %d places; %d updates" % (count, load.total()))
        cluster.fsck()
    except Exception:
        show(cluster)
        raise
    finally:
        cluster.close()


run_tests([a_rotten_state_is_found_and_replaced])
