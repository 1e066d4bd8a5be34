#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes over HTTP: JSON bodies, what is refused and how, what a retry gets, a page for people."""
import http.client
import json

from cluster import Cluster, check, run_tests, wait_until

CLUSTER = Cluster(3)
A, B, ZERO = "a" * 40, "b" * 40, "0" * 40
JSON = {"Content-Type": "application/json"}


def ask(method, path, body=None, headers=None, node=None):
    """Status, headers and the parsed answer."""
    node = node or CLUSTER.nodes[0]
    connection = http.client.HTTPConnection("127.0.0.1", node.http, timeout=20)
    try:
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        connection.request(method, path, body,
                           {**(JSON if body is not None else {}), **(headers or {})})
        answer = connection.getresponse()
        text = answer.read()
        try:
            return answer.status, answer.headers, json.loads(text)
        except ValueError:
            return answer.status, answer.headers, text.decode(errors="replace")
    finally:
        connection.close()


def expect(status, method, path, body=None, headers=None):
    code, _, answer = ask(method, path, body, headers)
    check(code == status, "%s %s %r: %d, wanted %d: %s" % (
        method, path, body, code, status, answer))
    return answer


def refs(path):
    answer = expect(200, "GET", "/v1/refs?path=" + path)
    return {r["ref"]: r["oid"] for r in answer["refs"]}


def repositories_are_made_and_removed():
    answer = expect(200, "POST", "/v1/repos", {"path": "h/one.git", "primary": "s1",
                                               "replicas": ["s2"], "head": "refs/heads/trunk",
                                               "format": "sha1", "actor": "jane"})
    show = expect(200, "GET", "/v1/repo?path=h/one.git")
    check(show["primary"] == "s1" and show["head"] == "refs/heads/trunk" and
          show["replicas"] == ["s1", "s2"], show)
    check(int(show["id"]) == int(answer["index"]), "the id is the index: %s %s" % (answer, show))
    check(expect(409, "POST", "/v1/repos",
                 {"path": "h/one.git", "primary": "s1"})["error"]["code"] == "EXISTS", "again")
    expect(404, "POST", "/v1/repos", {"path": "h/two.git", "primary": "nowhere"})
    expect(200, "DELETE", "/v1/repo?path=h/one.git&id=" + show["id"])
    check(expect(410, "GET", "/v1/repo?path=h/one.git&id=" + show["id"])["error"]["code"] ==
          "REMOVED", "a tombstone")
    expect(410, "DELETE", "/v1/repo?path=h/one.git")
    expect(404, "DELETE", "/v1/repo?path=h/never.git")


def refs_change_together():
    expect(200, "POST", "/v1/repos", {"path": "h/t.git", "primary": "s1"})
    answer = expect(200, "POST", "/v1/refs", {"path": "h/t.git", "updates": [
        {"ref": "refs/heads/a", "old": None, "new": A},
        {"ref": "refs/heads/b", "old": "absent", "new": B},
        {"ref": "refs/tags/c", "old": ZERO, "new": A},
        {"ref": None, "ref_b64": "cmVmcy9oZWFkcy//", "old": "ANY", "new": B}]})
    check(answer["index"], answer)
    check(len(refs("h/t.git")) == 4, refs("h/t.git"))
    # All or none, and what is in the way.
    code, _, answer = ask("POST", "/v1/refs", {"path": "h/t.git", "updates": [
        {"ref": "refs/heads/x", "old": None, "new": A},
        {"ref": "refs/heads/a", "old": B, "new": B}]})
    error = answer["error"]
    check(code == 409 and error["code"] == "CONFLICT" and error["current"] == A and
          error["item"] in (1, "1"), answer)
    check("refs/heads/x" not in refs("h/t.git"), "none of it")
    # One by one.
    answer = expect(200, "POST", "/v1/refs", {"path": "h/t.git", "atomic": False, "updates": [
        {"ref": "refs/heads/x", "old": None, "new": A},
        {"ref": "refs/heads/a", "old": B, "new": B},
        {"ref": "refs/heads/b", "old": B, "new": None}]})
    words = [r["code"] for r in answer["results"]]
    check(words == ["OK", "CONFLICT", "OK"], answer)
    now = refs("h/t.git")
    check(now["refs/heads/a"] == A and "refs/heads/b" not in now and now["refs/heads/x"] == A, now)
    many = [{"ref": "refs/changes/%d" % i, "old": None, "new": A} for i in range(5000)]
    expect(200, "POST", "/v1/refs", {"path": "h/t.git", "updates": many})
    answer = expect(200, "GET", "/v1/refs?path=h/t.git&prefix=refs/changes/&limit=10000")
    check(len(answer["refs"]) == 5000, "all of them")


