# SPDX-License-Identifier: Apache-2.0
"""Limits, the tracked-ref filter, replicas, tombstones, and whether members hold the same."""
import json
import socket
import subprocess
import threading
import urllib.parse
import urllib.request

from cluster import CLI, Cluster, RespError, check, flat_map, run_tests_on, wait_until

A, B = "1" * 40, "2" * 40
CLUSTER = Cluster(3)


def refused(r, *words):
    """The text of the error this request must get."""
    try:
        r.call(*words)
    except RespError as error:
        return urllib.parse.unquote(str(error))
    check(False, "not refused: %s" % (words,))
    return ""


def metric(node, name):
    text = urllib.request.urlopen("http://127.0.0.1:%d/metrics" % node.http, timeout=10).read()
    for line in text.decode().splitlines():
        if line.startswith("refkeeper_%s " % name):
            return int(float(line.split()[1]))
    return None


def over_http(node, path):
    url = "http://127.0.0.1:%d%s" % (node.http, path)
    return json.loads(urllib.request.urlopen(url, timeout=10).read())


def limits_refuse_what_is_new_and_say_which():
    r = CLUSTER.wait_leader().resp()
    r.call("REPO.REGISTER", "l/a.git", "s1")
    for i in range(3):
        r.call("REF.UPDATE", "l/a.git", "refs/heads/%d" % i, "ABSENT", A)
    CLUSTER.cli("limits", "set", "--repository-refs", "3", "--repositories", "1")
    text = refused(r, "REF.UPDATE", "l/a.git", "refs/heads/3", "ABSENT", A)
    check("TOOLARGE" in text and "limited to 3 refs of a repository" in text, text)
    text = refused(r, "REPO.REGISTER", "l/b.git", "s1")
    check("TOOLARGE" in text and "limited to 1 repositories" in text, text)
    # What is there may still change and go.
    r.call("REF.UPDATE", "l/a.git", "refs/heads/0", A, B)
    r.call("REF.UPDATE", "l/a.git", "refs/heads/0", B, "0" * 40)
    r.call("REF.UPDATE", "l/a.git", "refs/heads/0", "ABSENT", A)
    shown = json.loads(CLUSTER.cli("limits", "show", "-o", "json"))
    check(shown["repository_refs_limit"] == 3 and shown["repositories_limit"] == 1
          and shown["refs_limit"] == 0 and shown["refs"] == 3, str(shown))
    node = CLUSTER.wait_leader()
    check(metric(node, "store_repository_refs_limit") == 3, "a metric")
    check(over_http(node, "/v1/limits")["repositories_limit"] == 1, "over HTTP")
    # One limit is lifted, the other stays.
    CLUSTER.cli("limits", "set", "--repositories", "0")
    r.call("REPO.REGISTER", "l/b.git", "s1")
    refused(r, "REF.UPDATE", "l/a.git", "refs/heads/3", "ABSENT", A)
    CLUSTER.cli("limits", "set", "--repository-refs", "0", "--bytes", "100")
    check("limited to 100 bytes" in refused(r, "REPO.REGISTER", "l/c.git", "s1"), "bytes")
    CLUSTER.cli("limits", "set", "--bytes", "0")
    CLUSTER.cli("limits", "set", check_code=2)
    refused(r, "LIMITS.SET", "NONSENSE", "1")
    refused(r, "LIMITS.SET", "REFS", "many")
    r.close()


