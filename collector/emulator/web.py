"""The HTTP side: tokens, Unity Catalog's tables, the figures, the fault plan, altered tables.

A small HTTP/1.1 server on asyncio: one request per connection, bodies up to a limit. `/stats`,
`/faults` and `/tables` are for whoever reaches the port; it listens on loopback unless told
otherwise.
"""

import asyncio
import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from collector.emulator.faults import Plan, PlanError
from collector.emulator.tokens import Tokens

BODY_MAX_BYTES: Final = 1024 * 1024
REQUEST_MAX_S: Final = 30.0
"""A client that has not sent its request by then is dropped."""

_TABLES: Final = "/api/2.1/unity-catalog/tables/"
_DEFINED: Final = "/tables/"
_TOKEN: Final = "/oidc/v1/token"  # noqa: S105 - A path, not a secret.


class Request(NamedTuple):
    """What a client asks for."""

    method: str
    path: str
    authorization: str
    body: bytes


Answer = tuple[int, dict[str, Any]]


class Web:
    """The HTTP port."""

    def __init__(
        self,
        plan: Plan,
        tokens: Tokens,
        token_ttl: float,
        table: Callable[[str], Any],
        stats: Callable[[], dict[str, Any]],
        replace: Callable[[object], None],
        define: Callable[[str, object], Awaitable[None]],
    ) -> None:
        self._plan = plan
        self._tokens = tokens
        self._token_ttl = token_ttl
        self._table = table
        self._stats = stats
        self._replace = replace
        self._define = define
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.tokens_issued = 0

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None) -> int:
        """Listen; returns the port, raises OSError if it is taken."""
        self._server = await asyncio.start_server(self._connected, host, port, ssl=tls)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the port and what is open."""
        if self._server is not None:
            self._server.close()
            for writer in self._open:
                writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        self._open.add(writer)
        try:
            async with asyncio.timeout(REQUEST_MAX_S):
                request = await _read(reader)
            status, body = await self._answer(request)
            await _send(writer, status, body)
        except ValueError as error:
            await _send(writer, 400, {"error": str(error)})
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            # The client went away, or never said what it wants.
            pass
        finally:
            self._open.discard(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, request: Request) -> Answer:
        """What a request gets."""
        method, path = request.method, request.path
        if (method, path) == ("POST", _TOKEN):
            return await self._token(request)
        if method == "GET" and path.startswith(_TABLES):
            return self._described(unquote(path.removeprefix(_TABLES)), request)
        if (method, path) == ("GET", "/stats"):
            return 200, self._stats()
        if path == "/faults" and method in ("GET", "PUT", "DELETE"):
            if method != "GET":
                try:
                    self._replace(json.loads(request.body) if method == "PUT" else {})
                except (PlanError, ValueError) as error:
                    return 400, {"error": str(error)}
            return 200, self._plan.as_json()
        if method == "PUT" and path.startswith(_DEFINED):
            return await self._defined(unquote(path.removeprefix(_DEFINED)), request)
        return 404, {"error": f"nothing at {method} {path}"}

    async def _token(self, request: Request) -> Answer:
        """Give a token for client credentials."""
        slow = self._plan.hit("token_slow")
        if slow is not None:
            await asyncio.sleep(slow.parameters["seconds"])
        fault = self._plan.hit("token_error")
        if fault is not None:
            return fault.parameters["status"], {"error": "set by the fault plan"}
        form = parse_qs(request.body.decode())
        if form.get("grant_type") != ["client_credentials"]:
            return 400, {"error": "unsupported_grant_type"}
        if not self._tokens.knows(request.authorization):
            return 401, {"error": "invalid_client"}
        expiry = self._plan.hit("token_expiry")
        seconds = expiry.parameters["seconds"] if expiry else self._token_ttl
        self.tokens_issued += 1
        token = self._tokens.issue(seconds)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": int(seconds)}

    async def _defined(self, name: str, request: Request) -> Answer:
        """Make or alter a table."""
        try:
            await self._define(name, json.loads(request.body))
        except ValueError as error:
            return 400, {"error": str(error)}
        return 200, self._table(name)

    def _described(self, name: str, request: Request) -> Answer:
        """Describe a table."""
        why = self._tokens.refuses(request.authorization)
        if why:
            return 401, {"error_code": "UNAUTHENTICATED", "message": why}
        table = self._table(name)
        if table is None:
            text = f"Table '{name}' does not exist."
            return 404, {"error_code": "TABLE_DOES_NOT_EXIST", "message": text}
        return 200, table


async def _read(reader: asyncio.StreamReader) -> Request:
    """Read a request; raises ValueError if it is none."""
    line = (await reader.readline()).decode("latin-1")
    if not line.strip():
        raise asyncio.IncompleteReadError(b"", None)
    parts = line.split()
    if len(parts) != 3:
        raise ValueError("no HTTP request")
    headers: dict[str, str] = {}
    while (header := (await reader.readline()).decode("latin-1")).strip():
        name, _, value = header.partition(":")
        headers[name.strip().lower()] = value.strip()
    size = headers.get("content-length", "0")
    if not size.isdigit() or int(size) > BODY_MAX_BYTES or "transfer-encoding" in headers:
        raise ValueError(f"a body has a content-length of at most {BODY_MAX_BYTES}")
    body = await reader.readexactly(int(size))
    path = urlsplit(parts[1]).path
    # urlsplit takes the `//` of a doubled slash for a host; the service finds nothing there.
    path = parts[1] if parts[1].startswith("//") else path
    return Request(parts[0], path, headers.get("authorization", ""), body)


async def _send(writer: asyncio.StreamWriter, status: int, body: dict[str, Any]) -> None:
    """Answer with JSON."""
    raw = json.dumps(body, indent=1).encode() + b"\n"
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    head = (
        f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(raw)}\r\nConnection: close\r\n\r\n"
    )
    writer.write(head.encode() + raw)
    await writer.drain()
