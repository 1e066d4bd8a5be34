# SPDX-License-Identifier: Apache-2.0
"""The verbs of `refkeeper` against real nodes: output, exit codes, offline tools."""
import json
import os
import shutil
import subprocess
import tempfile

from cluster import CLI, Cluster, check, run_tests_on, wait_until

A, B, Z = "1" * 40, "2" * 40, "0" * 40
CLUSTER = Cluster(3)


def raw(*words, endpoints=None, stdin=None, env=None):
    """(exit code, stdout, stderr)."""
    run = subprocess.run([CLI, "--endpoints", endpoints or CLUSTER.endpoints, *words], input=stdin,
                         capture_output=True, text=True, timeout=60,
                         env={**os.environ, **(env or {})})
    return run.returncode, run.stdout, run.stderr


def wants(code, *words, **more):
    found, out, err = raw(*words, **more)
    check(found == code, "refkeeper %s: exit %d, wanted %d\n%s%s" % (" ".join(words), found, code,
                                                                   out, err))
    return out, err


def as_json(*words, code=0):
    out, _ = wants(code, *words, "-o", "json")
    return json.loads(out)


def status_and_members():
    # That there is a leader does not mean that the node asked has heard of it.
    wait_until(lambda: as_json("status")["is_ready"] == 1, 10, "ready")
    rows = as_json("status", "--cluster")
    check(sorted(r["node"] for r in rows) == ["n1", "n2", "n3"], str(rows))
    check(sum(r["role"] == "leader" for r in rows) == 1, "one leader")
    check(len(as_json("member", "list")) == 3, "three members")
    for line in wants(0, "member", "list", "-o", "jsonl")[0].splitlines():
        json.loads(line)


def repositories():
    wants(0, "storage", "set", "s1", "--http", "http://s1", "--ssh", "git@s1")
    wants(0, "storage", "set", "s2", "--zone", "z2")
    wants(0, "repo", "create", "r/a.git", "s1", "--replicas", "s2", "--head", "refs/heads/trunk")
    _, err = wants(4, "repo", "create", "r/a.git", "s1")
    check("EXISTS: a repository has that path already; path: r/a.git" in err, err)
    _, err = wants(4, "storage", "remove", "s1")
    check("reason: repositories use it" in err and "the ref" not in err, err)
    _, err = wants(4, "repo", "remove-replica", "r/a.git", "s1")
    check("reason: it is the primary" in err and "the ref" not in err, err)
    out, err = wants(3, "ref", "list", "r/none.git")
    check(out == "" and "NOREPO" in err, out + err)
    check("seen           -,-\n" in wants(0, "repo", "show", "r/a.git")[0], "not known is shown")
    wants(3, "repo", "create", "r/x.git", "nobody")
    show = as_json("repo", "show", "r/a.git")
    check(show["head"] == "refs/heads/trunk" and show["replicas"] == ["s1", "s2"], str(show))
    check("CREATED" in wants(0, "repo", "register", "r/b.git", "s1")[0], "created")
    check("ADDED" in wants(0, "repo", "register", "r/b.git", "s2")[0], "added")
    check("ALREADY" in wants(0, "repo", "register", "r/b.git", "s2")[0], "already")
    check([r["path"] for r in as_json("repo", "list", "--prefix", "r/")] == ["r/a.git", "r/b.git"],
          "listed")
    wants(0, "repo", "set-head", "r/b.git", "refs/heads/x")
    wants(0, "repo", "freeze", "r/b.git", "moving house")
    _, err = wants(4, "ref", "update", "r/b.git", "refs/heads/x", A, "--create")
    check("moving house" in err, err)
    wants(0, "repo", "thaw", "r/b.git")
    wants(0, "repo", "rename", "r/b.git", "q/b.git")
    wants(0, "repo", "rename", "--prefix", "q/", "p/")
    wants(0, "repo", "remove", "p/b.git")
    wants(3, "repo", "show", "p/b.git")
    route = as_json("route", "r/a.git", "--write")
    check(route["primary"] == "s1" and route["primary_ssh"] == "git@s1", str(route))
    route = as_json("route", "--ssh", "git-receive-pack '/r/a.git'", "--print")
    check(route["host"] == "git@s1", str(route))
    check(route["command"] == "git-receive-pack 'r/a.git'", str(route))
    wants(2, "route", "--ssh", "rm -rf '/r/a.git'")
    wants(2, "route", "--ssh", "git-upload-pack 'r/../a.git'")
    wants(4, "primary", "set", "s2", "r/a.git")
    wants(0, "primary", "set", "s2", "r/a.git", "--force", "test")
    check(as_json("route", "r/a.git")["primary"] == "s2", "moved")


