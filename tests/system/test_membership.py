#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Members come and go while writes go on: from the command line, on real nodes.

No write may fail: each is answered in the end, under the number it was first sent with, and what
was acknowledged is there, on each member.
"""
import json
import shutil
import subprocess
import time

from cluster import CLI, Cluster, RespError, check, run_tests, wait_until
from load import Load

WAIT = ("--wait", "30s")


def members(cluster):
    return {m["name"]: m for m in json.loads(cluster.cli("-o", "json", "member", "list"))}


def voters(cluster):
    return sorted(n for n, m in members(cluster).items() if m["kind"] == "voter")


def wait_progress(load, updates=50):
    target = load.total() + updates
    wait_until(lambda: load.total() >= target, 20, "%d more updates" % updates)


def join(cluster, name, load=None):
    node = cluster.new_node(name)
    node.start()
    cluster.cli("member", "add", name, "127.0.0.1:%d" % node.peer, *WAIT)
    if load is not None:
        wait_progress(load)
    return node


def show(cluster):
    for n in cluster.nodes:
        print("# ---- %s\n# %s" % (n.name, n.log_tail().replace("\n", "\n# ")))


def refused(cluster, *arguments, code=4):
    run = subprocess.run([CLI, "--endpoints", cluster.endpoints, "-o", "json", *arguments],
                         capture_output=True, text=True, timeout=60)
    check(run.returncode == code, "%s: exit %d, wanted %d: %s" % (
        arguments, run.returncode, code, run.stderr))
    return json.loads(run.stderr)["error"]["message"]


def one_to_three_to_five_to_three():
    cluster = Cluster(1)
    try:
        cluster.start()
        load = Load(cluster)
        wait_progress(load)
        for name in ("n2", "n3", "n4", "n5"):
            join(cluster, name, load)
        check(voters(cluster) == ["n1", "n2", "n3", "n4", "n5"], "%s" % members(cluster))
        # Two go again, the leader among them.
        gone = [cluster.leader().name]
        gone.append("n5" if gone[0] != "n5" else "n4")
        for name in gone:
            cluster.cli("member", "remove", name)
            wait_progress(load)
        check(len(voters(cluster)) == 3 and not set(gone) & set(voters(cluster)),
              "%s" % members(cluster))
        count = load.stop()
        print("# %d updates acknowledged, %d sent again, longest %.0f ms" % (
            count, load.retries(), 1000 * load.longest_s()))
        for w in load.writers:
            for line in w.why:
                print("# writer %d sent again: %s" % (w.number, line))
        for name in gone:
            node = next(n for n in cluster.nodes if n.name == name)
            wait_until(lambda node=node: "removed from the cluster" in node.log_tail(200), 15,
                       name + " to say that it was removed")
            says_where_to_go(cluster, node)
            check(node.stop() == 0, name + " did not stop cleanly")
            cluster.nodes.remove(node)
        cluster.wait_equal()
        for node in cluster.nodes:
            load.check(node)
        for node in cluster.nodes:
            check(node.stop() == 0, node.name + " did not stop cleanly")
        cluster.fsck()
    except Exception:
        show(cluster)
        raise
    finally:
        cluster.close()


def says_where_to_go(cluster, node):
    """A removed node refuses at once, and names the others."""
    started = time.monotonic()
    others = ["127.0.0.1:%d" % n.client for n in cluster.nodes if n is not node]
    for words in (("REF.UPDATE", "a/b.git", "refs/heads/x", "ANY", "1" * 40),
                  ("REF.GET", "a/b.git", "refs/heads/x"), ("SESSION.OPEN",), ("MEMBER.LIST",)):
        try:
            node.resp().call(*words)
            check(False, "%s answers %s" % (node.name, words[0]))
        except RespError as error:
            check(error.word == "NOLEADER" and "was removed from the cluster; ask" in str(error) and
                  any(address in str(error) for address in others), "%s: %s" % (words[0], error))
    check(time.monotonic() - started < 1, "it took %.1f s to refuse" % (time.monotonic() - started))


def a_wiped_node_votes_only_after_it_was_replaced():
    cluster = Cluster(3)
    try:
        cluster.start()
        load = Load(cluster, writers=2)
        wait_progress(load)
        victim = cluster.followers()[0]
        old_id = members(cluster)[victim.name]["id"]
        victim.kill()
        shutil.rmtree(victim.data_dir)
        victim.start()
        wait_until(lambda: "it must be replaced as a member" in victim.log_tail(200), 15,
                   "the wiped node to be told so")
        check(victim.status()["term"] == 0, "a wiped node takes part: %s" % victim.status())
        # The same command line as ever: it is told its new id by those who admitted it.
        cluster.cli("member", "replace", victim.name, *WAIT)
        new = members(cluster)
        check(new[victim.name]["id"] != old_id and len(new) == 3, "%s" % new)
        wait_progress(load)
        load.stop()
        cluster.wait_equal()
        load.check(victim)
        # It is a full voter: with another one away the cluster goes on; and it remembers.
        other = next(n for n in cluster.followers() if n is not victim)
        other.kill()
        victim.kill()
        victim.start()
        cluster.wait_leader()
        cluster.cli("ref", "update", load.repo, "refs/heads/x", "1" * 40, "--create")
    except Exception:
        show(cluster)
        raise
    finally:
        cluster.close()


def a_member_removes_itself_and_says_so():
    """Asked of none but the member it is about; a follower is cut off as soon as it is decided."""
    cluster = Cluster(3)
    try:
        cluster.start()
        for gone in (cluster.followers()[0], cluster.leader()):
            wait_until(lambda: all(m["client"] for m in members(cluster).values()), 10,
                       "the members to say who they are")
            run = subprocess.run([CLI, "--endpoints", "127.0.0.1:%d" % gone.client, "-o", "json",
                                  "member", "remove", gone.name], capture_output=True, text=True,
                                 timeout=60)
            check(run.returncode == 0, "%s: exit %d: %s" % (gone.name, run.returncode, run.stderr))
            cluster.nodes.remove(gone)
            index = json.loads(run.stdout)["index"]
            wait_until(lambda index=index: int(cluster.wait_leader().status()["commit_index"]) >=
                       index, 10, "entry %d to be committed" % index)
            check(gone.name not in members(cluster), "%s" % members(cluster))
            gone.kill()
    except Exception:
        show(cluster)
        raise
    finally:
        cluster.close()


def what_would_lose_the_quorum_is_refused():
    cluster = Cluster(3)
    try:
        cluster.start()
        down = cluster.followers()[0]
        up = [n.name for n in cluster.nodes if n is not down]
        down.kill()
        wait_until(lambda: not members(cluster)[down.name]["is_connected"], 10, "the loss noticed")
        for name in up:
            why = refused(cluster, "member", "remove", name)
            check("lose its quorum" in why, why)
        check(sorted(voters(cluster)) == ["n1", "n2", "n3"], "%s" % members(cluster))
        check("no member" in refused(cluster, "member", "remove", "n9", code=3), "n9")
        check("has this peer address" in refused(
            cluster, "member", "add", "n9", "127.0.0.1:%d" % down.peer), "address")
        check("of this name" in refused(cluster, "member", "add", up[0], "127.0.0.1:1"), "name")
        cluster.cli("member", "add", "n4", "127.0.0.1:1", "--learner")
        why = refused(cluster, "member", "promote", "n4")
        check("not shown its data directory" in why, why)
        cluster.cli("member", "update", "n4", "127.0.0.1:2")
        check(members(cluster)["n4"]["peer"] == "127.0.0.1:2", "%s" % members(cluster)["n4"])
        cluster.cli("member", "remove", "n4")
        # The dead one may go: two of two are there.
        cluster.cli("member", "remove", down.name)
        check(voters(cluster) == sorted(up), "%s" % members(cluster))
    except Exception:
        show(cluster)
        raise
    finally:
        cluster.close()


run_tests([one_to_three_to_five_to_three, a_wiped_node_votes_only_after_it_was_replaced,
           a_member_removes_itself_and_says_so, what_would_lose_the_quorum_is_refused])
