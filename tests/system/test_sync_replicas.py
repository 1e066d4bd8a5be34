#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""refkeeper.syncReplicas: what a push was told is done survives the loss of its primary's disk."""
import hashlib
import hmac
import os
import shutil
import signal
import socket
import struct
import subprocess

from cluster import Cluster, check, free_ports, run_tests, wait_until
from served import ENV, git, hooks_with_openssl
from storages import Repo, Storage, in_cluster, show, wait_complete
from tracer import Tracer

CLUSTER = Cluster(3)
TOKEN = os.path.join(CLUSTER.directory, "token")
S = {}


def make(path, names, count=1):
    r = Repo(CLUSTER, path, [S[n] for n in names])
    r.push("main")
    r.wait_complete()
    r.set_sync_replicas(count, TOKEN)
    for n in names:
        git(S[n].place(path), "config", "refkeeper.syncWait", "400ms")
    return r


def pins(storage, path):
    return git(storage.place(path), "for-each-ref", "refs/refkeeper/pin")


def a_push_is_on_its_replica_before_it_is_decided():
    r = make("y/one.git", ["s1", "s2"])
    git(r.work, "tag", "-a", "-m", "t", "v1")
    for i in range(3):
        oid = r.commit()
        r.push("main", "main:b%d" % i, "v1", *([":b%d" % (i - 1)] if i > 0 else []))
        git(S["s2"].place(r.path), "cat-file", "-e", oid)
        git(S["s2"].place(r.path), "rev-list", "--objects", "--quiet", oid)
    r.commit()
    started, loaded = hooks_with_openssl(r.work, "push", "-q", S["s1"].place(r.path), "main")
    check((started, loaded) == (2, 0), "of %d hooks %d loaded OpenSSL" % (started, loaded))
    r.wait_complete()
    r.check_equal()
    # A pin that came while its value landed goes at the next look, which its event brings.
    wait_until(lambda: pins(S["s2"], r.path) == "", 10, "what has landed is not pinned any more")


def a_replica_that_is_away_makes_the_push_fail_whole():
    r = make("y/away.git", ["s1", "s2"])
    before = in_cluster(CLUSTER, r.path)
    S["s2"].stop()
    r.commit()
    out = r.push("main", "main:x", code=1)
    check("0 of the 1 replicas" in out and "nothing was changed" in out, out)
    check(in_cluster(CLUSTER, r.path) == before, "nothing was decided")
    check(S["s1"].refs(r.path) == before, "nor written")
    S["s2"].start(init=False)
    r.push("main")
    r.wait_complete()
    r.check_equal()


def one_of_two_replicas_is_enough_for_one():
    r = make("y/two.git", ["s1", "s2", "s3"])
    S["s2"].stop()
    r.commit()
    r.push("main")
    r.set_sync_replicas(2, TOKEN)
    r.commit()
    out = r.push("main", code=1)
    check("1 of the 2 replicas" in out, out)
    S["s2"].start(init=False)
    r.push("main")
    r.wait_complete()
    r.check_equal()


def who_lacks_the_token_brings_nothing():
    host, port = S["s2"].agent.split(":")
    with socket.create_connection((host, int(port)), 10) as s:
        hello = s.recv(20)
        check(hello[:4] == b"RKA2" and len(hello) == 20, hello)
        s.sendall(b"\0\0\0\4" + b"x" * 32 + b"head")
        answer = s.recv(4096)
        check(answer[:1] == b"\1" and b"token" in answer, answer)
    with socket.create_connection((host, int(port)), 10) as s:
        s.recv(20)
        s.sendall(b"\xff\xff\xff\xff" + b"x" * 32)
        check(s.recv(1) == b"", "a head without bound is refused")
    r = make("y/token.git", ["s1", "s2"])
    wrong = os.path.join(CLUSTER.directory, "wrong")
    with open(wrong, "w") as f:
        f.write("another secret, long enough\n")
    r.set_sync_replicas(1, wrong)
    r.commit()
    out = r.push("main", code=1)
    check("token" in out, out)


def an_agent_that_is_not_named_is_at_the_host_of_its_storage():
    r = make("y/host.git", ["s1", "s2"])
    primary = S["s1"].place(r.path)
    r.commit()
    CLUSTER.cli("storage", "set", "s2", "--http", "http://127.0.0.9:1")
    git(primary, "config", "refkeeper.agents", "s3=" + S["s3"].agent)
    out = r.push("main", code=1)
    check("s2 at 127.0.0.9:7483: " in out, out)
    CLUSTER.cli("storage", "set", "s2", "--http", S["s2"].server.url)
    git(primary, "config", "refkeeper.agents", "s2=" + S["s2"].agent)
    r.push("main")
    r.wait_complete()
    r.check_equal()


