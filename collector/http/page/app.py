"""Serves the page: its files, and what changes as server-sent events.

A viewer is a request for `/ui/events` that does not end. Each compares, a few times a second, what
there is with what it was sent, so that nobody waits for one that is slow; the server cuts off those
that take nothing.
"""

import asyncio
import contextlib
import time
from http import HTTPStatus
from pathlib import Path
from typing import Final

from collector.http.asgi import Receive, Scope, Send, reply
from collector.http.page.history import Point, as_json
from collector.http.page.live import Live, Sections
from collector.http.refused import RefusedError
from collector.http.waiting import until_gone

VIEWERS_MAX: Final = 8
_VIEWERS_SHARE: Final = 1 / 4
"""Of few places, the part that viewers may have."""
BEAT_S: Final = 5.0
_LOOK_S: Final = 0.2
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        " img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class PageApp:
    """An ASGI application for `/ui` and what is below it.

    Once it `is_over` its viewers are let go; they come again by themselves, if they still may.
    """

    def __init__(self, live: Live, places: int) -> None:
        self._live = live
        self._viewers_max = max(1, min(VIEWERS_MAX, int(places * _VIEWERS_SHARE)))
        self._files = _files()
        self._viewers = 0
        self.is_over = False
        self._lock = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            RefusedError: it is none that can be answered, or too many are looking.
        """
        path = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix("/ui")
        _check(scope["method"])
        if path == "/events":
            await self._admit(scope["method"], receive, send)
        else:
            await self._send_file(path.rstrip("/"), send)

    async def _send_file(self, path: str, send: Send) -> None:
        if path not in self._files:
            raise RefusedError(HTTPStatus.NOT_FOUND, "there is no such file of the page", "See /ui")
        kind, body = self._files[path]
        await reply(send, HTTPStatus.OK, {**_HEADERS, "Content-Type": kind}.items(), body)

    async def _admit(self, method: str, receive: Receive, send: Send) -> None:
        if self._viewers >= self._viewers_max:
            raise RefusedError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{self._viewers_max} pages are open already",
                "Close one of them; this one tries again by itself.",
                headers={"Retry-After": "10"},
            )
        self._viewers += 1
        try:
            await self._stream(method, receive, send)
        finally:
            self._viewers -= 1

    async def _stream(self, method: str, receive: Receive, send: Send) -> None:
        headers = {**_HEADERS, "Content-Type": "text/event-stream"}
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": raw})
        if method == "GET":
            await self._serve(receive, send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _serve(self, receive: Receive, send: Send) -> None:
        """Tell one viewer what changes, until it is gone, or all is over."""
        gone = asyncio.ensure_future(until_gone(receive))
        viewer = Viewer()
        try:
            while not (gone.done() or self.is_over):
                sections = await self._sections()
                if said := viewer.news(sections, self._live.history.since(viewer.step)):
                    await send({"type": "http.response.body", "body": said, "more_body": True})
                await asyncio.wait([gone], timeout=_LOOK_S)
        finally:
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await gone

    async def _sections(self) -> Sections:
        """Return what there is to show: made once for all viewers, and not in the loop."""
        async with self._lock:
            made = self._live.made
            return await asyncio.to_thread(self._live.make) if made is None else made


class Viewer:
    """What one viewer was sent, up to a `step`; a section that is the same is not sent again."""

    def __init__(self) -> None:
        self.step = 0
        self._sent: Sections = {}
        self._sent_at = time.monotonic()
        # A browser that loses us comes again after so many milliseconds.
        self._begin = "retry: 2000\n\n"

    def news(self, sections: Sections, points: list[Point]) -> bytes:
        """Return the events that are due: points of the hour, sections, or a sign of life."""
        changed = {name: one for name, one in sections.items() if self._sent.get(name) != one}
        if points or self._begin:
            name = "history" if self._begin else "steps"
            changed = {name: as_json(points), **changed}
        if not changed and time.monotonic() - self._sent_at >= BEAT_S:
            changed["beat"] = "0"
        if not changed:
            return b""
        said = "".join(f"event: {name}\ndata: {one}\n\n" for name, one in changed.items())
        begin, self._begin = self._begin, ""
        self.step = points[-1][0] if points else self.step
        self._sent, self._sent_at = sections, time.monotonic()
        return (begin + said).encode()


def _check(method: str) -> None:
    if method not in ("GET", "HEAD"):
        headers = {"Allow": "GET, HEAD"}
        raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD", headers=headers)


def _files() -> dict[str, tuple[str, bytes]]:
    """Return type and content of each file of the page, by its path behind `/ui`."""
    folder = Path(__file__).parent / "static"
    found = [path for path in folder.iterdir() if path.suffix in _TYPES]
    files = {f"/{path.name}": (_TYPES[path.suffix], path.read_bytes()) for path in found}
    return {"": files.pop("/index.html"), **files}