def takes_snapshots(nodes, code):
    """`snapshot take --all` with something new, at each of these nodes and no other; its stderr."""
    wants(0, "storage", "set", "s2", "--zone", "z%d" % code)
    new = min(s["applied_index"] for s in CLUSTER.wait_equal())
    out, err = wants(code, "--timeout", "2s", "snapshot", "take", "--all", "-o", "value")
    rows = ["127.0.0.1:%d\tSTARTED" % n.client for n in nodes]
    check(sorted(out.splitlines()) == sorted(rows), out + err)
    for n in nodes:
        wait_until(lambda n=n: n.status()["snapshot_index"] >= new, 20, n.name + "'s snapshot")
    return err


def snapshots_at_every_node():
    check(takes_snapshots(CLUSTER.nodes, 0) == "", "there is nothing to complain of")
    out, _ = wants(0, "snapshot", "take", "--all", "-o", "value")
    check([line.split()[1] for line in out.splitlines()] == ["ALREADY"] * 3, out)
    # Whichever is asked first: the others are asked behind one that is away.
    away = CLUSTER.followers()[0]
    away.kill()
    err = takes_snapshots([n for n in CLUSTER.nodes if n is not away], 5)
    check("127.0.0.1:%d: " % away.client in err and len(err.splitlines()) == 2, err)
    away.start()
    CLUSTER.wait_equal()


def refs_and_their_refusals():
    wants(0, "repo", "create", "f/a.git", "s1")
    wants(0, "ref", "update", "f/a.git", "refs/heads/x", A, "--create", "--actor", "mary jane")
    code, _, err = raw("ref", "update", "f/a.git", "refs/heads/x", A, "--old", B, "-o", "json")
    error = json.loads(err)["error"]
    check(code == 4 and error["code"] == "CONFLICT" and error["current"]["oid"] == A and
          error["current"]["actor"] == "mary jane" and error["retryable"] is False, err)
    wants(4, "ref", "update", "f/a.git", "refs/heads/x", B, "--create")
    wants(4, "ref", "update", "f/a.git", "refs/heads/x/y", B, "--create")
    wants(2, "ref", "update", "f/a.git", "refs/heads/x..y", B, "--create")
    wants(2, "ref", "update", "f/a.git", "refs/heads/x", "zz", "--force")
    wants(2, "ref", "update", "f/a.git", "refs/heads/x", B)
    wants(3, "ref", "get", "f/a.git", "refs/heads/none")
    wants(3, "ref", "get", "f/none.git", "refs/heads/x")
    check(wants(0, "ref", "get", "f/a.git", "refs/heads/x", "-o", "value")[0] == A + "\n", "value")
    wants(4, "ref", "delete", "f/a.git", "refs/heads/x", "--old", B)
    wants(0, "ref", "delete", "f/a.git", "refs/heads/x", "--old", A)
    check(as_json("ref", "list", "f/a.git") == [], "empty")
    wants(4, "ref", "update", "f/a.git", "refs/heads/x", A, "--create", "--epoch", "1")
    wants(4, "ref", "update", "f/a.git", "refs/heads/x", A, "--create", "--by", "s2")


def history_of_nothing():
    """Of no such repository; of one or a ref without changes; of one whose changes are not kept."""
    out, err = wants(3, "history", "f/none.git")
    check(out == "" and "NOREPO" in err and "not kept" not in err, out + err)
    wants(3, "history", "f/none.git", "refs/heads/x")
    wants(0, "repo", "create", "f/b.git", "s1")
    out, err = wants(0, "history", "f/b.git", "refs/heads/x", "-o", "json")
    check(json.loads(out) == [] and "no change is known, from index 1 on" in err, out + err)
    out, err = wants(0, "history", "f/b.git", "-o", "json")
    check(json.loads(out)[0]["kind"] == "created" and err == "", out + err)
    other = Cluster(1, options=("--insecure-peer", "--trailing-entries", "0"))
    try:
        other.start()
        node = other.nodes[0]
        wants(0, "repo", "register", "f/b.git", "s1", endpoints=other.endpoints)
        wants(0, "snapshot", "take", endpoints=other.endpoints)
        index = wait_until(lambda: node.status()["snapshot_index"], 20, "the snapshot")
        node.stop()
        node.start()
        other.wait_leader()
        out, err = wants(0, "history", "f/b.git", "-o", "json", endpoints=other.endpoints)
        check(json.loads(out) == [] and "no change is known; older" in err and
              "oldest: %d" % (index + 1) in err, out + err)
        out, err = wants(3, "history", "f/none.git", endpoints=other.endpoints)
        check(out == "" and "NOREPO" in err and "not kept" not in err, out + err)
    finally:
        other.close()


