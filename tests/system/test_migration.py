#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Moving in: trees of real repositories, lists of other systems, scans, a cluster rebuilt."""
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import time

from cluster import CLI, Cluster, check, run_tests
from served import git

IS_LONG = os.environ.get("RK_TORTURE") == "long"
MANY = 2500 if IS_LONG else 250  # repositories of the large tree
CLUSTER = Cluster(3)
PLACE = tempfile.mkdtemp(prefix="refkeeper-migration-")


def tree(name, paths, refs=3):
    """A storage's root with small real repositories; every third has an annotated tag."""
    root = os.path.join(PLACE, name)
    seed = os.path.join(PLACE, "seed.git")
    if not os.path.exists(seed):
        git(PLACE, "init", "-q", "--bare", "-b", "main", seed)
        empty = git(seed, "mktree", stdin="").strip()
        oid = git(seed, "commit-tree", empty, "-m", "one").strip()
        git(seed, "update-ref", "refs/heads/main", oid)
    for i, path in enumerate(paths):
        place = os.path.join(root, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        shutil.copytree(seed, place)
        oid = git(place, "rev-parse", "main").strip()
        git(place, "update-ref", "--stdin",
            stdin="".join("create refs/heads/b%d %s\n" % (k, oid) for k in range(refs)))
        if i % 3 == 0:
            git(place, "tag", "-a", "-m", "t", "v1")
    return root


def disk(root, path):
    out = git(os.path.join(root, path), "for-each-ref", "--format=%(objectname) %(refname)")
    return {name: oid for oid, name in (line.split(" ") for line in out.splitlines())}


def in_cluster(path):
    out = CLUSTER.cli("ref", "list", path, "-o", "value")
    return {name: oid for oid, name in (line.split("\t") for line in out.splitlines())}


def rows(*words, code=0):
    return json.loads(CLUSTER.cli(*words, "-o", "json", check_code=code))


def show(path):
    return json.loads(CLUSTER.cli("repo", "show", path, "-o", "json"))


def a_tree_is_imported_and_again():
    paths = ["g%d/p%d.git" % (i % 5, i) for i in range(40)] + ["deep/er/and/deeper/x.git"]
    root = tree("t1", paths)
    os.makedirs(os.path.join(root, "no/repository/here"))
    os.makedirs(os.path.join(root, ".hidden/x.git"))
    os.symlink(os.path.join(root, "g1"), os.path.join(root, "again"))
    out = rows("import", "--tree", root, "t1", "--dry-run")
    check(len(out) == 41 and {r["outcome"] for r in out} == {"would import"}, out)
    check("g0/p0.git" not in CLUSTER.cli("repo", "list", "-o", "value"), "a dry run does nothing")
    # Cut short, and started again.
    rows("import", "--tree", root, "t1", "--prefix", "g1/")
    out = rows("import", "--tree", root, "t1", "--jobs", "8")
    check(len(out) == 41 and {r["outcome"] for r in out} == {"imported"}, out)
    check(sum(r["unchanged"] > 0 for r in out) == 8, "those of the first run are left alone")
    for path in paths:
        check(in_cluster(path) == disk(root, path), path)
        check(show(path)["primary"] == "t1", path)
        CLUSTER.cli("verify", path, os.path.join(root, path))
    out = rows("import", "--tree", root, "t1")
    check(sum(r["imported"] for r in out) == 0, "all of it was there")
    # A second storage with copies becomes a replica; what differs is named and kept.
    other = tree("t2", paths[:3])
    oid = disk(other, paths[0])["refs/heads/main"]
    git(os.path.join(other, paths[0]), "update-ref", "refs/heads/more", oid)
    newer = git(os.path.join(other, paths[1]), "commit-tree", "-m", "two", oid + "^{tree}").strip()
    git(os.path.join(other, paths[1]), "update-ref", "refs/heads/main", newer)
    out = {r["path"]: r for r in rows("import", "--tree", other, "t2", code=4)}
    check(out[paths[1]]["conflicts"] == 1 and out[paths[0]]["imported"] == 1, out)
    check(in_cluster(paths[1])["refs/heads/main"] == oid, "the cluster's value stays")
    check(show(paths[2])["replicas"] in (["t1", "t2"], "t1,t2"), show(paths[2]))
    check(show(paths[2])["primary"] == "t1", "nobody was deposed")


PRAEFECT_CSV = """virtual_storage,relative_path,replica_path,primary,storage,generation
default,@hashed/aa/bb/one.git,@cluster/repositories/1,t1,t1,7
default,@hashed/aa/bb/one.git,@cluster/repositories/1,t1,t2,7
default,@hashed/aa/bb/one.git,@cluster/repositories/1,t1,t3,6
default,"@hashed/cc/dd/two, too.git",@cluster/repositories/2,t2,t2,0
"""


def praefects_list_is_taken_as_it_is():
    name = os.path.join(PLACE, "praefect.csv")
    with open(name, "w") as f:
        f.write(PRAEFECT_CSV)
    out = rows("import", "--list", name, "--dry-run")
    check([r["path"] for r in out] == ["@hashed/aa/bb/one.git", "@hashed/cc/dd/two, too.git"], out)
    root = tree("t1-praefect", ["@cluster/repositories/1", "@cluster/repositories/2"])
    out = rows("import", "--list", name, "--root", root, "--storage", "t1")
    check({r["outcome"] for r in out} == {"imported"} and out[0]["behind"] == 1, out)
    one = show("@hashed/aa/bb/one.git")
    check(one["primary"] == "t1" and "t2" in one["replicas"] and "t3" not in one["replicas"], one)
    check(in_cluster("@hashed/aa/bb/one.git") == disk(root, "@cluster/repositories/1"), "its refs")
    check(show("@hashed/cc/dd/two, too.git")["primary"] == "t2", "the list says so")
    # What `track-repositories` reads: an object a line.  And an array.
    lines = "".join(json.dumps({"virtual_storage": "default", "relative_path": "j/%d.git" % i,
                                "authoritative_storage": "t2", "replica_path": "r/%d" % i}) + "\n"
                    for i in range(5))
    out = json.loads(CLUSTER.cli("import", "--list", "-", "-o", "json", stdin=lines))
    check(len(out) == 5 and show("j/4.git")["primary"] == "t2", out)
    array = json.dumps([{"relative_path": "j/5.git", "primary": "t1", "storages": ["t1", "t2"]}])
    CLUSTER.cli("import", "--list", "-", stdin=array)
    check("t2" in show("j/5.git")["replicas"], "both")
    for bad, part in (("relative_path,primary\n../x,t1\n", "row 1"), ("a,b\n1,2\n", "missing"),
                      ("relative_path,primary\nx.git\n", "cells"), ("[17]", "row 1"),
                      ('{"relative_path":"x.git"', "row 1"),
                      ('{"relative_path":"x.git","primary":"/"}', "storage"),
                      ("virtual_storage,relative_path\na,x.git\nb,y.git\n", "one by")):
        run = subprocess.run([CLI, "--endpoints", CLUSTER.endpoints, "import", "--list", "-",
                              "--storage", "t1"], input=bad, capture_output=True, text=True,
                             timeout=60, check=False)
        check(run.returncode == 2 and run.stdout == "" and part in run.stderr,
              "%r: %s" % (bad, run))
    CLUSTER.cli("import", "--list", "-", stdin="relative_path\nx.git\n", check_code=2)


def gerrits_list_is_taken_as_it_is():
    lines = "All-Projects\nAll-Users\nplatform/build\n"
    out = json.loads(CLUSTER.cli("import", "--list", "-", "--format", "gerrit", "--storage", "t1",
                                 "-o", "json", stdin=lines))
    check([r["path"] for r in out] == ["All-Projects.git", "All-Users.git", "platform/build.git"],
          out)
    text = json.dumps({"tools/gerrit": {"id": "tools%2Fgerrit", "state": "ACTIVE"},
                       "platform/build": {"id": "platform%2Fbuild", "state": "ACTIVE"}})
    root = tree("t1-gerrit", ["tools/gerrit.git", "platform/build.git"])
    CLUSTER.cli("import", "--list", "-", "--format", "gerrit", "--storage", "t1", "--root", root,
                stdin=text)
    check(in_cluster("tools/gerrit.git") == disk(root, "tools/gerrit.git"), "its refs")


def a_scan_names_what_is_not_tracked_and_deletes_nothing():
    root = tree("t3", ["s/known.git", "s/new.git", "s/stray.git"])
    CLUSTER.cli("import", "s/known.git", "t3", os.path.join(root, "s/known.git"))
    CLUSTER.cli("repo", "create", "s/gone.git", "t3")
    CLUSTER.cli("repo", "create", "s/stray.git", "t1")
    wanted = {"s/new.git": "untracked", "s/stray.git": "stray", "s/gone.git": "missing"}
    for words in ((), ("--dry-run",)):
        out = {r["path"]: r["state"] for r in rows("scan", "t3", root, *words, code=4)}
        check(out == wanted, out)
    oid = disk(root, "s/known.git")["refs/heads/main"]
    git(os.path.join(root, "s/known.git"), "update-ref", "refs/heads/extra", oid)
    out = {r["path"]: (r["state"], r["refs"]) for r in rows("scan", "t3", root, "--refs", code=4)}
    check(out["s/known.git"] == ("differs", 1), out)
    CLUSTER.cli("scan", "t3", root, "--adopt")
    check(in_cluster("s/new.git") == disk(root, "s/new.git"), "adopted")
    out = {r["path"]: r["state"] for r in rows("scan", "t3", root, code=4)}
    check(out == {"s/stray.git": "stray", "s/gone.git": "missing"}, out)
    check(sorted(os.listdir(os.path.join(root, "s"))) == ["known.git", "new.git", "stray.git"],
          "the disk is as it was")


def an_empty_cluster_is_rebuilt_from_its_storages():
    paths = ["r/a.git", "r/b.git", "r/c.git"]
    one, two = tree("r1", paths), os.path.join(PLACE, "r2")
    for path in paths[:2]:
        shutil.copytree(os.path.join(one, path), os.path.join(two, path))
    oid = disk(one, "r/a.git")["refs/heads/main"]
    newer = git(os.path.join(two, "r/b.git"), "commit-tree", "-m", "two", oid + "^{tree}",
                "-p", oid).strip()
    git(os.path.join(two, "r/b.git"), "update-ref", "refs/heads/main", newer)
    git(os.path.join(one, "r/b.git"), "update-ref", "-d", "refs/heads/b1")
    git(os.path.join(one, "r/c.git"), "symbolic-ref", "HEAD", "refs/heads/b2")
    CLUSTER.cli("rebuild", "t1=" + one, check_code=4)  # this one is not empty
    cluster = Cluster(1)
    try:
        cluster.start()
        for name in ("t1", "t2"):
            cluster.cli("storage", "set", name, "--state", "active")

        def refs(path):
            out = cluster.cli("ref", "list", path, "-o", "value")
            return {name: oid for oid, name in (line.split("\t") for line in out.splitlines())}

        words = ("rebuild", "t1=" + one, "t2=" + two)
        out = json.loads(cluster.cli(*words, "--dry-run", "-o", "json", check_code=4))
        told = {(r["ref"], r["storage"]): r["value"] for r in out if r["path"] == "r/b.git"}
        check(told == {("refs/heads/main", "t1"): oid, ("refs/heads/main", "t2"): newer,
                       ("refs/heads/b1", "t1"): None, ("refs/heads/b1", "t2"): oid}, out)
        check(cluster.cli("repo", "list", "-o", "value") == "", "a dry run does nothing")
        cluster.cli(*words, check_code=4)
        check(refs("r/a.git") == disk(one, "r/a.git"), "agreed on")
        check(refs("r/c.git") == disk(one, "r/c.git"), "one copy")
        check(set(refs("r/b.git")) == {"refs/heads/b0", "refs/heads/b2"}, refs("r/b.git"))
        b = json.loads(cluster.cli("repo", "show", "r/b.git", "-o", "json"))
        check(b["state"] == "frozen" and "2 refs" in b["reason"], b)
        a = json.loads(cluster.cli("repo", "show", "r/a.git", "-o", "json"))
        check(a["state"] == "rw" and a["primary"] == "t1" and "t2" in a["replicas"], a)
        c = json.loads(cluster.cli("repo", "show", "r/c.git", "-o", "json"))
        check(c["head"] == "refs/heads/b2" and c["primary"] == "t1", c)
        cluster.cli(*words, check_code=4)  # not empty any more
        # A person decides whose values count.
        cluster.cli("repo", "thaw", "r/b.git")
        cluster.cli(*words, "--resume", "--prefer", "t2")
        check(refs("r/b.git") == disk(two, "r/b.git"), "t2's")
    finally:
        cluster.close()


def many(count):
    """A tree of so many, cheaply: what does not differ is one file with many names."""
    root = tree("many", ["o/0.git"])
    seed = os.path.join(root, "o/0.git")
    shutil.rmtree(os.path.join(seed, "hooks"))
    git(seed, "pack-refs", "--all")
    for i in range(1, count):
        shutil.copytree(seed, os.path.join(root, "o%d" % (i % 100), "%d.git" % i),
                        copy_function=os.link)
    return root


def on_terminal(*words):
    """Exit code and output of refkeeper as on a terminal."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(CLI, [CLI, "--endpoints", CLUSTER.endpoints, *words])
    text = b""
    while True:
        try:
            piece = os.read(fd, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        text += piece
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text.decode(errors="replace")


def a_tree_of_thousands_is_imported_and_shows_how_far_it_is():
    root = many(MANY)
    started = time.monotonic()
    code, text = on_terminal("import", "--tree", root, "t3")
    seconds = time.monotonic() - started
    bars = re.findall(r"import \[[# ]{30}\] +(\d+)% (\d+)/(\d+) \(\d+/s\)", text)
    check(code == 0, text[-2000:])
    check(len(bars) >= 3 and all(int(total) == MANY for _, _, total in bars), "%s" % bars[:5])
    done = [int(n) for _, n, _ in bars]
    check(done == sorted(done) and done[0] < MANY / 2, "it grows: %s" % done)
    check("%d repositories, %d refs; 0 with conflicts, 0 failed" % (MANY, 5 * MANY) in text,
          text[-300:])
    out = CLUSTER.cli("repo", "list", "--storage", "t3", "--prefix", "o", "-o", "value")
    check(sum(line.startswith("o") for line in out.splitlines()) == MANY, "all of them")
    print("# %d repositories imported in %.1f s, %.0f a second" % (MANY, seconds, MANY / seconds))
    sys.stdout.flush()
    started = time.monotonic()
    again = rows("import", "--tree", root, "t3")
    print("# again, with nothing to do: %.1f s" % (time.monotonic() - started))
    check(sum(r["imported"] for r in again) == 0, "nothing is left to do")


def main():
    CLUSTER.start()
    try:
        for name in ("t1", "t2", "t3"):
            CLUSTER.cli("storage", "set", name, "--state", "active")
        run_tests([a_tree_is_imported_and_again, praefects_list_is_taken_as_it_is,
                   gerrits_list_is_taken_as_it_is,
                   a_scan_names_what_is_not_tracked_and_deletes_nothing,
                   a_tree_of_thousands_is_imported_and_shows_how_far_it_is,
                   an_empty_cluster_is_rebuilt_from_its_storages])
    finally:
        CLUSTER.close()
        shutil.rmtree(PLACE, ignore_errors=True)


if __name__ == "__main__":
    main()
