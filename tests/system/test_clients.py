#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stock clients and bad input against real nodes: RESP and HTTP."""
import json
import os
import shutil
import socket
import subprocess
import urllib.error
import urllib.request

from cluster import Cluster, RespError, check, run_tests, wait_until

A, B = "a" * 40, "b" * 40
REPO = "group/project.git"

cluster = Cluster()


def any_node():
    return cluster.followers()[0]


def http(node, path, headers=None, method="GET"):
    request = urllib.request.Request("http://127.0.0.1:%d%s" % (node.http, path), method=method,
                                     headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def raw(port, data, seconds=5):
    """Sends bytes; what comes until the other side closes, or None when it does not."""
    with socket.create_connection(("127.0.0.1", port), seconds) as s:
        got = b""
        try:
            s.sendall(data)
            while True:
                part = s.recv(65536)
                if not part:
                    return got
                got += part
        except ConnectionError:
            return got
        except socket.timeout:
            return None


def resident_kib(node):
    with open("/proc/%d/status" % node.pid()) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def setup_state():
    cluster.start()
    r = cluster.leader().resp()
    r.call("STORAGE.SET", "s1", "HTTP", "10.0.0.1:80")
    check(r.call("REPO.REGISTER", REPO, "s1")[1] == "CREATED", "register")
    r.close()


def every_command_through_a_follower():
    r = any_node().resp()
    index = r.call("REF.UPDATE", REPO, "refs/heads/main", "ABSENT", A)
    check(r.call("REF.GET", REPO, "refs/heads/main") == A, "read after write")
    try:
        r.call("REF.UPDATE", REPO, "refs/heads/main", B, B, "ACTOR", "j\nd")
        check(False, "a stale update was accepted")
    except RespError as error:
        check(str(error).startswith("CONFLICT current=%s index=%d actor= " % (A, index)), error)
    session = r.call("SESSION.OPEN")
    first = r.call("REF.UPDATE", REPO, "refs/heads/s", "ABSENT", A, "REQID", session, 1, 1)
    again = r.call("REF.UPDATE", REPO, "refs/heads/s", "ABSENT", A, "REQID", session, 1, 1)
    check(first == again, "a repeated request was executed again: %s %s" % (first, again))
    n = 10000
    words = [w for i in range(n) for w in ("refs/many/%05d" % i, "ABSENT", A)]
    check(isinstance(r.call("REF.TXN", REPO, "ATOMIC", n, *words), int), "10,000 refs at once")
    page = r.call("REF.LIST", REPO, "PREFIX", "refs/many/", "LIMIT", 100000)
    check(page[2] is None and len(page[3]) == 2 * n, "REF.LIST of 10,000")
    r.close()


def redis_py():
    try:
        import redis
    except ImportError:
        print("# python3-redis is not installed")
        return
    r = redis.Redis(port=any_node().client, client_name="test")
    check(r.ping() and r.client_getname() == "test", "connect")
    with r.pipeline(transaction=False) as p:
        p.execute_command("REF.UPDATE", REPO, "refs/heads/py", "ABSENT", A)
        p.execute_command("REF.GET", REPO, "refs/heads/py")
        check(p.execute()[1] == A.encode(), "pipeline without transaction")
    with r.pipeline() as p:
        p.execute_command("REF.UPDATE", REPO, "refs/heads/py2", "ABSENT", A)
        try:
            p.execute()
            check(False, "a transactional pipeline must raise")
        except redis.ResponseError as error:
            check("nothing up to EXEC is executed" in str(error), error)
    check(r.execute_command("REF.GET", REPO, "refs/heads/py2") is None, "nothing was executed")
    check(r.ping(), "the connection goes on")
    info = r.info()
    check(info["db0"]["keys"] == info["refs"] > 0 and info["used_memory"] > 0 and
          info["connected_clients"] >= 1 and info["total_commands_processed"] > 5, str(info))
    r.connection_pool.disconnect()  # not when Python collects it: they are counted below


def redis_benchmark():
    node = cluster.leader()
    subprocess.run(["redis-benchmark", "-p", str(node.client), "-q", "-c", "20", "-P", "8", "-n",
                    "20000", "-r", "100000", "REF.UPDATE", REPO, "refs/bench/__rand_int__", "ANY",
                    A], check=True, capture_output=True, timeout=120)
    lists = []
    for n in cluster.nodes:
        r = n.resp()
        lists.append(r.call("REF.LIST", REPO, "PREFIX", "refs/bench/", "LIMIT", 100000)[3])
        r.close()
    check(lists[0] and lists[0] == lists[1] == lists[2], "the nodes list different refs")
    cluster.wait_equal()


def redis_cli():
    out = subprocess.run(["redis-cli", "-p", str(any_node().client), "REF.GET", REPO,
                          "refs/heads/main"], capture_output=True, text=True, timeout=20)
    check(out.stdout.strip() == A, out)


def every_path_of_http():
    node = any_node()
    leader = cluster.leader()
    for path in ("/livez", "/readyz", "/readyz?verbose", "/health", "/version", "/metrics",
                 "/v1/status", "/v1/members", "/v1/storages", "/v1/repos", "/v1/repo?path=" + REPO,
                 "/v1/refs?path=%s&limit=3" % REPO,
                 "/v1/ref?path=%s&ref=refs/heads/main" % REPO,
                 "/v1/route?path=%s&op=write" % REPO):
        status, headers, body = http(node, path)
        check(status == 200, "%s: %d %s" % (path, status, body[:200]))
        if path.startswith("/v1/"):
            check({"node", "term", "applied_index"} <= set(json.loads(body)), path)
    check(http(node, "/leader")[0] == 503 and http(leader, "/leader")[0] == 200, "/leader")
    push = {"X-Original-URI": "/%s/git-receive-pack" % REPO}
    status, headers, body = http(node, "/route/headers", push)
    check(status == 200 and headers["X-Git-Primary"] == "10.0.0.1:80", headers)
    status, headers, body = http(node, "/route/headers", {"X-Original-URI": "/no.git/info/refs"})
    check(status == 403 and headers["X-Git-Route"] == "unknown", headers)
    if shutil.which("promtool"):
        metrics = http(node, "/metrics")[2]
        subprocess.run(["promtool", "check", "metrics"], input=metrics, check=True, timeout=20)


def bad_input_is_refused_and_nothing_dies():
    node = any_node()
    cases = [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 64,
             b"*1\r\n$1073741824\r\n", b"*1073741824\r\n", b"*1\r\n$-5\r\n", b"*2\r\n:1\r\n"]
    for case in cases:
        answer = raw(node.client, case)
        check(answer is not None and answer.startswith((b"-PROTOCOL", b"-TOOLARGE")),
              "%r: %r" % (case, answer))
    head = b"GET / HTTP/1.1\r\nHost: x\r\n"
    for case in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"\x00" * 64,
                 b"GET / HTTP/1.1\nHost: x\n\n", head + b"A: b\r\n" * 70 + b"\r\n",
                 b"GET /" + b"a" * 20000, head + b"Content-Length: 1e9\r\n\r\n"):
        answer = raw(node.http, case, 15)
        check(answer is not None and answer.startswith(b"HTTP/1.1 4"),
              "%r: %r" % (case[:40], answer))
    check(node.is_alive() and node.status() is not None, "the node is well")


