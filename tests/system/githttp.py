# SPDX-License-Identifier: Apache-2.0
"""A small web server around git http-backend, as a storage would run it: for the system tests."""
import http.server
import os
import subprocess
import sys
import threading
import urllib.parse


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            parts = []
            while True:
                size = int(self.rfile.readline().split(b";")[0], 16)
                part = self.rfile.read(size)
                self.rfile.readline()
                if size == 0:
                    return b"".join(parts)
                parts.append(part)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def environment(self, size):
        path, _, query = self.path.partition("?")
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": self.server.root, "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command, "PATH_INFO": urllib.parse.unquote(path),
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(size),
            "REMOTE_USER": self.server.user, "REMOTE_ADDR": self.client_address[0],
            **self.server.environment,
        }
        for name, variable in (("Content-Encoding", "HTTP_CONTENT_ENCODING"),
                               ("Git-Protocol", "GIT_PROTOCOL"),
                               ("X-Git-Epoch", "HTTP_X_GIT_EPOCH")):
            if name in self.headers:
                environment[variable] = self.headers[name]
        return environment

    def serve(self):
        body = self.body() if self.command == "POST" else b""
        run = subprocess.run(["git", "http-backend"], input=body, stdout=subprocess.PIPE,
                             env=self.environment(len(body)), check=False)
        head, _, content = run.stdout.partition(b"\r\n\r\n")
        status, fields = 200, []
        for line in head.decode().split("\r\n"):
            name, _, value = line.partition(": ")
            if name.lower() == "status":
                status = int(value.split()[0])
            elif name:
                fields.append((name, value))
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = serve


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A router that closes a kept connection is no error of ours."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def start(root, user="alice", environment=None):
    """Serves every repository below root; returns the server, whose .url is its address."""
    server = Server(("127.0.0.1", 0), Handler)
    server.root, server.user, server.environment = root, user, environment or {}
    server.url = "http://127.0.0.1:%d" % server.server_address[1]
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
