#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The status page in a real browser, served by three real nodes: it shows what there is, follows
the cluster, asks nobody else, and takes no name for markup.

    RK_PICTURES=DIR tests/system/test_status_page.py     pictures to look at
"""
import json
import os
import sys

import browser
from cluster import Cluster, check, run_tests

CLUSTER = Cluster(3)
PICTURES = os.environ.get("RK_PICTURES")
HOSTILE = "<img src=x onerror=window.hit=1><script>window.hit=1<&script>"
HOSTILE_HOST = "<img/src=x/onerror=window.hit=1>"
ROWS = """Object.fromEntries([...document.querySelectorAll('#%s tr')].map(
    r => [...r.cells].map(c => c.textContent)).map(c => [c[0], c]))"""
PAGE = None


def rows(table):
    """Of a table of the page: what stands in the cells of each row, by its first cell."""
    return PAGE.ask(ROWS % table)


def shows(text):
    return "document.body.innerText.includes(%s)" % json.dumps(text)


def said_without_error():
    return "document.getElementById('said').textContent.startsWith('as of')"


def picture(name):
    if PICTURES:
        PAGE.picture(os.path.join(PICTURES, name + ".png"))


def fill():
    r = CLUSTER.leader().resp()
    r.call("STORAGE.SET", "s1", "HTTP", "10.0.0.1:8080", "ZONE", "east")
    r.call("STORAGE.SET", "s2", "HTTP", HOSTILE_HOST, "STATE", "draining")
    for i in range(60):
        r.call("REPO.CREATE", "group/r%02d.git" % i, "s1", "REPLICAS", 1, "s2")
    r.call("REF.UPDATE", "group/r00.git", "refs/heads/main", "ABSENT", "1" * 40)
    r.call("REPO.CREATE", HOSTILE.replace("/", "") + ".git", "s1", "HEAD",
           "refs/heads/<b>&amp;")
    r.call("REPO.FREEZE", "group/r01.git", HOSTILE)
    r.close()


def the_page_shows_the_cluster():
    leader, node = CLUSTER.leader(), CLUSTER.followers()[0]
    PAGE.open("http://127.0.0.1:%d/" % node.http)
    PAGE.wait(said_without_error(), 20, "the page shows something")
    for n in CLUSTER.nodes:
        PAGE.wait("(%s)['%s'][2] === 'yes'" % (ROWS % "members", n.name), 20, n.name + " reached")
    members = rows("members")
    check({m: members[m][1] for m in ("n1", "n2", "n3")} ==
          {n.name: "leader" if n is leader else "voter" for n in CLUSTER.nodes}, str(members))
    PAGE.wait(shows("%s leads, %s is a follower in term" % (leader.name, node.name)), 10,
              "who leads")
    PAGE.wait(shows("61 repositories, 1 ref as of index"), 10, "what there is")
    check(rows("storages")["s2"][1] == "draining", str(rows("storages")))
    repos = rows("repos")
    check(len(repos) == 51 and repos["group/r00.git"][2] == "1", str(repos))
    check(PAGE.ask("document.getElementById('more').textContent") == "The first 50 by path of 61.",
          "what is left out is said")
    for width, height, scheme in ((1200, 1000, "light"), (1200, 1000, "dark"), (360, 900, "light")):
        PAGE.look(width, height, scheme)
        wide = PAGE.ask("document.documentElement.scrollWidth")
        check(wide <= width, "%d pixels at a width of %d" % (wide, width))
        back = PAGE.ask("getComputedStyle(document.body).backgroundColor")
        check((back == "rgb(255, 255, 255)") == (scheme == "light"), back)
        picture("%s-%d" % (scheme, width))
    PAGE.look(1200, 1000, "light")


def names_are_text():
    PAGE.ask("""(() => { const p = document.getElementById('prefix');
        p.value = '<'; p.dispatchEvent(new Event('input')); })()""")
    path = HOSTILE.replace("/", "") + ".git"
    PAGE.wait("(%s)[%s] !== undefined" % (ROWS % "repos", json.dumps(path)), 10, "the hostile one")
    check(rows("repos")[path][3] == "refs/heads/<b>&amp;", str(rows("repos")))
    picture("hostile")
    PAGE.ask("""(() => { const p = document.getElementById('prefix');
        p.value = 'group/r01'; p.dispatchEvent(new Event('input')); })()""")
    PAGE.wait("(%s)['group/r01.git'] !== undefined" % (ROWS % "repos"), 10, "the frozen one")
    check(rows("repos")["group/r01.git"][1] == "frozen: " + HOSTILE, str(rows("repos")))
    check(rows("storages")["s2"][5] == HOSTILE_HOST, str(rows("storages")))
    check(PAGE.ask("window.hit") is None, "a script of a name was run")
    check(PAGE.ask("document.querySelectorAll('img,iframe,b').length") == 0, "markup of a name")
    check(PAGE.ask("document.scripts.length") == 1, "a script of a name")


def the_page_follows_the_cluster():
    old = CLUSTER.leader()
    term = old.status()["term"]
    old.kill()
    PAGE.wait("(%s)['%s'][2] === 'no'" % (ROWS % "members", old.name), 30, "the dead one is marked")
    new = CLUSTER.wait_leader()
    PAGE.wait("(%s)['%s'][1] === 'leader'" % (ROWS % "members", new.name), 30, "the new leader")
    check(new.status()["term"] > term, "another term")
    picture("leader-dead")
    old.start()
    PAGE.wait("(%s)['%s'][2] === 'yes'" % (ROWS % "members", old.name), 30, "it is back")


def nothing_went_wrong_and_nobody_else_was_asked():
    own = "http://127.0.0.1:"
    foreign = [u for u in PAGE.requests if not u.startswith((own, "data:,"))]
    check(not foreign, str(foreign))
    check({u.split("/", 3)[2] for u in PAGE.requests if u.startswith(own)} ==
          {PAGE.ask("location.host")}, "one host")
    check(len(PAGE.requests) > 8, str(PAGE.requests))
    check(not PAGE.errors, "\n".join(PAGE.errors))


def a_node_that_is_gone_is_said_to_be():
    port = int(PAGE.ask("location.port"))
    node = next(n for n in CLUSTER.nodes if n.http == port)
    node.kill()
    PAGE.wait(shows("this node does not answer"), 30, "that it does not answer")
    PAGE.wait(shows("; what is here is as of "), 1, "since when")
    picture("gone")
    node.start()
    PAGE.wait(said_without_error(), 30, "it is back")


def main():
    global PAGE
    program = browser.find()
    if program is None:
        print("1..0 # SKIP no chromium here")
        sys.exit(0)
    CLUSTER.start()
    fill()
    PAGE = browser.Browser(program)
    try:
        run_tests([the_page_shows_the_cluster, names_are_text, the_page_follows_the_cluster,
                   nothing_went_wrong_and_nobody_else_was_asked, a_node_that_is_gone_is_said_to_be])
    finally:
        PAGE.close()
        CLUSTER.close()


if __name__ == "__main__":
    main()