def every_field_of_the_status_is_documented():
    with open(os.path.join(os.environ["RK_SRCDIR"], "docs", "INTERFACES.md")) as f:
        text = f.read()
    text = text[text.index("CLUSTER.STATUS says"):]
    named = set(text[:text.index("`lease_ms`:")].replace("`", " ").replace(".", " ").split())
    missing = set(any_node().status()) - named
    check(not missing, "docs/INTERFACES.md does not name %s" % sorted(missing))


def idle_connections_are_cheap():
    node = any_node()
    before = resident_kib(node)
    sockets = [socket.create_connection(("127.0.0.1", node.client)) for _ in range(800)]
    for s in sockets:
        s.sendall(b"*1\r\n$4\r\nPING\r\n")
    for s in sockets:
        check(s.recv(100) == b"+PONG\r\n", "PING")
    each = (resident_kib(node) - before) / len(sockets)
    for s in sockets:
        s.close()
    check(each < 8, "%.1f KiB for an idle connection" % each)
    wait_until(lambda: b'refkeeper_connections{port="resp"} 0' in http(node, "/metrics")[2], 10,
               "all connections gone")


def ends():
    for n in cluster.nodes:
        check(n.stop() == 0, "exit code of " + n.name)


try:
    run_tests([setup_state, every_command_through_a_follower, redis_py, redis_cli, redis_benchmark,
               every_path_of_http, bad_input_is_refused_and_nothing_dies,
               every_field_of_the_status_is_documented, idle_connections_are_cheap, ends])
finally:
    cluster.close()
