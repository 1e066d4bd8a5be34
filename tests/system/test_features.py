#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A rolling upgrade: what one member does not know is refused, and allowed once all know it.

An older version is played by --feature-level-max 0.  The leader raises the level by itself when
the last member has been started anew; from then on such a version is not let in any more.
"""
from cluster import Cluster, RespError, check, run_tests, wait_until

OLD = ("--feature-level-max", "0")


def levels(cluster):
    return [(n.status() or {}).get("feature_level") for n in cluster.nodes]


def the_level_rises_with_the_last_member():
    cluster = Cluster(3)
    try:
        for n in cluster.nodes:
            n.start(extra=() if n is cluster.nodes[0] else OLD)
        cluster.wait_leader()
        check(levels(cluster) == [0, 0, 0], "%s" % levels(cluster))
        for n in cluster.nodes:
            try:
                n.resp().call("LIMITS.SET", "REPOSITORIES", 1000)
                check(False, "%s took what an older member does not know" % n.name)
            except RespError as error:
                check(error.word == "UNSUPPORTED", "%s" % error)
        cluster.cli("repo", "register", "a/b.git", "s1")
        for n in cluster.nodes[1:]:
            check(n.stop() == 0, n.name + " did not stop cleanly")
            check(levels(cluster)[0] == 0, "raised too early: %s" % levels(cluster))
            n.start()
            cluster.wait_leader()
        wait_until(lambda: levels(cluster) == [2, 2, 2], 15, "level 2 everywhere")
        cluster.wait_leader().resp().call("LIMITS.SET", "REPOSITORIES", 1000)
        late = cluster.followers()[0]
        check(late.stop() == 0, late.name + " did not stop cleanly")
        late.start(extra=OLD)
        wait_until(lambda: "install a newer version" in late.log_tail(200), 15,
                   "the old version to be refused")
        late.kill()
        late.start()
        cluster.wait_equal()
    except Exception:
        for n in cluster.nodes:
            print("# ---- %s\n# %s" % (n.name, n.log_tail().replace("\n", "\n# ")))
        raise
    finally:
        cluster.close()


run_tests([the_level_rises_with_the_last_member])