def a_script_of_update_ref():
    wants(0, "repo", "create", "s/a.git", "s1")
    script = "create refs/heads/a %s\nupdate refs/heads/b %s\nverify refs/heads/c\n" % (A, B)
    wants(0, "ref", "update", "s/a.git", "--stdin", stdin=script)
    check(len(as_json("ref", "list", "s/a.git")) == 2, "two refs")
    script = "update refs/heads/a %s %s\nupdate refs/heads/b %s %s\n" % (B, A, A, A)
    wants(4, "ref", "update", "s/a.git", "--stdin", stdin=script)
    check(wants(0, "ref", "get", "s/a.git", "refs/heads/a", "-o", "value")[0] == A + "\n",
          "all or nothing")
    script = "start\ndelete refs/heads/a %s\nprepare\ncommit\n" % A
    script += "start\ndelete refs/heads/b\nabort\n"
    out, _ = wants(0, "ref", "update", "s/a.git", "--stdin", stdin=script)
    check(out == "start: ok\nprepare: ok\ncommit: ok\nstart: ok\nabort: ok\n", out)
    script = "update refs/heads/z\0%s\0%s\0verify refs/heads/b\0%s\0" % (A, Z, B)
    wants(0, "ref", "update", "s/a.git", "--stdin", "-z", stdin=script)
    wants(2, "ref", "update", "s/a.git", "--stdin", stdin="bogus\n")
    wants(4, "ref", "update", "s/a.git", "--stdin", stdin="verify refs/heads/b\n")
    names = [r["ref"] for r in as_json("ref", "list", "s/a.git")]
    check(names == ["refs/heads/b", "refs/heads/z"], str(names))


def import_and_verify():
    directory = tempfile.mkdtemp(prefix="refkeeper-cli-")
    git_dir = os.path.join(directory, "r.git")

    def git(*words, stdin=None):
        return subprocess.run(["git", "--git-dir", git_dir, *words], input=stdin, text=True,
                              check=True, capture_output=True).stdout.strip()
    subprocess.run(["git", "init", "-q", "--bare", git_dir], check=True)
    tree = git("mktree", stdin="")
    env = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a", "GIT_COMMITTER_NAME": "a",
           "GIT_COMMITTER_EMAIL": "a"}
    os.environ.update(env)
    commit = git("commit-tree", "-m", "x", tree)
    git("update-ref", "--stdin",
        stdin="".join("create refs/tags/t%d %s\n" % (i, commit) for i in range(500)))
    git("pack-refs", "--all")
    check(as_json("import", "i/a.git", "s1", git_dir)["imported"] == 500, "imported")
    again = as_json("import", "i/a.git", "s1", git_dir)
    check(again["imported"] == 0 and again["unchanged"] == 500, str(again))
    wants(0, "verify", "i/a.git", git_dir)
    for node in CLUSTER.nodes:
        CLUSTER.wait_equal()
        wants(0, "verify", "i/a.git", git_dir, "--stale", endpoints="127.0.0.1:%d" % node.client)
    wants(0, "ref", "update", "i/a.git", "refs/tags/t7", A, "--force")
    wants(0, "ref", "delete", "i/a.git", "refs/tags/t8", "--force")
    wants(0, "ref", "update", "i/a.git", "refs/tags/u", A, "--create")
    rows = {r["ref"]: (r["cluster"], r["disk"]) for r in as_json("verify", "i/a.git", git_dir,
                                                                 code=4)}
    check(rows == {"refs/tags/t7": (A, commit), "refs/tags/t8": (None, commit),
                   "refs/tags/u": (A, None)}, str(rows))
    wants(4, "import", "i/a.git", "s1", git_dir)
    wants(0, "import", "i/a.git", "s1", git_dir, "--force")
    wants(0, "ref", "delete", "i/a.git", "refs/tags/u", "--force")
    wants(0, "verify", "i/a.git", git_dir)
    wants(3, "import", "i/b.git", "s1", os.path.join(directory, "none"))
    shutil.rmtree(directory)


def usage_and_reach():
    wants(0, "--help")
    wants(0, "ref", "get", "--help")
    out, _ = wants(0, "limits", "--help")
    check(out.splitlines()[0] == "usage: refkeeper limits show", out)
    out, err = wants(2, "limits")
    check("limits set" in err and out == "", out + err)
    wants(2, "nonsense", "--help")
    for words in (["nonsense"], ["ref", "get"], ["status", "--nonsense"], ["-o", "xml", "status"],
                  ["--timeout", "soon", "status"]):
        wants(2, *words)
    _, err = wants(5, "--timeout", "1s", "status", endpoints="127.0.0.1:1")
    check("127.0.0.1:1" in err and "--endpoints" in err, err)
    # An endpoint that is dead costs nothing but the next one.
    wants(0, "status", endpoints="127.0.0.1:1," + CLUSTER.endpoints)
    env = {"REFKEEPER_OUTPUT": "json"}
    check("refkeeper" in json.loads(wants(0, "version", env=env)[0]), "environment")
    flag = subprocess.check_output([CLI, "--version"], text=True)
    check(flag == wants(0, "version")[0], flag)
    version = as_json("version", "--node")
    check(version["node"] == version["refkeeper"], str(version))
    _, err = wants(2, "--cacert", "/nowhere", "status")
    check("/nowhere: No such file" in err, err)
    for shell in ("bash", "zsh", "fish"):
        check("refkeeper" in wants(0, "completion", shell)[0], shell)