def what_was_taken_is_synced_with_its_folder_before_the_answer():
    if not Tracer.is_there():
        return
    r = make("y/synced.git", ["s1", "s2"])
    r.commit()
    trace = os.path.join(CLUSTER.directory, "trace")
    tracer = Tracer(S["s2"].process.pid, "-y", "-e",
                    "trace=fsync,rename,sendto,sendmsg,write",
                    "-e", "signal=none", "-o", trace)

    def until_answer():
        with open(trace) as f:
            lines = f.read().splitlines()
        answer = [i for i, line in enumerate(lines) if '"\\0\\0\\0\\0\\0", 5' in line]
        return lines[:answer[0]] if answer else None
    try:
        r.push("main")
        before = wait_until(until_answer, 10, "the answer in the trace")
    finally:
        tracer.let_go()

    def find(call, *words):
        found = [i for i, line in enumerate(before)
                 if call + "(" in line and all(word in line for word in words)]
        check(len(found) == 1, "one %s of %s: %s" % (call, words, "\n".join(before)))
        return found[0]
    order = [find("fsync", ".pack>"), find("rename", ".pack"), find("rename", ".idx"),
             find("fsync", "/objects/pack>")]
    check(order == sorted(order) and find("fsync", ".idx>") < order[1],
          "synced, moved, the index last, the folder synced: " + "\n".join(before))
    r.commit()
    r.push("main")  # untraced, it goes on
    r.wait_complete()
    r.check_equal()


def wait_and_see(process, code=0):
    out = process.communicate(timeout=60)[0]
    check(process.returncode == code, "a push ended with %d: %s" % (process.returncode, out))
    return out