def a_filter_leaves_refs_to_git():
    r = CLUSTER.wait_leader().resp()
    r.call("REPO.REGISTER", "f/a.git", "s1")
    CLUSTER.cli("filter", "set", "track:refs/changes/*/*/meta", "ignore:refs/changes/")
    rules = json.loads(CLUSTER.cli("filter", "show", "-o", "json"))
    check(rules == [{"rule": "track", "pattern": "refs/changes/*/*/meta"},
                    {"rule": "ignore", "pattern": "refs/changes/"}], str(rules))
    r.call("REF.UPDATE", "f/a.git", "refs/changes/01/1/1", "ABSENT", A)
    r.call("REF.UPDATE", "f/a.git", "refs/changes/01/1/meta", "ABSENT", A)
    check(r.call("REF.GET", "f/a.git", "refs/changes/01/1/1") is None, "ignored: not stored")
    check(r.call("REF.GET", "f/a.git", "refs/changes/01/1/meta") == A, "tracked")
    check("BADARG" in refused(r, "FILTER.SET", "1", "IGNORE", "refs/**/x"), "a bad pattern")
    check("BADARG" in refused(r, "FILTER.SET", "2", "IGNORE", "refs/x"), "too few words")
    check(over_http(CLUSTER.wait_leader(), "/v1/filter")["rules"][1]["rule"] == "ignore", "HTTP")
    CLUSTER.cli("filter", "set", check_code=2)
    CLUSTER.cli("filter", "set", "--clear")
    check(json.loads(CLUSTER.cli("filter", "show", "-o", "json")) == [], "no rules")
    r.call("REF.UPDATE", "f/a.git", "refs/changes/01/1/1", "ABSENT", A)
    check(r.call("REF.GET", "f/a.git", "refs/changes/01/1/1") == A, "tracked again")
    r.close()


def a_replica_can_be_removed_but_not_the_primary():
    CLUSTER.cli("repo", "register", "p/a.git", "s1")
    CLUSTER.cli("repo", "register", "p/a.git", "s2")
    CLUSTER.cli("repo", "remove-replica", "p/a.git", "s1", check_code=4)
    CLUSTER.cli("repo", "remove-replica", "p/a.git", "s2")
    shown = json.loads(CLUSTER.cli("repo", "show", "p/a.git", "-o", "json"))
    check(shown["replicas"] == ["s1"] and shown["primary"] == "s1", str(shown))
    CLUSTER.cli("repo", "remove-replica", "p/a.git", "s2", check_code=4)
    CLUSTER.cli("repo", "remove-replica", "p/none.git", "s2", check_code=3)


def identity_is_the_id_and_late_hooks_are_told():
    r = CLUSTER.wait_leader().resp()
    r.call("REPO.REGISTER", "i/old.git", "s1")
    old = flat_map(r.call("REPO.SHOW", "i/old.git"))
    update = ("REF.UPDATE", "i/old.git", "refs/heads/x", "ABSENT", A, "ID", old["id"])
    CLUSTER.cli("repo", "rename", "--prefix", "i/", "j/")
    check("RENAMED" in refused(r, *update) and "j/old.git" in refused(r, *update), "where it went")
    text = refused(r, "REF.UPDATE", "j/old.git", "refs/heads/x", "ABSENT", A, "EPOCH", 1)
    check(text.startswith("FENCED"), text)
    text = refused(r, "REF.UPDATE", "j/old.git", "refs/heads/x", "ABSENT", A, "BY", "s9")
    check(text.startswith("FENCED") and "s1" in text, text)
    CLUSTER.cli("repo", "remove", "j/old.git")
    check(refused(r, *update).startswith("REMOVED"), "gone by its id")
    check(refused(r, "REF.UPDATE", "j/old.git", "refs/heads/x", "ABSENT", A).startswith("REMOVED"),
          "gone by its path")
    r.call("REPO.REGISTER", "j/old.git", "s1")
    text = refused(r, "REF.UPDATE", "j/old.git", "refs/heads/x", "ABSENT", A, "ID", old["id"])
    check(text.startswith("REMOVED"), "another repository of that path: " + text)
    check(metric(CLUSTER.wait_leader(), "store_tombstones") is not None, "a gauge")
    r.close()


class Writer(threading.Thread):
    """Updates one ref in pipelines, so that members are never at rest."""

    def __init__(self):
        super().__init__(daemon=True)
        self.is_over = threading.Event()
        self.count = 0

    def run(self):
        r = CLUSTER.wait_leader().resp()
        while not self.is_over.is_set():
            for i in range(256):
                r.send("REF.UPDATE", "h/a.git", "refs/heads/%d" % (i % 7), "ANY",
                       "%040x" % (self.count + i + 1))
            for _ in range(256):
                r.read()
            self.count += 256
        r.close()


