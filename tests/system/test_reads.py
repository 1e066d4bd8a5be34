#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads of real nodes: linearizable ones on any node, by rounds and by leases; MININDEX and STALE.

Over RESP and HTTP alike.  A leader that was stopped in the middle of its lease and woken up after
another one was elected is asked at once: it must not answer with what is no longer so.
"""
import http.client
import json
import os
import signal
import time

from cluster import Cluster, RespError, check, run_tests, wait_until

REPO, REF = "team/a.git", "refs/heads/main"
QUICK = ("--insecure-peer", "--election-timeout", "300ms", "--heartbeat-interval", "30ms",
         "--read-timeout", "1s")
LEASES = ("--lease-reads",)
LEASE_ROUNDS = int(os.environ.get("RK_ROUNDS", "5"))


def oid(number):
    return "%040x" % (0xabc0000 + number)


def get(node, *options):
    """The value over RESP, or the word of the error."""
    connection = node.resp()
    try:
        return connection.call("REF.GET", REPO, REF, *options)
    except RespError as error:
        return error.word
    finally:
        connection.close()


def http_get(node, options=""):
    """Status, and the value or the code of the error."""
    connection = http.client.HTTPConnection("127.0.0.1", node.http, timeout=10)
    try:
        connection.request("GET", "/v1/ref?path=%s&ref=%s%s" % (REPO, REF, options))
        answer = connection.getresponse()
        body = json.loads(answer.read())
        return answer.status, body.get("oid") or body["error"]["code"]
    finally:
        connection.close()


def metric(node, name):
    connection = http.client.HTTPConnection("127.0.0.1", node.http, timeout=10)
    try:
        connection.request("GET", "/metrics")
        for line in connection.getresponse().read().decode().splitlines():
            if line.startswith("refkeeper_" + name + " "):
                return float(line.split(" ")[1])
    finally:
        connection.close()
    raise AssertionError("no metric " + name)


def update(node, number):
    return node.resp().call("REF.UPDATE", REPO, REF, "ANY", oid(number))


def begin(options=QUICK):
    cluster = Cluster(3, options=options)
    cluster.start()
    cluster.cli("repo", "register", REPO, "s1")
    return cluster


def show(cluster):
    for n in cluster.nodes:
        print("# ---- %s\n# %s" % (n.name, n.log_tail().replace("\n", "\n# ")))


def any_node_reads_what_another_acknowledged():
    cluster = begin()
    try:
        for i in range(30):
            writer, reader = cluster.nodes[i % 3], cluster.nodes[(i + 1 + i // 3) % 3]
            index = update(writer, i)
            if i % 2 == 0:
                check(get(reader) == oid(i), "%s reads %s" % (reader.name, get(reader)))
                check(get(reader, "MININDEX", index) == oid(i), "MININDEX on " + reader.name)
            else:
                check(http_get(reader) == (200, oid(i)), "%s" % (http_get(reader),))
                check(http_get(reader, "&min_index=%d" % index) == (200, oid(i)), "min_index")
    except Exception:
        show(cluster)
        raise
    finally:
        cluster.close()


def without_a_leader_only_min_index_and_stale_are_answered():
    cluster = begin()
    try:
        index = update(cluster.nodes[0], 1)
        cluster.wait_equal()
        last = cluster.nodes[2]
        started = time.monotonic()
        check(get(last, "MININDEX", index + 1000) == "BEHIND", "an index that never comes")
        answer = http_get(last, "&min_index=%d" % (index + 1000))
        check(answer == (504, "BEHIND"), "over HTTP: %s" % (answer,))
        check(time.monotonic() - started >= 1.9, "it did not wait for read-timeout")
        for node in cluster.nodes[:2]:
            node.kill()
        wait_until(lambda: (last.status() or {}).get("leader") is None, 15, "no leader to be known")
        check(get(last) == "NOLEADER", get(last))
        check(http_get(last) == (503, "NOLEADER"), "%s" % (http_get(last),))
        check(get(last, "STALE") == oid(1), get(last, "STALE"))
        check(http_get(last, "&consistency=stale") == (200, oid(1)), "stale over HTTP")
        check(get(last, "MININDEX", index) == oid(1), get(last, "MININDEX", index))
        check(http_get(last, "&min_index=%d" % index) == (200, oid(1)), "min_index over HTTP")
    except Exception:
        show(cluster)
        raise
    finally:
        cluster.close()


def by_lease(node):
    return metric(node, 'raft_reads_confirmed_total{by="lease"}')


def a_majority_with_leases_spares_the_rounds():
    cluster = begin(QUICK + LEASES)
    try:
        leader = cluster.wait_leader()
        others = [n for n in cluster.nodes if n is not leader]
        wait_until(lambda: leader.status()["lease_ms"] > 0, 15, "a lease")
        update(leader, 1)
        before = by_lease(leader)
        for node in cluster.nodes * 5:
            check(get(node) == oid(1), "%s reads %s" % (node.name, get(node)))
            check(http_get(node) == (200, oid(1)), "%s over HTTP" % node.name)
        check(by_lease(leader) >= before + 15, "%s after %s" % (by_lease(leader), before))
        check(0 < metric(leader, "raft_lease_seconds") < 0.3, "the lease as a metric")
        check(others[0].status()["lease_ms"] == 0, "a follower has a lease")
        others[0].kill()
        cluster.options = list(QUICK)  # without leases
        others[0].start()
        wait_until(lambda: leader.status()["lease_ms"] > 0, 15, "a lease by the other one")
        others[1].kill()
        others[1].start()
        cluster.wait_equal()
        leader = cluster.wait_leader()
        wait_until(lambda: leader.status()["lease_ms"] == 0, 15, "no lease without a majority")
        check(get(leader) == oid(1), get(leader))
    except Exception:
        show(cluster)
        raise
    finally:
        cluster.close()


def a_leader_woken_up_late_answers_nothing_old():
    cluster = begin(QUICK + LEASES)
    longest = 0
    try:
        for i in range(LEASE_ROUNDS):
            old = cluster.wait_leader()
            wait_until(lambda old=old: old.status()["lease_ms"] > 0, 15, "a lease")
            update(old, 2 * i)
            connection = old.resp()
            check(connection.call("REF.GET", REPO, REF) == oid(2 * i), "before")
            os.kill(old.pid(), signal.SIGSTOP)
            stopped = time.monotonic()
            rest = [n for n in cluster.nodes if n is not old]

            def leads():
                for n in rest:
                    status = n.status() or {}
                    if status.get("role") == "leader":
                        return n
                return None

            new = wait_until(leads, 15, "another leader")
            longest = max(longest, time.monotonic() - stopped)
            update(new, 2 * i + 1)
            connection.send("REF.GET", REPO, REF)  # it waits in the socket
            os.kill(old.pid(), signal.SIGCONT)
            answer = connection.read()
            check(isinstance(answer, RespError) or answer == oid(2 * i + 1),
                  "round %d: the old leader says %s" % (i, answer))
            connection.close()
            cluster.wait_equal()
        return "%d rounds, longest without a leader %.0f ms" % (LEASE_ROUNDS, 1000 * longest)
    except Exception:
        show(cluster)
        raise
    finally:
        cluster.close()


def after_a_kill_nobody_is_elected_within_the_promise():
    cluster = begin(QUICK + LEASES)
    try:
        leader = cluster.wait_leader()
        wait_until(lambda: leader.status()["lease_ms"] > 0, 15, "a lease")
        rest = [n for n in cluster.nodes if n is not leader]
        leader.kill()
        killed = time.monotonic()
        wait_until(lambda: [n for n in rest if (n.status() or {}).get("role") == "leader"], 15,
                   "another leader")
        took = time.monotonic() - killed
        check(took > 0.2, "elected after %.0f ms, against its promise" % (1000 * took))
        leader.start()
        cluster.wait_equal()
        return "the next leader after %.0f ms" % (1000 * took)
    except Exception:
        show(cluster)
        raise
    finally:
        cluster.close()


run_tests([any_node_reads_what_another_acknowledged,
           without_a_leader_only_min_index_and_stale_are_answered,
           a_majority_with_leases_spares_the_rounds,
           a_leader_woken_up_late_answers_nothing_old,
           after_a_kill_nobody_is_elected_within_the_promise])
