#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A data directory put back from an older copy is found out and does not count."""
import shutil

from cluster import Cluster, check, run_tests, wait_until

OPTIONS = ("--insecure-peer", "--election-timeout", "500ms", "--heartbeat-interval", "50ms")
CORRUPT = 65
REPO = "a/b.git"


def update(node, number):
    connection = node.resp()
    connection.call("REF.UPDATE", REPO, "refs/heads/main", "ANY", "%040x" % number)
    connection.close()


def expect_refusal(node):
    code = node.process.wait(20)
    node.process = None
    check(code == CORRUPT, "exit code %d:\n%s" % (code, node.log_tail(4)))
    check("older copy" in node.log_tail(3), "it does not say why:\n" + node.log_tail(3))


def put_back(node, kept):
    shutil.rmtree(node.data_dir)
    shutil.copytree(kept, node.data_dir)


def begin(cluster):
    cluster.start()
    leader = cluster.leader()
    connection = leader.resp()
    connection.call("REPO.REGISTER", REPO, "s1")
    connection.close()
    for number in range(1, 20):
        update(leader, number)
    cluster.wait_equal()
    return leader, cluster.followers()[0]


def a_copy_of_the_same_run_is_found_out_by_what_it_had_acknowledged():
    cluster = Cluster(3, OPTIONS)
    try:
        leader, node = begin(cluster)
        kept = node.data_dir + ".kept"
        shutil.copytree(node.data_dir, kept)
        for number in range(20, 40):
            update(leader, number)
        cluster.wait_equal()
        node.kill()
        newest = node.data_dir + ".newest"
        shutil.copytree(node.data_dir, newest)
        put_back(node, kept)
        node.start()
        expect_refusal(node)
        check("has lost entries" in leader.log_tail(10), "the leader is silent")
        update(leader, 50)  # the others go on
        put_back(node, newest)
        node.start()
        cluster.wait_equal()  # with the right one it is welcome
    finally:
        cluster.close()


def a_copy_of_an_earlier_run_is_found_out_by_its_count():
    cluster = Cluster(3, OPTIONS)
    try:
        leader, node = begin(cluster)
        kept = node.data_dir + ".kept"
        check(node.stop() == 0, "no clean stop")
        shutil.copytree(node.data_dir, kept)
        for _ in range(2):
            node.start()
            wait_until(lambda: (node.status() or {}).get("is_ready") == 1, 20, "it is back")
            check(node.stop() == 0, "no clean stop")
        put_back(node, kept)
        node.start()
        wait_until(lambda: "older copy" in node.log_tail(), 20, "it is told why it is refused")
        check(node.is_alive(), "each start would raise its count")
        update(leader, 50)
    finally:
        cluster.close()


run_tests([a_copy_of_the_same_run_is_found_out_by_what_it_had_acknowledged,
           a_copy_of_an_earlier_run_is_found_out_by_its_count])
