"""One request: read within limits, checked, answered, and the connection closed.

Only GET and HEAD, no body. The head has a size and a time, both bounded, so that a client which
trickles bytes holds its place for seconds only.
"""

import hmac
import logging
import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from typing import Any, Final

from collector.http.hosts import is_own_name
from collector.http.vitals import Answer, VitalSigns

_log = logging.getLogger(__name__)

HEAD_MAX_BYTES: Final = 16 * 1024
HEAD_S: Final = 5.0
ANSWER_S: Final = 10.0


class Request(BaseHTTPRequestHandler):
    """Reads and answers one request of a connection.

    `has_asked` is told the connection when the head is there. With a `token` every request must
    carry it as a bearer. Without one, a web page must not reach the server by a name of its own
    that points to this box (DNS rebinding): only addresses and `localhost` are taken as its name.
    """

    server_version = "collector"
    sys_version = ""
    # What can't be read is answered with a status as well.
    default_request_version = "HTTP/1.0"

    def __init__(
        self,
        connection: socket.socket,
        signs: VitalSigns,
        token: str,
        has_asked: Callable[[socket.socket], None],
    ) -> None:
        self._signs = signs
        self._token = token
        self._has_asked = has_asked
        super().__init__(connection, "", None)  # type: ignore[arg-type]

    def setup(self) -> None:
        """Read the head of the request."""
        self.connection: Any = self.request
        self.rfile = BytesIO(_read_head(self.connection, time.monotonic() + HEAD_S))
        self._has_asked(self.connection)
        self.wfile = BytesIO()

    def handle(self) -> None:
        """Answer it."""
        self.raw_requestline = self.rfile.readline(HEAD_MAX_BYTES)
        if self.raw_requestline and self.parse_request():
            host, path = self._target()
            self._reply(self._refusal(host) or self._page(path))

    def finish(self) -> None:
        """Send the answer; a client that does not take it is left."""
        self.connection.settimeout(ANSWER_S)
        self.connection.sendall(self.wfile.getvalue())  # type: ignore[attr-defined]

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that can't be read, in plain text."""
        self._reply(Answer.text(code, message or explain or HTTPStatus(code).phrase))

    def log_message(self, *_: Any) -> None:
        """Log nothing: a probe comes every few seconds, for years."""

    def _target(self) -> tuple[str, str]:
        """Return host and path: what is asked for may be a whole address, as a proxy sends it."""
        scheme, _, address = self.path.partition("://")
        if scheme.lower() != "http":
            return self._header("Host"), self.path
        host, slash, path = address.partition("/")
        return host, slash + path

    def _page(self, path: str) -> Answer:
        try:
            return self._signs.answer(path, self._header("Accept"))
        except Exception:  # noqa: BLE001 - Whoever asks is to hear that it is our fault.
            _log.exception("%s can't be answered", path)
            text = "the collector failed to answer; its log says how"
            return Answer.text(HTTPStatus.INTERNAL_SERVER_ERROR, text)

    def _refusal(self, host: str) -> Answer | None:
        if self.command not in ("GET", "HEAD"):
            return Answer.text(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD")
        if self._token:
            scheme, _, given = self._header("Authorization").partition(" ")
            is_same = hmac.compare_digest(given.strip().encode(), self._token.encode())
            if scheme.lower() != "bearer" or not is_same:
                return Answer.text(HTTPStatus.UNAUTHORIZED, "needs: Authorization: Bearer TOKEN")
        elif not is_own_name(host):
            return Answer.text(HTTPStatus.MISDIRECTED_REQUEST, "ask by an address, or localhost")
        return None

    def _header(self, name: str) -> str:
        return self.headers.get(name, "").strip()

    def _reply(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        if answer.status == HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", "Bearer")
        if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)


def _read_head(connection: socket.socket, deadline: float) -> bytes:
    """Return what came up to the empty line; nothing when it did not come in time."""
    head = b""
    while b"\r\n\r\n" not in head and b"\n\n" not in head:
        remaining = deadline - time.monotonic()
        if remaining <= 0 or len(head) > HEAD_MAX_BYTES:
            return b""
        connection.settimeout(remaining)
        chunk = connection.recv(4096)
        if not chunk:
            return b""
        head += chunk
    return head
