"""A workspace over real HTTP that answers as it is told, and remembers what it was asked."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = {"access_token": "the-token", "expires_in": 3600}
READING = {
    "catalog_name": "main",
    "schema_name": "iot",
    "name": "reading",
    "columns": [{"name": "level", "type_text": "double", "nullable": True, "position": 0}],
}


class Workspace:
    """`answers` to requests for tables are (status, document); the last one stays."""

    def __init__(self):
        self.answers = [(200, READING)]
        self.tokens = [(200, TOKEN)]
        self.asked = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _requests(self))

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, path):
        left = self.tokens if path == "/oidc/v1/token" else self.answers
        return left.pop(0) if len(left) > 1 else left[0]

    def paths(self):
        return [path for _, path, _, _ in self.asked]


@contextmanager
def serving(tls=None):
    workspace = Workspace()
    if tls is not None:
        workspace.server.socket = tls.wrap_socket(workspace.server.socket, server_side=True)
    thread = threading.Thread(target=workspace.server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield workspace
    finally:
        workspace.server.shutdown()
        thread.join()
        workspace.server.server_close()


def _requests(workspace):
    class Requests(BaseHTTPRequestHandler):
        def do_GET(self):
            self.reply()

        def do_POST(self):
            self.reply()

        def reply(self):
            size = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(size).decode()
            workspace.asked.append((self.command, self.path, dict(self.headers), body))
            status, document = workspace.answer(self.path)
            raw = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"{workspace.url}/elsewhere")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_):
            """Say nothing."""

    return Requests