def a_retry_gets_the_first_answer():
    expect(200, "POST", "/v1/repos", {"path": "h/r.git", "primary": "s1"})
    session = CLUSTER.nodes[1].resp().call("SESSION.OPEN")
    body = {"path": "h/r.git", "updates": [{"ref": "refs/heads/a", "old": None, "new": A}]}
    key = {"Idempotency-Key": "%s:1:1" % session}
    first = expect(200, "POST", "/v1/refs", body, key)
    again = ask("POST", "/v1/refs", body, key, node=CLUSTER.nodes[2])[2]
    check(first["index"] == again["index"], "%s %s" % (first, again))
    expect(409, "POST", "/v1/refs", body)
    expect(400, "POST", "/v1/refs", body, {"Idempotency-Key": "rubbish"})
    answer = expect(409, "POST", "/v1/refs", body, {"Idempotency-Key": "999999:1:1"})
    check(answer["error"]["code"] == "EXPIRED", "an unknown session executes nothing")
    # What was written is read at once, wherever one asks.
    index = first["index"]
    for node in CLUSTER.nodes:
        code, _, answer = ask("GET", "/v1/ref?path=h/r.git&ref=refs/heads/a&min_index=%s" % index,
                              node=node)
        check(code == 200 and answer["oid"] == A, answer)
        check(int(answer["applied_index"]) >= int(index) and answer["node"] == node.name, answer)
        check(ask("GET", "/v1/ref?path=h/r.git&ref=refs/heads/a&consistency=stale",
                  node=node)[0] == 200, "stale")
    expect(400, "GET", "/v1/ref?path=h/r.git&ref=refs/heads/a&consistency=stale&min_index=1")


def primaries_move():
    expect(200, "POST", "/v1/repos", {"path": "h/p.git", "primary": "s1", "replicas": ["s2"]})
    answer = expect(200, "POST", "/v1/primary", {"storage": "s2", "paths": ["h/p.git", "h/no.git"],
                                                 "force": "a test"})
    words = [r["code"] for r in answer["results"]]
    check(words == ["OK", "NOREPO"], answer)
    check(expect(200, "GET", "/v1/route?path=h/p.git&op=write")["primary"] == "s2", "moved")
    answer = expect(200, "POST", "/v1/primary", {"storage": "s1", "paths": ["h/p.git"]})
    check(answer["results"][0]["code"] == "STALE", "nobody saw it complete: %s" % answer)
    epoch = expect(200, "GET", "/v1/repo?path=h/p.git")["epoch"]
    body = {"path": "h/p.git", "by": "s1", "epoch": epoch,
            "updates": [{"ref": "refs/heads/a", "old": None, "new": A}]}
    code, _, answer = ask("POST", "/v1/refs", body)
    check(answer["error"]["code"] == "FENCED" and code in (403, 409), answer)
    expect(200, "POST", "/v1/refs", {**body, "by": "s2", "epoch": int(epoch)})
    CLUSTER.cli("repo", "freeze", "h/p.git", "moving house")
    code, _, answer = ask("POST", "/v1/refs", {**body, "by": "s2"})
    check(code == 403 and "moving house" in json.dumps(answer), answer)


GOOD = '{"path":"h/t.git","updates":[{"ref":"refs/heads/z","old":null,"new":"%s"}]}' % A


def update(ref='"refs/heads/z"', old="null", new='"%s"' % A):
    return '{"path":"h/t.git","updates":[{"ref":%s,"old":%s,"new":%s}]}' % (ref, old, new)


