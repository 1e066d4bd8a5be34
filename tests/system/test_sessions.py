#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A numbered write happens once: whoever is asked again gives the first answer.

The same request is sent again to every node after the leader changed, after all nodes were killed
and started, and to a node that got the session by a snapshot.  Each time the answer is the index
of the first execution, and the ref, changed since, stays as it is.
"""
from cluster import Cluster, RespError, check, run_tests, wait_until

REPO = "a/b.git"
REF = "refs/heads/once"
FIRST, SECOND = "1" * 40, "2" * 40


def ask_again(cluster, session, first_index, when):
    """The first write, long overtaken, from each node: the same answer, and no effect."""
    for node in cluster.nodes:
        def answer(node=node):
            try:
                return node.resp().call("REF.UPDATE", REPO, REF, "ABSENT", FIRST,
                                        "REQID", session, 2, 1)
            except (OSError, ConnectionError):
                return None
            except RespError as error:
                check(error.word in ("NOLEADER", "UNKNOWN"), "%s at %s: %s" % (
                    when, node.name, error))
                return None
        index = wait_until(answer, 20, "an answer of %s %s" % (node.name, when))
        check(index == first_index, "%s at %s: %s, at first %s" % (
            when, node.name, index, first_index))
        now = node.resp().call("REF.GET", REPO, REF)
        check(now == SECOND, "%s: the ref is at %s" % (when, now))


def fill(cluster, count, prefix):
    connection = cluster.wait_leader().resp()
    for i in range(count):
        connection.call("REF.UPDATE", REPO, "refs/heads/%s%d" % (prefix, i), "ABSENT", FIRST)
    connection.close()


def the_first_answer_is_given_again():
    cluster = Cluster(options=("--insecure-peer", "--trailing-entries", "10"))
    try:
        cluster.start()
        connection = cluster.leader().resp()
        connection.call("REPO.REGISTER", REPO, "s1")
        session = connection.call("SESSION.OPEN")
        connection.call("REF.UPDATE", REPO, "refs/heads/other", "ABSENT", FIRST,
                        "REQID", session, 1, 1)
        first_index = connection.call("REF.UPDATE", REPO, REF, "ABSENT", FIRST,
                                      "REQID", session, 2, 1)
        connection.call("REF.UPDATE", REPO, REF, FIRST, SECOND, "REQID", session, 3, 1)
        ask_again(cluster, session, first_index, "at once")
        cluster.cli("move-leader")
        ask_again(cluster, session, first_index, "after the leader moved")
        for node in cluster.nodes:
            node.kill()
        for node in cluster.nodes:
            node.start()
        cluster.wait_leader()
        ask_again(cluster, session, first_index, "after all were killed")
        # One is away until the others have cut what it lacks: it is sent a snapshot.
        away = cluster.followers()[0]
        away.kill()
        for turn in range(2):  # the log is cut behind the older of two snapshots
            fill(cluster, 100, "t%d-" % turn)
            cluster.wait_equal()
            for node in cluster.nodes:
                if node is not away:
                    node.take_snapshot()
        away.start()
        wait_until(lambda: " installed" in away.log_tail(500), 30, "a snapshot to be installed")
        cluster.wait_equal()
        ask_again(cluster, session, first_index, "after a snapshot was installed")
        cluster.cli("move-leader", away.name)
        ask_again(cluster, session, first_index, "when that node leads")
        try:
            away.resp().call("REF.UPDATE", REPO, REF, SECOND, FIRST,
                             "REQID", session + 10 ** 6, 1, 1)
            check(False, "an unknown session was accepted")
        except RespError as error:
            check(error.word == "EXPIRED", "%s" % error)
    except Exception:
        for n in cluster.nodes:
            print("# ---- %s\n# %s" % (n.name, n.log_tail().replace("\n", "\n# ")))
        raise
    finally:
        cluster.close()


run_tests([the_first_answer_is_given_again])
