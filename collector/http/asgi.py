"""The words of ASGI, by which a server and what it serves talk to each other."""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Iterable[tuple[str, str]]


def header(scope: Scope, name: str) -> str:
    """Return a header of a request, by its name in lower case; empty when it is not there."""
    wanted = name.encode()
    for key, value in scope["headers"]:
        if key == wanted:
            found: str = value.decode("latin-1").strip()
            return found
    return ""


async def reply(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send a whole answer."""
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def reply_json(send: Send, status: int, said: Mapping[str, Any]) -> None:
    """Send a whole answer, as JSON."""
    headers = (("Content-Type", "application/json"),)
    await reply(send, status, headers, json.dumps(said).encode() + b"\n")