def capacity_of_next_to_nothing():
    """A few refs say little, and what a removed repository left in memory says nothing."""
    wants(0, "bench", "--duration", "1s", "--clients", "4", "--keys", "30000")
    then = as_json("capacity", "--refs", "1000000")[1]
    check(30e6 < then["memory_bytes"] < 130e6, str(then))
    check(20e6 < then["snapshot_bytes"] < 100e6, str(then))


def bench_runs():
    rows = as_json("bench", "--clients", "16", "--connections", "4", "--keys", "1000", "--reads",
                   "50", "--duration", "1s", "--warmup", "100ms")
    check({r["what"] for r in rows} == {"read", "write"} and
          all(r["per_second"] > 0 and r["p50_us"] <= r["p999_us"] for r in rows), str(rows))
    check(not [r for r in as_json("repo", "list", "--prefix", "bench/")], "tidied up")


def writes_survive_the_death_of_the_leader():
    wants(0, "repo", "create", "d/a.git", "s1")
    leader = CLUSTER.wait_leader()
    leader.kill()
    wants(0, "ref", "update", "d/a.git", "refs/heads/x", A, "--create")
    leader.start()
    CLUSTER.wait_equal()


def says_that_there_is_no_majority():
    """A node without a leader keeps what it is asked, so the deadline passes without an answer."""
    left = CLUSTER.followers()[0]
    down = [n for n in CLUSTER.nodes if n is not left]
    for n in down:
        n.kill()
    wait_until(lambda: not left.status()["leader"], 20, "the loss of the leader to be noticed")
    text = "127.0.0.1:%d knows no leader: it reaches 1 of 3 voters (not %s)" % (
        left.client, ", ".join(n.name for n in down))
    _, err = wants(5, "--timeout", "1s", "ref", "get", "d/a.git", "refs/heads/x")
    check(text in err and "--stale" in err, err)
    # Unknown is meant: it may be done yet, when there is a leader again.
    _, err = wants(6, "--timeout", "1s", "move-leader")
    check(text in err and "--stale" not in err, err)
    for n in down:
        n.start()
    CLUSTER.wait_leader()
    CLUSTER.wait_equal()


def offline_tools():
    for n in CLUSTER.nodes:
        n.stop()
    dirs = [n.data_dir for n in CLUSTER.nodes]
    rows = as_json("fsck", *dirs)
    check([r["finding"] for r in rows] == ["ok"] * 3, str(rows))
    # A node that outlived the leader may have begun a term of its own: logs of one length agree.
    digests = {(r["last"], r["digest"]) for r in rows}
    check(len(digests) == len({r["last"] for r in rows}), str(rows))
    entries = as_json("log", "dump", dirs[0])
    check(entries[0]["kind"] == "membership", str(entries[0]))
    check(any(e["actor"] == "mary jane" and "refs/heads/x absent -> " + A in e["what"]
              for e in entries), "explained")
    some = as_json("log", "dump", dirs[0], "--from", "5", "--to", "7")
    check([e["index"] for e in some] == [5, 6, 7], str(some))
    copy = dirs[0] + ".copy"
    shutil.copytree(dirs[0], copy)
    with open(os.path.join(copy, "raft-log.dat"), "r+b") as f:
        f.seek(entries[3]["offset"] + 30)
        byte = f.read(1)
        f.seek(-1, 1)
        f.write(bytes([byte[0] ^ 1]))
    code, out, err = raw("fsck", copy)
    check(code == 8, "damage is found: %d\n%s%s" % (code, out, err))
    # Another cluster's directory does not agree.
    other = Cluster(1)
    other.start()
    other.nodes[0].stop()
    wants(4, "fsck", dirs[0], other.nodes[0].data_dir)
    other.close()


run_tests_on(CLUSTER, [status_and_members, repositories, snapshots_at_every_node,
                       refs_and_their_refusals, history_of_nothing, a_script_of_update_ref,
                       import_and_verify, usage_and_reach, bench_runs, capacity_of_next_to_nothing,
                       writes_survive_the_death_of_the_leader, says_that_there_is_no_majority,
                       offline_tools])
