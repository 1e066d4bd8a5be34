#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""git push over http is decided by the cluster, applied by the hook; who pushed is remembered."""
import os
import subprocess

import githttp
from cluster import Cluster, check, run_tests

GIT_ENV = {
    "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org",
    "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.org",
}


def git(*arguments, directory=None, code=0, stdin=None):
    run = subprocess.run(["git", *arguments], cwd=directory, capture_output=True, text=True,
                         env={**os.environ, **GIT_ENV}, timeout=60, input=stdin)
    check(run.returncode == code or (code is None), "git %s: exit %d\n%s%s" % (
        " ".join(arguments), run.returncode, run.stdout, run.stderr))
    return run.stdout.strip() if code == 0 else run.stdout + run.stderr


class Site:
    """A cluster, one bare repository whose pushes it decides, and a web server in front."""

    def __init__(self):
        self.cluster = Cluster()
        self.cluster.start()
        self.root = os.path.join(self.cluster.directory, "git")
        self.bare = os.path.join(self.root, "team", "app.git")
        git("init", "-q", "--bare", "-b", "main", self.bare)
        git("config", "http.receivepack", "true", directory=self.bare)
        self.cluster.cli("storage", "set", "s1", "--state", "active")
        self.cluster.cli("import", "team/app.git", "s1", self.bare)
        self.cluster.cli("hook", "install", self.bare, "--repo", "team/app.git", "--storage", "s1",
                         "--endpoints", self.cluster.endpoints)
        self.server = githttp.start(self.root)
        self.url = self.server.url + "/team/app.git"

    def clone(self, name):
        path = os.path.join(self.cluster.directory, name)
        git("clone", "-q", self.url, path)
        git("checkout", "-q", "-B", "main", directory=path)
        return path

    def commit(self, clone, text):
        git("commit", "-q", "--allow-empty", "-m", text, directory=clone)
        return git("rev-parse", "HEAD", directory=clone)

    def get(self, ref):
        return self.cluster.nodes[0].resp().call("REF.GET", "team/app.git", ref)

    def on_disk(self, ref):
        return git("rev-parse", "--verify", ref, directory=self.bare)

    def close(self):
        self.server.shutdown()
        self.cluster.close()


def a_push_over_http_is_decided_and_applied():
    site = Site()
    try:
        clone = site.clone("a")
        oid = site.commit(clone, "one")
        git("push", "-q", "origin", "main", "main:refs/tags/v1", directory=clone)
        check(site.get("refs/heads/main") == oid, "the cluster does not have the push")
        check(site.get("refs/tags/v1") == oid, "the cluster does not have the tag")
        check(site.on_disk("refs/heads/main") == oid, "the disk does not have the push")
        git("push", "-q", "origin", ":refs/tags/v1", directory=clone)
        check(site.get("refs/tags/v1") is None, "the tag is still in the cluster")
        site.cluster.cli("verify", "team/app.git", site.bare)
    finally:
        site.close()


def a_refused_pusher_is_told_what_since_when_and_by_whom():
    site = Site()
    try:
        first, second = site.clone("a"), site.clone("b")
        site.commit(first, "one")
        git("push", "-q", "origin", "main", directory=first)
        # The cluster moved on without this disk: what git advertises is old.
        resp = site.cluster.nodes[1].resp()
        index = resp.call("REF.UPDATE", "team/app.git", "refs/heads/topic", "ABSENT", "1" * 40,
                          "ACTOR", "bob")
        site.commit(second, "two")
        said = git("push", "origin", "main:refs/heads/topic", directory=second, code=1)
        for text in ("1111111", str(index), "bob"):
            check(text in said, "not said: %s\n%s" % (text, said))
        check(site.get("refs/heads/topic") == "1" * 40, "the refused push changed the cluster")
    finally:
        site.close()


def an_atomic_push_is_all_or_nothing():
    site = Site()
    try:
        clone = site.clone("a")
        oid = site.commit(clone, "one")
        site.cluster.nodes[0].resp().call("REF.UPDATE", "team/app.git",
                                          "refs/heads/taken", "ABSENT", "2" * 40)
        git("push", "--atomic", "origin", "main", "main:refs/heads/taken", directory=clone, code=1)
        check(site.get("refs/heads/main") is None, "a part of an atomic push was applied")
        git("push", "--atomic", "-q", "origin", "main", "main:refs/heads/free", directory=clone)
        check(site.get("refs/heads/free") == oid, "an atomic push is missing")
    finally:
        site.close()


def without_a_quorum_nothing_is_written():
    site = Site()
    try:
        clone = site.clone("a")
        site.commit(clone, "one")
        for node in site.cluster.nodes[1:]:
            node.kill()
        git("push", "origin", "main", directory=clone, code=1)
        refs = git("for-each-ref", directory=site.bare)
        check(refs == "", "written without the cluster: " + refs)
    finally:
        site.close()


run_tests([a_push_over_http_is_decided_and_applied,
           a_refused_pusher_is_told_what_since_when_and_by_whom,
           an_atomic_push_is_all_or_nothing,
           without_a_quorum_nothing_is_written])