def start_push(work, *words):
    return subprocess.Popen(["git", "push", "-q", "o", *words], cwd=work, text=True, env=ENV,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def incoming(storage, path):
    objects = os.path.join(storage.place(path), "objects")
    return [os.path.join(objects, name) for name in os.listdir(objects)
            if name.startswith("tmp_")]


def offer(storage, path, oid, pack):
    """As a hook does it, with any pack.  The answer: 0 or 1, and why."""
    head = struct.pack(">I", len(path)) + path.encode()
    head += struct.pack(">Q", 0) + struct.pack(">I", 4) + b"abcd" + struct.pack(">I", 1)
    head += struct.pack(">I", len(oid)) + oid.encode()
    host, port = storage.agent.split(":")
    with socket.create_connection((host, int(port)), 20) as s:
        nonce = s.recv(20)[4:]
        with open(TOKEN, "rb") as f:
            token = f.readline().rstrip(b"\n")
        mac = hmac.new(token, nonce + head, hashlib.sha256).digest()
        s.sendall(struct.pack(">I", len(head)) + mac + head + struct.pack(">Q", len(pack)) + pack)
        answer = b""
        while part := s.recv(4096):
            answer += part
    return answer[0], answer[5:].decode()


def pack_of(work, *oids):
    return subprocess.run(["git", "pack-objects", "--stdout", "-q"], cwd=work, check=True,
                          input="\n".join(oids).encode(), stdout=subprocess.PIPE, env=ENV).stdout


def of_a_pack_that_is_no_good_nothing_stays():
    r = make("y/hole.git", ["s1", "s2"])
    packs = os.path.join(S["s2"].place(r.path), "objects", "pack")
    before = sorted(os.listdir(packs))
    oid = r.commit()
    tree, blob = (git(r.work, "rev-parse", oid + what).strip() for what in ("^{tree}", ":file"))
    for pack, reason in ((pack_of(r.work, oid, tree), "missing"), (pack_of(r.work, oid), "missing"),
                         (pack_of(r.work, oid, tree, blob)[:-1] + b"x", "index-pack"),
                         (b"PACK", "index-pack"), (b"", "rev-list")):
        code, why = offer(S["s2"], r.path, oid, pack)
        check(code == 1 and (reason in why or "bad" in why),
              "%d %s, wanted %s" % (code, why, reason))
        wait_until(lambda: not incoming(S["s2"], r.path), 10, "nothing incoming")
        check(sorted(os.listdir(packs)) == before, "no pack came")
        check(pins(S["s2"], r.path) == "", "nothing is pinned")
    check(offer(S["s2"], r.path, oid, pack_of(r.work, oid, tree, blob)) == (0, ""), "a whole one")
    check(oid in pins(S["s2"], r.path), "is pinned")
    git(S["s2"].place(r.path), "rev-list", "--objects", "--quiet", oid)
    r.push("main")
    r.wait_complete()
    r.check_equal()


def a_path_may_have_what_lists_and_urls_part_at():
    r = make('y/co:lon "quoted" 100%.git', ["s1", "s2"])
    for i in range(2):
        oid = r.commit()
        r.push("main")
        git(S["s2"].place(r.path), "rev-list", "--objects", "--quiet", oid)
    r.wait_complete()
    r.check_equal()


def an_intake_is_ready_for_the_next_push():
    r = make("y/ready.git", ["s1", "s2"])

    def waiting():
        out = subprocess.run(["ps", "--ppid", str(S["s2"].process.pid), "-o", "pid=,args="],
                             capture_output=True, text=True, check=True).stdout
        rows = [line.split(None, 1) for line in out.splitlines()]
        return [int(pid) for pid, words in rows if r.path in words]

    def is_ready():
        return len(waiting()) == 3
    for damage in (None, "killed", "folder", None):
        r.commit()
        r.push("main")
        wait_until(is_ready, 10, "index-pack, rev-list and update-ref wait")
        folder, = incoming(S["s2"], r.path)
        ready = waiting()
        if damage == "killed":
            os.kill(ready[1], 9)
        elif damage == "folder":
            shutil.rmtree(folder)
    r.commit()
    r.push("main")
    check(not os.path.exists(folder), "the folder was used")
    wait_until(is_ready, 10, "others wait")
    check(not set(ready) & set(waiting()), "the programs, too")
    r.wait_complete()
    r.check_equal()


def refs_are_not_locked_as_long_as_an_agent_may_take():
    r = make("y/slow.git", ["s1", "s2"])
    lock = os.path.join(S["s1"].place(r.path), "refs", "heads", "main.lock")
    r.commit()
    os.kill(S["s2"].process.pid, signal.SIGSTOP)
    try:
        push = start_push(r.work, "main")
        wait_until(lambda: os.path.exists(lock), 10, "the ref is locked")
        wait_until(lambda: not os.path.exists(lock), 3, "and let go")
        check(push.poll() is None, "the push goes on")
    finally:
        os.kill(S["s2"].process.pid, signal.SIGCONT)
    wait_and_see(push)
    r.wait_complete()
    r.check_equal()


def packs_may_travel_through_tls():
    certs = os.path.join(CLUSTER.directory, "certs")
    tool = os.path.join(os.environ.get("RK_SRCDIR", "."), "scripts", "make-certs")
    subprocess.run([tool, certs, "s4"], check=True, capture_output=True)
    base = os.path.join(certs, "s4")
    port, = free_ports(1)
    S["s4"] = Storage(CLUSTER, "s4", ("--listen", "0.0.0.0:%d" % port, "--token-file", TOKEN,
                                      "--listen-cert", base + ".crt", "--listen-key",
                                      base + ".key"))
    S["s4"].agent = "127.0.0.1:%d" % port
    S["s4"].start()
    r = make("y/tls.git", ["s1", "s4"])
    primary = S["s1"].place(r.path)
    r.commit()
    out = r.push("main", code=1)
    check("no agent of this version answers" in out and "without TLS" in out, out)
    git(primary, "config", "refkeeper.agentCacert", os.path.join(certs, "ca.crt"))
    with open(os.path.join(r.work, "large"), "wb") as f:
        f.write(os.urandom(3 * 1024 * 1024))
    git(r.work, "add", "large")
    oid = r.commit()
    r.push("main", "main:more")
    git(S["s4"].place(r.path), "rev-list", "--objects", "--quiet", oid)
    r.wait_complete()
    r.check_equal()
    # Another authority, another host, no TLS on the other side.
    other = os.path.join(CLUSTER.directory, "other-certs")
    subprocess.run([tool, other, "s4"], check=True, capture_output=True)
    r.commit()
    git(primary, "config", "refkeeper.agentCacert", os.path.join(other, "ca.crt"))
    check("TLS handshake" in r.push("main", code=1), "another authority")
    git(primary, "config", "refkeeper.agentCacert", os.path.join(certs, "ca.crt"))
    address = S["s4"].agent
    git(primary, "config", "refkeeper.agents", "s4=127.0.0.2:" + address.split(":")[1])
    check("TLS handshake" in r.push("main", code=1), "another host")
    git(primary, "config", "refkeeper.agents", "s4=" + S["s2"].agent)
    check("TLS handshake" in r.push("main", code=1), "an agent without TLS")
    git(primary, "config", "refkeeper.agents", "s4=" + address)
    r.push("main")
    r.wait_complete()
    r.check_equal()


def a_pusher_may_ask_for_more_replicas():
    r = make("y/more.git", ["s1", "s2", "s3"], count=0)
    git(S["s1"].place(r.path), "config", "receive.advertisePushOptions", "true")
    r.commit()
    S["s2"].stop()
    out = r.push("-o", "refkeeper.syncReplicas=2", "main", code=1)
    check("1 of the 2 replicas" in out, out)
    oid = r.commit()
    r.push("-o", "refkeeper.syncReplicas=1", "main")
    git(S["s3"].place(r.path), "cat-file", "-e", oid)
    S["s2"].start(init=False)
    r.wait_complete()
    r.check_equal()


def refs_that_the_filter_leaves_to_git_need_no_replica():
    r = make("y/filter.git", ["s1", "s2"])
    CLUSTER.cli("filter", "set", "ignore:refs/changes/")
    S["s2"].stop()
    r.commit()
    r.push("main:refs/changes/01/1/1")
    out = r.push("main", "main:refs/changes/01/1/2", code=1)
    check("0 of the 1 replicas" in out, out)
    S["s2"].start(init=False)
    r.push("main")
    r.wait_complete()
    check("refs/changes/01/1/1" in S["s1"].refs(r.path), "on the primary")
    check("refs/changes/01/1/1" not in S["s2"].refs(r.path), "and nowhere else")
    CLUSTER.cli("filter", "set", "--clear")


def an_acknowledged_push_survives_the_loss_of_its_primary():
    r = make("y/lost.git", ["s3", "s2"])
    # The replica may take packs but not follow events: the disk dies before it could fetch.
    for i in range(5):
        oid = r.commit()
        r.push("main", "main:b%d" % i)
    S["s3"].kill()
    wanted = in_cluster(CLUSTER, r.path)
    check(wanted["refs/heads/main"] == oid, "acknowledged")
    CLUSTER.cli("storage", "set", "s3", "--state", "down")
    out = CLUSTER.cli("drain", "s3", "--wait", "30s", "-o", "value", check_code=None)
    check(r.path in out and "moved" in out, out)
    check(show(CLUSTER.nodes[0], r.path)["primary"] == "s2", "moved")
    wait_complete(CLUSTER, r.path, ["s2"])
    check(S["s2"].refs(r.path) == wanted, "every acknowledged ref is there")
    git(S["s2"].place(r.path), "fsck", "--connectivity-only")
    clone = os.path.join(CLUSTER.directory, "clone")
    git(CLUSTER.directory, "clone", "-q", S["s2"].server.url + "/" + r.path, clone)
    check(git(clone, "rev-parse", "HEAD").strip() == oid, "and clones check it out")
    check(git(clone, "symbolic-ref", "HEAD").strip() == "refs/heads/main", "on the same branch")


def main():
    with open(TOKEN, "w") as f:
        f.write("a secret of these storages\n")
    CLUSTER.start()
    try:
        for name in ("s1", "s2", "s3"):
            S[name] = Storage(CLUSTER, name, ("--patience", "3s"), TOKEN)
            S[name].start()
        run_tests([a_push_is_on_its_replica_before_it_is_decided,
                   a_replica_that_is_away_makes_the_push_fail_whole,
                   one_of_two_replicas_is_enough_for_one, who_lacks_the_token_brings_nothing,
                   an_agent_that_is_not_named_is_at_the_host_of_its_storage,
                   what_was_taken_is_synced_with_its_folder_before_the_answer,
                   of_a_pack_that_is_no_good_nothing_stays,
                   a_path_may_have_what_lists_and_urls_part_at,
                   an_intake_is_ready_for_the_next_push,
                   refs_are_not_locked_as_long_as_an_agent_may_take,
                   packs_may_travel_through_tls, a_pusher_may_ask_for_more_replicas,
                   refs_that_the_filter_leaves_to_git_need_no_replica,
                   an_acknowledged_push_survives_the_loss_of_its_primary])
    finally:
        for s in S.values():
            if os.path.exists(s.root):
                s.close()
        CLUSTER.close()


if __name__ == "__main__":
    main()
