"""The server of the station over HTTP with a small app, and raw connections to it."""

import asyncio
import json
import socket
import ssl
from contextlib import contextmanager
from typing import Any, NamedTuple

from pydantic import SecretStr

from collector.config import Http
from collector.http.asgi import reply
from collector.http.serving.body import Bodies
from collector.http.serving.connections import Deadlines
from collector.http.serving.counts import Counts
from collector.http.serving.guard import Guard
from collector.http.serving.web import WebServer
from support.waiting import answers, free_port, wait_for

QUICK = Deadlines(head_s=0.3, taking_s=0.3, idle_s=0.3, look_s=0.05)
PATIENT = Deadlines(head_s=60.0, taking_s=60.0, idle_s=60.0, look_s=0.05, moment_s=60.0)
# More than the kernel takes for a client that doesn't read.
LARGE = 64 * 1024 * 1024


class Asked(NamedTuple):
    scope: Any
    receive: Any
    send: Any


class Echo:
    """Says what it read. `/gate` does so when the gate is opened, `/ignore` without reading,
    `/raise` and `/half` fail, `/large` answers at length, `/stream` without end, `/slow` never."""

    def __init__(self, options):
        self.bodies = Bodies(options)
        self.large = bytes(LARGE)
        self.gate = asyncio.Event()
        self.begun = []
        self.ended = []

    async def __call__(self, scope, receive, send):
        path = scope["path"]
        self.begun.append(path)
        try:
            await getattr(self, "at_" + path.strip("/"), self.at_any)(Asked(scope, receive, send))
        finally:
            self.ended.append(path)

    async def at_any(self, asked):
        with await self.bodies.read(asked.scope, asked.receive) as body:
            path = asked.scope["path"]
            answer = {"path": path, "size": len(body), "body": body[:64].decode("latin-1")}
            await reply(asked.send, 200, [("Content-Type", "application/json")], dumped(answer))

    async def at_gate(self, asked):
        with await self.bodies.read(asked.scope, asked.receive) as body:
            await self.gate.wait()
            await reply(asked.send, 200, (), body)

    async def at_ignore(self, asked):
        await reply(asked.send, 404, [("Cache-Control", "max-age=1")], b"no")

    async def at_raise(self, asked):
        raise KeyError(asked.scope["path"])

    async def at_half(self, asked):
        headers = [(b"content-length", b"2")]
        await asked.send({"type": "http.response.start", "status": 200, "headers": headers})
        raise KeyError(asked.scope["path"])

    async def at_large(self, asked):
        await reply(asked.send, 200, (), self.large)

    async def at_stream(self, asked):
        headers = [(b"content-type", b"text/event-stream")]
        await asked.send({"type": "http.response.start", "status": 200, "headers": headers})
        await asked.send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await self.at_slow(asked)

    async def at_slow(self, asked):
        while (await asked.receive())["type"] != "http.disconnect":
            pass


def dumped(answer):
    return json.dumps(answer).encode()


@contextmanager
def web(deadlines=PATIENT, token=None, is_ready=True, **options):
    """Run the server; gives it, with its `options`, `app`, `counts` and `port` set."""
    options.setdefault("listen", f"127.0.0.1:{free_port()}")
    options = Http(**options, token=SecretStr(token) if token else None)
    server = WebServer(Counts())
    server.deadlines = deadlines
    server.options, server.port = options, options.address[1]
    server.app = Echo(options)
    server.counts = server._counts
    start(server)
    try:
        if is_ready:
            wait_for(lambda: answers(server.port), "the server", step=0.01)
        yield server
    finally:
        server.stop()


def start(server):
    options = server.options
    guard = Guard(
        server.app,
        options.token.get_secret_value() if options.token else "",
        server.counts,
        has_client_certificates=options.client_ca_file is not None,
    )
    server.serve(options, guard)


def connect(server, seconds=20, tls=None):
    sock = socket.create_connection(("127.0.0.1", server.port), seconds)
    return tls.wrap_socket(sock, server_hostname="127.0.0.1") if tls else sock


def request(method="GET", path="/", body=b"", version="1.1", **headers):
    """The bytes of a request; `body` None leaves its length to `headers`."""
    named = {"Host": "127.0.0.1", **{key.replace("_", "-"): one for key, one in headers.items()}}
    if body:
        named.setdefault("Content-Length", len(body))
    lines = [f"{method} {path} HTTP/{version}", *(f"{key}: {one}" for key, one in named.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def read_answer(sock):
    """The status, the headers and the body of one answer; None when the connection has ended. A
    header that comes twice is a list."""
    # Without a buffer: what follows belongs to the next answer.
    with sock.makefile("rb", buffering=0) as stream:
        line = stream.readline()
        if not line:
            return None
        headers = {}
        while pair := stream.readline().strip():
            name, _, value = pair.decode().partition(": ")
            name = name.lower()
            headers[name] = [headers[name], value] if name in headers else value
        body, size = bytearray(), int(headers.get("content-length", 0))
        while len(body) < size and (piece := stream.read(size - len(body))):
            body += piece
        return int(line.split()[1]), headers, bytes(body)


def said(server, sent, tls=None):
    """The status, headers and body of the answer to some bytes; None when there is none."""
    try:
        with connect(server, tls=tls) as sock:
            sock.sendall(sent)
            return read_answer(sock)
    except (ConnectionError, ssl.SSLError):
        return None


def status_of(server, sent, tls=None):
    answer = said(server, sent, tls)
    return answer and answer[0]


def is_ended(sock):
    """Wait until the server has ended a connection; what comes before is thrown away."""
    try:
        while sock.recv(65536):
            pass
    except (ConnectionError, ssl.SSLError):
        pass
    return True
