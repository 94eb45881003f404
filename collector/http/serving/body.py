"""The bodies of requests: read within limits of size, time and what is held at one time.

A body counts from its first byte until its request is answered. Compressed bodies are inflated in
small steps, so that neither a bomb costs memory nor a large one the time of others.
"""

import asyncio
import zlib
from http import HTTPStatus
from types import TracebackType
from typing import Final

from collector.config import Http
from collector.config.quantities import format_size
from collector.http.asgi import Receive, Scope, header
from collector.http.refused import RefusedError

CLIENT_GONE: Final = 499
"""The status of a request whose client went away; nobody sees it but the figures."""
_LEAST_BYTES: Final = 4_096
"""What a request counts at least: it costs memory, however small its body."""
_SMALL_BYTES: Final = 16 * 1024
_LARGE_SHARE: Final = 3 / 4
"""The part of what may be held that is for others than small ones: a few large bodies that come
slowly must not keep the small ones out."""
_STEP_BYTES: Final = 64 * 1024
_MEMBERS_MAX: Final = 1_000
_GZIP: Final = 31
"""What zlib calls the format of gzip."""


class Bodies:
    """Reads bodies; for the loop of one server. `held` is the sum of what is held, in bytes."""

    def __init__(self, options: Http) -> None:
        self.held = 0
        self.change(options)

    def change(self, options: Http) -> None:
        """Go on with other limits; may be called by any thread."""
        self._most = options.body_max_bytes
        self._most_held = options.inbox_max_bytes
        self._most_of_large = max(self._most, int(self._most_held * _LARGE_SHARE))
        self._seconds = options.body_timeout

    async def read(self, scope: Scope, receive: Receive) -> "Body":
        """Return the body of a request, inflated, to be used in a `with` until it is answered.

        Raises:
            RefusedError: 400, 408, 413, 415, or 429 when other requests hold too much.
        """
        coding = _coding(scope)
        declared = header(scope, "content-length")
        if declared and int(declared) > self._most:
            raise self.too_large()
        body = Body(self)
        try:
            async with asyncio.timeout(self._seconds):
                await (self._inflate if coding else self._collect)(body, receive)
        except TimeoutError:
            body.release()
            raise RefusedError(
                HTTPStatus.REQUEST_TIMEOUT,
                f"the body did not come within {self._seconds:g} s",
                "send less at a time; http.body_timeout is the limit",
            ) from None
        except BaseException:
            body.release()
            raise
        return body

    async def _collect(self, body: "Body", receive: Receive) -> None:
        piece, more = await _next(receive)
        body.add(piece)
        while more:
            piece, more = await _next(receive)
            body.add(piece)

    async def _inflate(self, body: "Body", receive: Receive) -> None:
        gzip, sent, more = _Gzip(), 0, True
        while more:
            piece, more = await _next(receive)
            sent += len(piece)
            if sent > self._most:
                raise self.too_large()
            while piece:
                inflated, piece = gzip.step(piece)
                body.add(inflated)
                if piece:
                    await asyncio.sleep(0)  # Others have their turn.
        if not gzip.is_complete:
            raise _bad_gzip("it ends too early")

    def too_large(self) -> RefusedError:
        """Return the refusal of a body over the limit."""
        return RefusedError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body is larger than {format_size(self._most)}",
            "send less at a time; http.body_max_bytes is the limit",
        )

    def take(self, count: int, size: int) -> None:
        """Count what is held; `size` is that of the body by now."""
        if size > self._most:
            raise self.too_large()
        most_held = self._most_held if size <= _SMALL_BYTES else self._most_of_large
        if self.held + count > most_held:
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"requests that wait hold {format_size(most_held)} already",
                "send it again; http.inbox_max_bytes is the limit",
                headers={"Retry-After": "1"},
            )
        self.held += count


class Body:
    """One body, held until `release` or the end of a `with`, which gives its bytes."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self._content: bytes | bytearray = b""
        self._counted = 0
        self._count(_LEAST_BYTES)

    def __enter__(self) -> bytes:
        return bytes(self._content)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def add(self, piece: bytes) -> None:
        """Take one more piece."""
        size = len(self._content) + len(piece)
        if size > self._counted:
            self._count(size - self._counted, size)
        if not self._content:
            self._content = piece  # Most come in one.
        elif isinstance(self._content, bytearray):
            self._content += piece
        else:
            self._content = bytearray(self._content) + piece

    def release(self) -> None:
        """Hold it no longer; may be called twice."""
        self._content = b""
        self._bodies.held -= self._counted
        self._counted = 0

    def _count(self, more: int, size: int = 0) -> None:
        self._bodies.take(more, size)
        self._counted += more


class _Gzip:
    """Inflates gzip: of one member, or of several, one after the other."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self._count = 1
        self.is_complete = False

    def step(self, piece: bytes) -> tuple[bytes, bytes]:
        """Return some of what a piece inflates to, and what is left of the piece."""
        if self.is_complete:
            self._begin_member()
        try:
            inflated = self._member.decompress(piece, _STEP_BYTES)
        except zlib.error as error:
            raise _bad_gzip(str(error)) from error
        self.is_complete = self._member.eof
        return inflated, self._member.unused_data or self._member.unconsumed_tail

    def _begin_member(self) -> None:
        self._count += 1
        if self._count > _MEMBERS_MAX:
            raise _bad_gzip(f"it has more than {_MEMBERS_MAX:,} members")
        self._member = zlib.decompressobj(_GZIP)


def _coding(scope: Scope) -> bool:
    """Whether a body is compressed."""
    coding = header(scope, "content-encoding").lower()
    if coding in {"", "identity"}:
        return False
    if coding in {"gzip", "x-gzip"}:
        return True
    raise RefusedError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        f"Content-Encoding {coding} is not known",
        "send it with gzip, or as it is",
        headers={"Accept-Encoding": "gzip, identity"},
    )


def _bad_gzip(why: str) -> RefusedError:
    return RefusedError(HTTPStatus.BAD_REQUEST, f"the body is not the gzip it says it is: {why}")


async def _next(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise RefusedError(CLIENT_GONE, "the client went away in the middle of its body")
    return message.get("body", b""), message.get("more_body", False)