BAD_BODIES = [
    ("", 400, "object"), ("null", 400, "object"), ("[]", 400, "object"), ("{", 400, "object"),
    (GOOD + "x", 400, "object"), (GOOD[:-1], 400, "object"),
    ('{"path":"h/t.git"}', 400, "updates"),
    ("{}", 400, "updates"), ("[" * 100000, 413, "deep"),
    ('{"a":' * 50 + "1" + "}" * 50, 413, "deep"),
    ('{"path":"h/t.git","updates":[' + "1," * 120000 + "1]}", 413, "too many"),
    ('{"path":"h/t.git","path":"h/t.git","updates":[]}', 400, None),
    ('{"path":"h/t.git","updates":[],"id":1e999}', 400, None),
    ('{"path":"h/t.git","updates":[],"id":NaN}', 400, None),
    ('{"path":"h/t.git","id":%s}' % ("9" * 400), 400, None),
    ('{"path":"h/t.git","id":-1,"updates":[]}', 400, "/id"),
    ('{"path":"h/t.git","id":1.5,"updates":[]}', 400, "/id"),
    ('{"path":17,"updates":[]}', 400, "/path"), ('{"path":["h/t.git"]}', 400, "/path"),
    ('{"path":"h//t.git"}', 400, "/path"), ('{"path":"../t.git"}', 400, "/path"),
    ('{"path":"h/t.git\\u0000"}', 400, None), ('{"path":"\\ud800"}', 400, None),
    ('{"path":"h/t.git","surprise":1}', 400, "/surprise"),
    ('{"path":"h/t.git","a/b~c":1}', 400, "/a~1b~0c"),
    ('{"path":"h/t.git","reqid":"1:1:1"}', 400, "/reqid"),
    ('{"path":"h/t.git","atomic":"yes"}', 400, "/atomic"),
    ('{"path":"h/t.git","updates":{}}', 400, "/updates"),
    ('{"path":"h/t.git","updates":[]}', 400, "/updates"),
    ('{"path":"h/t.git","updates":[[]]}', 400, "/updates/0"),
    ('{"path":"h/t.git","updates":[{}]}', 400, "/updates/0"),
    (update(ref="17"), 400, "/updates/0/ref"), (update(ref='"main"'), 400, "/updates/0"),
    (update(ref='"refs/heads/a..b"'), 400, "/updates/0"),
    (update(ref='"refs/heads/a.lock"'), 400, "/updates/0"),
    (update(ref='null,"ref_b64":"?"'), 400, "/updates/0/ref_b64"),
    (update(old="17"), 400, "/updates/0/old"), (update(old='""'), 400, "/updates/0"),
    (update(old='"%s"' % ("a" * 39)), 400, "/updates/0"),
    (update(new='"%s"' % ("g" * 40)), 400, "/updates/0"),
    (update(new="17"), 400, "/updates/0/new"), (update(new='"%s"' % ("a" * 64)), 400, None),
    ('{"path":"h/none.git","updates":[{"ref":"refs/heads/z","old":null,"new":"%s"}]}' % A, 404,
     "NOREPO"),
    (b'{"path":"\xff"}', 400, None), (b'{"path":"h/t.git\x00"}', 400, None),
]


def bad_bodies_are_refused_and_say_where():
    before = refs("h/t.git")
    for body, status, part in BAD_BODIES:
        code, _, answer = ask("POST", "/v1/refs", body)
        check(code == status, "%r: %d, wanted %d: %s" % (body[:80], code, status, answer))
        check(part is None or part in json.dumps(answer), "%r: %s" % (body[:80], answer))
        check(isinstance(answer, dict) and "error" in answer, "%r: %s" % (body[:80], answer))
    for kind in (None, "text/plain", "application/jsonp", "application/x-www-form-urlencoded"):
        connection = http.client.HTTPConnection("127.0.0.1", CLUSTER.nodes[0].http, timeout=20)
        connection.request("POST", "/v1/refs", GOOD, {"Content-Type": kind} if kind else {})
        check(connection.getresponse().status == 415, "Content-Type %s" % kind)
        connection.close()
    expect(400, "POST", "/v1/refs?path=h/t.git", GOOD)
    expect(405, "PUT", "/v1/refs", GOOD)
    expect(405, "POST", "/v1/ref", GOOD)
    expect(405, "DELETE", "/v1/repos")
    expect(413, "POST", "/v1/refs", headers={"Content-Length": "999999999", **JSON})
    for body, part in (('{"path":"h/q.git"}', "storage"), ('{"primary":"s1"}', "path"),
                       ('{"path":"h/q.git","primary":"s1","replicas":["s1"]}', "primary"),
                       ('{"path":"h/q.git","primary":"s1","replicas":["/"]}', "/replicas/0"),
                       ('{"path":"h/q.git","primary":"s1","replicas":[1]}', "/replicas/0"),
                       ('{"path":"h/q.git","primary":"s1","format":"md5"}', "/format")):
        check(part in json.dumps(expect(400, "POST", "/v1/repos", body)), body)
    for body, part in (("{}", "storage"), ('{"storage":"s1"}', "paths"),
                       ('{"storage":"s1","paths":[1]}', "/paths/0"),
                       ('{"storage":"s1","paths":["a//b"]}', "path"),
                       ('{"storage":"s1","paths":["h/p.git"],"force":""}', "/force")):
        check(part in json.dumps(expect(400, "POST", "/v1/primary", body)), body)
    check(refs("h/t.git") == before, "nothing changed")


