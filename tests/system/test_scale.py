# SPDX-License-Identifier: Apache-2.0
"""A site on three nodes: very many repositories, and one with very many refs.

Loaded through the client library, restarted, and verified: the digest of every repository, single
refs, equal states.  What it took is printed, and what `refkeeper capacity` says of it compared.

A twentieth of the size unless RK_TORTURE is "long": then 1,000,000 repositories of 3 refs, and one
of 5,000,000.
"""
import json
import os
import re
import subprocess
import time

from cluster import BUILD, Cluster, Failed, check, run_tests, wait_until

LOADER = os.environ.get("RK_REF_LOAD", os.path.join(BUILD, "tests/system/ref_load"))
PARTS = 1 if os.environ.get("RK_TORTURE") == "long" else 20
SECONDS = 1800 if PARTS == 1 else 240
OPTIONS = ["--insecure-peer"]
TOLERANCE = 0.25


def say(text, *values):
    print("# " + text % values, flush=True)


def ref_load(what, endpoint, case):
    run = subprocess.run([LOADER, what, endpoint, *case], capture_output=True, text=True,
                         timeout=SECONDS)
    check(run.returncode == 0, "%s: %s%s" % (what, run.stdout, run.stderr))
    say("%s: %s", what, run.stdout.strip())


def address(node):
    return "127.0.0.1:%d" % node.client


def resident(node):
    """Bytes now, and at the most."""
    with open("/proc/%d/status" % node.pid()) as f:
        found = dict(re.findall(r"^(Vm\w+):\s+(\d+) kB", f.read(), re.M))
    return int(found["VmRSS"]) * 1024, int(found["VmHWM"]) * 1024


def cpu_seconds(node):
    with open("/proc/%d/stat" % node.pid()) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def newest_snapshot(node):
    files = [os.path.join(node.data_dir, f) for f in os.listdir(node.data_dir)
             if re.fullmatch(r"raft-snapshot-.*\.dat", f)]
    return max(files, key=os.path.getmtime) if files else None


def take_snapshot(node):
    """Seconds until it is there, and the longest the loop let somebody wait meanwhile."""
    applied = node.status()["applied_index"]
    started, longest = time.monotonic(), 0.0
    r = node.resp(60)

    def is_there():
        nonlocal longest
        for _ in range(50):
            asked = time.monotonic()
            r.call("PING")
            longest = max(longest, time.monotonic() - asked)
        return node.status()["snapshot_index"] >= applied
    if not is_there():
        wait_until(lambda: r.call("SNAPSHOT.TAKE") == "STARTED" or is_there(), SECONDS,
                   "a snapshot begins")
    wait_until(is_there, SECONDS, "the snapshot")
    r.close()
    return time.monotonic() - started, longest


def restart(node, applied):
    """Seconds from the start of the process to its first read of all there was."""
    started = time.monotonic()
    node.start()

    def reads():
        if not node.is_alive():
            raise Failed("%s ended\n%s" % (node.name, node.log_tail()))
        status = node.status()
        return status and status["applied_index"] >= applied
    wait_until(reads, SECONDS, "%s has everything again" % node.name)
    return time.monotonic() - started


def capacity(cluster, node, *words):
    """What is there now and, with words, what would be."""
    return json.loads(cluster.cli("--endpoints", address(node), "capacity", "-o", "json", *words))


def compare_with_capacity(now, node, took):
    """Holds a projection against a node that has just loaded its state."""
    memory, size = resident(node)[0], os.path.getsize(newest_snapshot(node))
    say("capacity: memory %.0f MiB, is %.0f; snapshot %.0f MiB, is %.0f; load %.2f s, restart %.2f",
        now["memory_bytes"] / 2**20, memory / 2**20, now["snapshot_bytes"] / 2**20, size / 2**20,
        now["load_seconds"], took)
    for name, projected, found in (("memory", now["memory_bytes"], memory),
                                   ("snapshot", now["snapshot_bytes"], size)):
        check(abs(projected - found) <= TOLERANCE * found,
              "%s: projected %d, found %d" % (name, projected, found))


def run_case(case):
    cluster = Cluster(3, OPTIONS)
    try:
        cluster.start()
        leader = cluster.wait_leader()
        # A fifth first, from which the rest is projected.
        refs, per = int(case[1]), int(case[2])
        ref_load("load", address(leader), [case[0], str(refs // 5), case[2]])
        take_snapshot(leader)
        repositories = refs // per if case[0] == "small" else 1
        projected = capacity(cluster, leader, "--refs", str(refs), "--repositories",
                             str(repositories))[1]
        ref_load("load", address(leader), [*case, str(refs // 5)])
        before = cluster.wait_equal(SECONDS)[0]
        for node in cluster.nodes:
            now, most = resident(node)
            say("%s: %.0f MiB resident, %.1f bytes per ref; %.0f MiB at the most", node.name,
                now / 2**20, now / refs, most / 2**20)
        for node in cluster.nodes:
            used = cpu_seconds(node)
            seconds, longest = take_snapshot(node)
            say("%s: snapshot in %.2f s (CPU %.2f), a PING meanwhile took %.1f ms at the most",
                node.name, seconds, cpu_seconds(node) - used, longest * 1e3)
        # One after the other, a leader being there: from its snapshot.
        node = cluster.followers()[0]
        check(node.stop(60) == 0, "a clean stop")
        took = restart(node, before["applied_index"])
        say("%s: ready %.2f s after its start (CPU %.2f), %.1f bytes per ref", node.name, took,
            cpu_seconds(node), resident(node)[0] / refs)
        compare_with_capacity(projected, node, took)
        compare_with_capacity(capacity(cluster, node)[0], node, took)
        # All at once and by force.
        for node in cluster.nodes:
            node.kill()
        started = time.monotonic()
        for node in cluster.nodes:
            node.start()
        cluster.wait_leader(SECONDS)
        after = cluster.wait_equal(SECONDS)[0]
        say("all restarted and equal after %.2f s (CPU %s)", time.monotonic() - started,
            ", ".join("%.2f" % cpu_seconds(n) for n in cluster.nodes))
        check(after["refs"] == before["refs"]
              and after["repositories"] == before["repositories"], "%s %s" % (before, after))
        for node in cluster.nodes:
            ref_load("verify", address(node), case)
        cluster.cli("endpoint", "hash")
    finally:
        cluster.close()


def many_repositories_of_three_refs():
    run_case(["small", str(3000000 // PARTS), "3"])


def one_repository_of_millions():
    run_case(["giant", str(5000000 // PARTS), "1"])


if __name__ == "__main__":
    run_tests([many_repositories_of_three_refs, one_repository_of_millions])