def members_are_compared_while_updates_go_on():
    CLUSTER.cli("repo", "register", "h/a.git", "s1")
    writer = Writer()
    writer.start()
    # Two marks of 1,024 entries, so that nobody can be at an index others have not had.
    wait_until(lambda: writer.count > 4096, 60, "4,096 updates")
    for _ in range(5):
        rows = json.loads(CLUSTER.cli("endpoint", "hash", "-o", "json"))
        check(len(rows) == 3 and len({x["digest"] for x in rows}) == 1
              and len({x["index"] for x in rows}) == 1
              and all(x["verdict"] == "equal" for x in rows), str(rows))
    writer.is_over.set()
    writer.join(30)
    CLUSTER.wait_equal()
    rows = json.loads(CLUSTER.cli("endpoint", "hash", "-o", "json"))
    check(all(x["index"] == x["applied"] for x in rows), "at rest: now itself: %s" % rows)


class Liar(threading.Thread):
    """A node that claims another state at the index the real one is at."""

    def __init__(self, real):
        super().__init__(daemon=True)
        self.real = real
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.server.getsockname()[1]

    def answer(self, request):
        addresses = [self.address, "127.0.0.1:%d" % self.real.client]
        if request == b"MEMBER.LIST":
            return [["name", a, "client", a] for a in addresses]
        applied = self.real.status()["applied_index"]
        return ["node", "liar", "applied_index", applied, "digest", "ab" * 16, "marks", []]

    @staticmethod
    def encode(value):
        if isinstance(value, list):
            return b"*%d\r\n" % len(value) + b"".join(Liar.encode(v) for v in value)
        if isinstance(value, int):
            return b":%d\r\n" % value
        return b"$%d\r\n%s\r\n" % (len(value), value.encode())

    def serve(self, connection):
        file = connection.makefile("rb")
        while True:
            line = file.readline()
            if not line:
                return
            words = []
            for _ in range(int(line[1:])):
                words.append(file.read(int(file.readline()[1:]) + 2)[:-2])
            connection.sendall(self.encode(self.answer(words[0].upper())))

    def run(self):
        while True:
            connection, _ = self.server.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()


def a_member_with_another_state_is_found():
    CLUSTER.wait_equal()
    liar = Liar(CLUSTER.wait_leader())
    liar.start()
    run = subprocess.run([CLI, "--endpoints", liar.address, "endpoint", "hash", "-o", "json"],
                         capture_output=True, text=True, timeout=60)
    check(run.returncode == 4, "exit %d\n%s%s" % (run.returncode, run.stdout, run.stderr))
    check([x["verdict"] for x in json.loads(run.stdout)] == ["DIFFERENT", "DIFFERENT"], run.stdout)


def a_member_that_is_away_is_said_to_be():
    away = CLUSTER.followers()[0]
    away.kill()
    CLUSTER.wait_leader()
    run = subprocess.run([CLI, "--endpoints", CLUSTER.endpoints, "--timeout", "3s", "endpoint",
                          "hash", "-o", "json"], capture_output=True, text=True, timeout=60)
    rows = json.loads(run.stdout)
    check(run.returncode == 5 and sum(x["verdict"] == "equal" for x in rows) == 2,
          "exit %d %s" % (run.returncode, rows))
    away.start()
    CLUSTER.wait_equal()


run_tests_on(CLUSTER, [limits_refuse_what_is_new_and_say_which, a_filter_leaves_refs_to_git,
                       a_replica_can_be_removed_but_not_the_primary,
                       identity_is_the_id_and_late_hooks_are_told,
                       members_are_compared_while_updates_go_on,
                       a_member_with_another_state_is_found, a_member_that_is_away_is_said_to_be])