def another_method_is_told_which_there_are():
    for method, path, wanted in (("PUT", "/v1/refs", {"GET", "HEAD", "POST"}),
                                 ("DELETE", "/v1/status", {"GET", "HEAD"}),
                                 ("POST", "/livez", {"GET", "HEAD"})):
        code, headers, answer = ask(method, path)
        check(code == 405 and answer["error"]["code"] == "UNSUPPORTED", answer)
        check(set(headers["Allow"].split(", ")) == wanted, "%s: %s" % (path, headers["Allow"]))


def the_interface_is_described():
    document = expect(200, "GET", "/openapi.json")
    check(document["openapi"].startswith("3."), "version")
    operations = {(m, p) for p, methods in document["paths"].items() for m in methods}
    for wanted in (("post", "/v1/refs"), ("post", "/v1/repos"), ("delete", "/v1/repo"),
                   ("post", "/v1/primary"), ("get", "/v1/events"), ("get", "/v1/route")):
        check(wanted in operations, "%s in %s" % (wanted, operations))
    for method, path in operations:  # it says what is served, and nothing else
        code, _, answer = ask(method.upper(), path + ("?wait=1" if "events" in path else ""),
                              "{}" if method == "post" else None)
        check(code not in (404, 405), "%s %s: %s" % (method, path, answer))
    names = {p["name"] for p in document["paths"]["/v1/refs"]["get"]["parameters"]}
    check({"path", "prefix", "after", "limit", "consistency", "min_index"} <= names, names)
    body = document["paths"]["/v1/refs"]["post"]["requestBody"]["content"]["application/json"]
    check({"path", "updates", "atomic", "epoch"} <= set(body["schema"]["properties"]), body)


def there_is_a_page_for_people():
    code, headers, text = ask("GET", "/")
    check(code == 200 and headers["Content-Type"].startswith("text/html"), headers)
    check("default-src 'none'" in headers["Content-Security-Policy"], headers)
    check("src=" not in text and "@import" not in text and "://" not in text,
          "it needs nothing from elsewhere")


def without_a_quorum_nothing_is_written_and_it_is_said():
    for node in CLUSTER.nodes[1:]:
        node.kill()
    body = {"path": "h/t.git", "updates": [{"ref": "refs/heads/late", "old": None, "new": A}]}

    def no_leader():
        code, headers, answer = ask("POST", "/v1/refs", body)
        check(code in (503, 504), answer)
        if code == 503:
            check(headers["Retry-After"] and answer["error"]["code"] == "NOLEADER", answer)
        else:
            check(answer["error"]["code"] == "UNKNOWN", answer)
        return code == 503
    wait_until(no_leader, 60, "it is known that nobody leads")
    check(ask("GET", "/v1/ref?path=h/t.git&ref=refs/heads/a&consistency=stale")[0] == 200, "stale")


def main():
    CLUSTER.start()
    try:
        for name in ("s1", "s2"):
            CLUSTER.cli("storage", "set", name, "--http", "10.0.0.1:80")
        run_tests([repositories_are_made_and_removed, refs_change_together,
                   a_retry_gets_the_first_answer, primaries_move,
                   bad_bodies_are_refused_and_say_where, another_method_is_told_which_there_are,
                   the_interface_is_described,
                   there_is_a_page_for_people, without_a_quorum_nothing_is_written_and_it_is_said])
    finally:
        CLUSTER.close()


if __name__ == "__main__":
    main()
