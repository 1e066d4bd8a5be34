#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A majority is lost for good: one survivor goes on as another cluster, and grows back to three."""
import json
import os
import struct

from cluster import Cluster, check, run_tests, wait_until
from load import Load

REPO = "a/b.git"
STEP = 2 ** 32


def write(cluster, ref, oid):
    return int(cluster.cli("-o", "value", "ref", "update", REPO, ref, oid, "--create").strip())


def restart_from(cluster, node, data_dir):
    """Only `node` is left, with another data directory."""
    node.data_dir, node.is_joining = data_dir, True
    cluster.nodes = [node]
    node.start()
    cluster.wait_leader()


def grow(cluster, names):
    for name in names:
        node = cluster.new_node(name)
        node.start()
        cluster.cli("member", "add", name, "127.0.0.1:%d" % node.peer, "--wait", "30s")


def show(cluster):
    for n in cluster.nodes:
        print("# ---- %s\n# %s" % (n.name, n.log_tail().replace("\n", "\n# ")))


def one_survivor_grows_back_to_three():
    cluster = Cluster(3)
    try:
        cluster.start()
        cluster.cli("repo", "register", REPO, "s1")
        last = max(write(cluster, "refs/heads/b%d" % i, "%040x" % (i + 1)) for i in range(20))
        cluster.wait_equal()
        old_id = cluster.leader().status()["cluster_id"]
        survivor, lost = cluster.nodes[0], cluster.nodes[1:]
        new = os.path.join(cluster.directory, "recovered")
        # Neither beside a running node nor without saying yes.
        cluster.cli("recover", survivor.data_dir, "--to", new, "--accept-loss", check_code=1)
        for n in cluster.nodes:
            n.kill()
        cluster.cli("recover", survivor.data_dir, "--to", new, check_code=4)
        check(not os.path.exists(new), "it was done without consent")
        rows = json.loads(cluster.cli("-o", "json", "recover", survivor.data_dir, lost[0].data_dir,
                                      "--to", new, "--name", survivor.name, "--peer",
                                      "127.0.0.1:%d" % survivor.peer, "--accept-loss"))
        check(sum(r["chosen"] == "yes" for r in rows) == 1 and len(rows) == 2, "%s" % rows)
        cluster.cli("recover", survivor.data_dir, "--to", new, "--accept-loss", check_code=4)
        restart_from(cluster, survivor, new)
        status = survivor.status()
        check(status["cluster_id"] != old_id, "the cluster id is the old one")
        for i in range(20):
            oid = cluster.cli("-o", "value", "ref", "get", REPO, "refs/heads/b%d" % i).strip()
            check(oid == "%040x" % (i + 1), "b%d is at %s" % (i, oid))
        check(write(cluster, "refs/heads/new", "f" * 40) > last + STEP, "indexes did not go on")
        # An old node is not let in.
        lost[1].start()
        wait_until(lambda: "another cluster" in survivor.log_tail(300) + lost[1].log_tail(300), 15,
                   "the old node to be refused")
        check((lost[1].status() or {}).get("role") != "leader", "an old node leads")
        lost[1].kill()
        load = Load(cluster)
        grow(cluster, ("m2", "m3"))
        target = load.total() + 200
        wait_until(lambda: load.total() >= target, 20, "updates")
        load.stop()
        statuses = cluster.wait_equal()
        check(len(statuses) == 3, "%s" % statuses)
        for n in cluster.nodes:
            load.check(n)
        cluster.nodes[0].kill()
        cluster.nodes[0].start()
        cluster.wait_equal()
        for n in cluster.nodes:
            check(n.stop() == 0, n.name + " did not stop cleanly")
        cluster.fsck()
    except Exception:
        show(cluster)
        raise
    finally:
        cluster.close()


