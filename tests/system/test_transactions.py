# SPDX-License-Identifier: Apache-2.0
"""Transactions of many refs on real nodes: one entry, a result per ref, bounded memory, and what a
frozen repository says to whoever pushes."""
import re
import time
import urllib.parse

from cluster import Cluster, RespError, check, run_tests_on
from served import Place

A, B, ZEROS = "1" * 40, "2" * 40, "0" * 40
CLUSTER = Cluster(3)
REFS = 10000
MEMORY_MAX = 48 * 2**20  # what one such transaction may add to a node, on its way and kept


def resident(node):
    with open("/proc/%d/status" % node.pid()) as f:
        return int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1)) * 1024


def transaction(r, path, kind, updates):
    words = ["REF.TXN", path, kind, str(len(updates))]
    for update in updates:
        words += update
    return r.call(*words)


def words_of(reply):
    return ["OK" if isinstance(x, int) else x.word for x in reply]


def ten_thousand_refs_are_one_entry():
    leader = CLUSTER.wait_leader()
    r = leader.resp(60)
    r.call("REPO.REGISTER", "t/big.git", "s1")
    names = ["refs/heads/topic/%05d" % i for i in range(REFS)]
    CLUSTER.wait_equal()
    before, memory = leader.status()["applied_index"], [resident(n) for n in CLUSTER.nodes]
    times = []
    for old, new in (("ABSENT", A), (A, B), (B, A)):
        started = time.monotonic()
        index = transaction(r, "t/big.git", "ATOMIC", [(n, old, new) for n in names])
        times.append((time.monotonic() - started) * 1e3)
        check(isinstance(index, int), "one index: %s" % (index,))
    after = CLUSTER.wait_equal()[0]
    check(after["applied_index"] == before + 3, "three entries: %s" % after["applied_index"])
    grown = [resident(n) - m for n, m in zip(CLUSTER.nodes, memory)]
    print("# %d refs: %s ms each, memory of the nodes +%s MiB" % (
        REFS, ", ".join("%.0f" % t for t in times), ", ".join("%.1f" % (g / 2**20) for g in grown)))
    check(max(grown) <= MEMORY_MAX, "memory grows by %s" % grown)
    # One that cannot be makes all of them fail, and says of each why.
    reply = transaction(r, "t/big.git", "ATOMIC",
                        [(n, A, B) for n in names[:-1]] + [(names[-1], B, A)])
    found = words_of(reply)
    check(found == ["ABORTED"] * (REFS - 1) + ["CONFLICT"], str(set(found)))
    check(r.call("REF.GET", "t/big.git", names[0]) == A, "nothing changed")
    try:
        transaction(r, "t/big.git", "ATOMIC",
                    [("refs/x/%d" % i, "ABSENT", A) for i in range(20001)])
        check(False, "over the bound")
    except RespError as error:
        check(error.word == "TOOLARGE", str(error))
    r.close()


def an_independent_batch_answers_for_each_ref():
    r = CLUSTER.wait_leader().resp()
    r.call("REPO.REGISTER", "t/each.git", "s1")
    transaction(r, "t/each.git", "ATOMIC", [("refs/heads/a", "ABSENT", A),
                                            ("refs/heads/b", "ABSENT", A)])
    reply = transaction(r, "t/each.git", "INDEPENDENT", [
        ("refs/heads/a/b", "ABSENT", B),    # in the place of a, which goes first
        ("refs/heads/a", A, ZEROS),
        ("refs/heads/b", B, A),             # not what it is at
        ("refs/heads/b/c", "ABSENT", A),    # b stays
        ("refs/heads/c", A, B),             # is not there
        ("refs/heads/d", "ABSENT", A),
        ("refs/heads/d", "ABSENT", B)])     # named twice
    check(words_of(reply) == ["OK", "OK", "CONFLICT", "NAMECONFLICT", "NOREF", "OK", "BADREF"],
          str(words_of(reply)))
    # What is no name at all is a request that cannot be meant: it says which.
    try:
        transaction(r, "t/each.git", "INDEPENDENT", [("refs/heads/e", "ABSENT", A),
                                                     ("refs/heads/e..f", "ABSENT", A)])
        check(False, "not a name")
    except RespError as error:
        check(error.word == "BADREF" and "item=1" in str(error), str(error))
    listed = r.call("REF.LIST", "t/each.git")[3]
    check(listed == ["refs/heads/a/b", B, "refs/heads/b", A, "refs/heads/d", A], str(listed))
    # As git does: an atomic one does not swap a name and a folder.
    reply = transaction(r, "t/each.git", "ATOMIC", [("refs/heads/d", A, ZEROS),
                                                    ("refs/heads/d/e", "ABSENT", A)])
    check(words_of(reply) == ["ABORTED", "NAMECONFLICT"], str(words_of(reply)))
    r.close()


def a_frozen_repository_tells_the_pusher_why():
    p = Place(CLUSTER)
    p.push("o", "main")
    before = p.in_cluster()
    CLUSTER.cli("repo", "freeze", p.path, "moving house until noon")
    p.commit()
    out = p.push("o", "main", code=1)
    check("moving house until noon" in out, out)
    check(p.in_cluster() == before and p.on_disk() == before, "nothing changed")
    r = CLUSTER.wait_leader().resp()
    try:
        r.call("REF.UPDATE", p.path, "refs/heads/x", "ABSENT", A)
        check(False, "frozen")
    except RespError as error:
        check(error.word == "FROZEN" and "moving house" in urllib.parse.unquote(str(error)),
              str(error))
    CLUSTER.cli("repo", "thaw", p.path)
    p.push("o", "main")
    p.check_equal()
    p.close()


run_tests_on(CLUSTER, [ten_thousand_refs_are_one_entry, an_independent_batch_answers_for_each_ref,
                       a_frozen_repository_tells_the_pusher_why])
