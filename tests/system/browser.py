# SPDX-License-Identifier: Apache-2.0
"""A real browser without a window, spoken to over its DevTools pipe: Chromium, where there is one.

The profile is in a directory of its own.  What the pages asked for, and everything that went wrong
in them, is kept in `requests` and `errors`.
"""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

from cluster import Failed, die_with_parent, wait_until

SECONDS = 30


def find():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path is not None:
            return path
    return None


class Browser:
    def __init__(self, program):
        self.home = tempfile.mkdtemp(prefix="refkeeper-browser-")
        self.requests, self.errors = [], []
        self.last_id = self.loads = 0
        self.session = None
        self.buffered = b""
        to_browser, self.out = os.pipe()
        self.into, from_browser = os.pipe()

        def before():
            die_with_parent()
            os.dup2(to_browser, 33)
            os.dup2(from_browser, 34)
            os.dup2(33, 3)
            os.dup2(34, 4)

        self.process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--disable-background-networking", "--user-data-dir=" + self.home,
             "--remote-debugging-pipe", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            close_fds=False, preexec_fn=before, env={"HOME": self.home, "PATH": "/usr/bin:/bin"})
        os.close(to_browser)
        os.close(from_browser)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target,
                                 flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(domain + ".enable")

    def read(self, seconds):
        """One message; None when there is none in time."""
        deadline = time.monotonic() + seconds
        while b"\0" not in self.buffered:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.into], [], [], left)[0]:
                return None
            data = os.read(self.into, 1 << 16)
            if not data:
                raise Failed("the browser ended, exit code %s" % self.process.poll())
            self.buffered += data
        message, self.buffered = self.buffered.split(b"\0", 1)
        return json.loads(message)

    def note(self, message):
        method, found = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self.loads += 1
        elif method == "Network.requestWillBeSent":
            self.requests.append(found["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(found["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and found["type"] in ("error", "assert"):
            self.errors.append(json.dumps(found["args"]))
        elif method == "Log.entryAdded" and found["entry"]["level"] in ("error", "warning"):
            self.errors.append(found["entry"]["text"])

    def call(self, method, **parameters):
        self.last_id += 1
        request = {"id": self.last_id, "method": method, "params": parameters}
        if self.session is not None:
            request["sessionId"] = self.session
        os.write(self.out, json.dumps(request).encode() + b"\0")
        deadline = time.monotonic() + SECONDS
        while True:
            message = self.read(deadline - time.monotonic())
            if message is None:
                raise Failed("no answer of the browser to " + method)
            if message.get("id") != self.last_id:
                self.note(message)
                continue
            if "error" in message:
                raise Failed("%s: %s" % (method, message["error"]))
            return message["result"]

    def open(self, url):
        before, deadline = self.loads, time.monotonic() + SECONDS
        self.call("Page.navigate", url=url)
        while self.loads == before:
            message = self.read(deadline - time.monotonic())
            if message is None:
                raise Failed("%s was not loaded" % url)
            self.note(message)

    def ask(self, expression):
        """The value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True)
        if "exceptionDetails" in answer:
            raise Failed("%s: %s" % (expression, answer["exceptionDetails"]))
        return answer["result"].get("value")

    def wait(self, expression, seconds, what):
        try:
            return wait_until(lambda: self.ask(expression), seconds, what)
        except Failed as error:
            raise Failed("%s; the page says:\n%s" % (error, self.ask("document.body.innerText")))

    def look(self, width, height, scheme):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.out)
        os.close(self.into)
        shutil.rmtree(self.home, ignore_errors=True)