def a_snapshot_is_put_away_and_restored():
    cluster = Cluster(1)
    try:
        cluster.start()
        cluster.cli("repo", "register", REPO, "s1")
        write(cluster, "refs/heads/kept", "a" * 40)
        node = cluster.nodes[0]
        cluster.cli("snapshot", "save", node.data_dir, cluster.directory, check_code=3)
        out = cluster.cli("snapshot", "take", "-o", "value")
        check(out.split() == ["127.0.0.1:%d" % node.client, "STARTED"], out)
        wait_until(lambda: " taken" in node.log_tail(), 10, "a snapshot")
        saved = json.loads(cluster.cli("-o", "json", "snapshot", "save", node.data_dir,
                                       cluster.directory))
        saved = saved[0] if isinstance(saved, list) else saved
        facts = json.loads(cluster.cli("-o", "json", "snapshot", "status", saved["file"]))
        facts = facts[0] if isinstance(facts, list) else facts
        check(facts["refs"] == 1 and facts["repositories"] == 1, "%s" % facts)
        write(cluster, "refs/heads/later", "b" * 40)
        node.kill()
        with open(saved["file"], "r+b") as f:
            f.seek(-1, 2)
            last = f.read(1)
            f.seek(-1, 2)
            f.write(bytes([last[0] ^ 1]))
            f.flush()
            cluster.cli("snapshot", "status", saved["file"], check_code=8)
            f.seek(-1, 2)
            f.write(last)
        new = os.path.join(cluster.directory, "restored")
        cluster.cli("snapshot", "restore", saved["file"], "--to", new, "--name", node.name,
                    "--peer", "127.0.0.1:%d" % node.peer)
        restart_from(cluster, node, new)
        kept = cluster.cli("-o", "value", "ref", "get", REPO, "refs/heads/kept").strip()
        check(kept == "a" * 40, "kept is at %s" % kept)
        cluster.cli("ref", "get", REPO, "refs/heads/later", check_code=3)
        check(write(cluster, "refs/heads/x", "c" * 40) > STEP, "indexes did not go on")
    except Exception:
        show(cluster)
        raise
    finally:
        cluster.close()


def damage_entry(node, index):
    """Flips a bit of the command of an entry, which raft-index.dat names."""
    with open(os.path.join(node.data_dir, "raft-index.dat"), "rb") as f:
        f.seek(20 * (index - 1))
        found, offset, _ = struct.unpack(">QQI", f.read(20))
    check(found == index, "record %d names %d" % (index, found))
    with open(os.path.join(node.data_dir, "raft-log.dat"), "r+b") as f:
        f.seek(offset + 30)
        byte = f.read(1)
        f.seek(offset + 30)
        f.write(bytes([byte[0] ^ 1]))


def is_repairing(node):
    status = node.status()
    return status is not None and status["repairing"] == 1


def two_of_three_are_damaged_at_different_places_and_the_third_is_behind():
    """Neither campaigns, and nobody else is elected by what they acknowledged: a person decides,
    who is told what is missing where, and gets it back."""
    cluster = Cluster(3)
    try:
        cluster.start()
        cluster.cli("repo", "register", REPO, "s1")
        cluster.wait_equal()
        behind = cluster.followers()[0]
        behind.kill()
        written = {"refs/heads/b%d" % i: write(cluster, "refs/heads/b%d" % i, "%040x" % (i + 1))
                   for i in range(20)}
        last = max(written.values())
        first, second = [n for n in cluster.nodes if n is not behind]
        for n in (first, second):
            check(n.stop() == 0, "no clean stop")
        damage_entry(first, last - 12)
        damage_entry(second, last - 4)
        for n in cluster.nodes:
            n.start()
        wait_until(lambda: is_repairing(first) and is_repairing(second), 20, "the damage is known")
        wait_until(lambda: "pre_candidate" in behind.log_tail(3), 20, "the third has asked")
        check(cluster.leader() is None, "somebody leads although acknowledged entries are missing")
        for n in cluster.nodes:
            n.kill()
        dirs = [n.data_dir for n in (behind, first, second)]
        for n in (first, second):
            out = cluster.cli("-o", "json", "fsck", n.data_dir, check_code=4)
            check("not fetched again yet" in out, out)
        new = os.path.join(cluster.directory, "recovered")
        rows = json.loads(cluster.cli("-o", "json", "recover", *dirs, "--to", new, "--name",
                                      second.name, "--peer", "127.0.0.1:%d" % second.peer,
                                      "--accept-loss"))
        chosen = [r for r in rows if r["chosen"] == "yes"]
        check(len(chosen) == 1 and chosen[0]["directory"] == second.data_dir, "%s" % rows)
        check("entries %d to %d" % (last - 4, last) in chosen[0]["finding"], "%s" % chosen)
        restart_from(cluster, second, new)
        for ref in written:  # each entry is whole in one of the two, in the log or set aside
            cluster.cli("ref", "get", REPO, ref)
    except Exception:
        show(cluster)
        raise
    finally:
        cluster.close()


run_tests([one_survivor_grows_back_to_three, a_snapshot_is_put_away_and_restored,
           two_of_three_are_damaged_at_different_places_and_the_third_is_behind])
