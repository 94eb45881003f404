"""One connection to a client: uvicorn's protocol, within limits. The only file that knows uvicorn.

What uvicorn leaves open is closed here: the size of a head and of what is not body, the time for
each stage of a connection, and the end of one whose client is still sending when it is answered.
"""

import asyncio
import contextlib
import logging
import socket
import time
import weakref
from collections.abc import Callable
from email.utils import formatdate
from itertools import chain
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from collector.http.asgi import App, Receive, Scope, Send
from collector.http.serving.connections import Connections, Stage

HEAD_MAX_BYTES: Final = 16 * 1024
_TOO_LARGE: Final = "431 Request Header Fields Too Large"
_NOT_HTTP: Final = "400 Bad Request"
_NO_LIMIT_S: Final = 86_400
"""Idle connections have their deadline in `Connections`."""


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes a loop: uvloop where it is."""
    return Config("", loop="auto", log_config=None).get_loop_factory()


class Shared:
    """What the connections of a server have in common: the `app` that they serve, who is there."""

    app: App

    def __init__(self, connections: Connections) -> None:
        self.connections = connections
        self.state = ServerState()
        self.config = Config(
            self._answer,
            http=HttpToolsProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level=logging.CRITICAL,  # Else a line for every request that is no HTTP.
            access_log=False,
            proxy_headers=False,  # Anybody can claim to be a proxy.
            timeout_keep_alive=_NO_LIMIT_S,
        )
        self.config.load()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A connection may outlive an app.
        await self.app(scope, receive, send)

    def tell_time(self) -> None:
        """Set the date of the answers; to be called every second."""
        self.state.default_headers = [(b"date", formatdate(time.time(), usegmt=True).encode())]


class Connection(HttpToolsProtocol):
    """Reads requests and writes answers; has a place in `Connections` from `accept` on."""

    def __init__(self, shared: Shared, sock: socket.socket, loop: Any) -> None:
        super().__init__(shared.config, shared.state, {}, loop)
        self._places = shared.connections
        self._socket = sock
        self._wire: asyncio.Transport | None = None
        # Bytes since the parser last had something to tell: a head or trailers that don't end.
        self._untold = 0
        self._refusal = _NOT_HTTP
        # Whether this client may ask again after the request that is being read.
        self._may_stay = True
        self._is_heard_out = True
        self._is_leaving = False
        self._is_let_go = False
        self._is_last = False
        self._is_lost = False
        self._places.move(self, Stage.SILENT)

    def cut_off(self) -> None:
        """End it at once, whatever it is doing."""
        if self._wire is not None:
            self._wire.abort()
        else:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def shutdown(self) -> None:
        """End it after the answer that is due; one that is being sent may have no end."""
        self._is_last, self._may_stay = True, False
        self.pipeline.clear()
        if self._wire is None:
            self.cut_off()
        elif self.cycle is None or self.cycle.response_complete:
            self._wire.close()
        elif self.cycle.response_started:
            self.cut_off()
        else:
            self.cycle.keep_alive = False

    def let_go(self) -> None:
        """End it with its next answer, which says so: no request of its client is lost."""
        self._is_let_go, self._may_stay = True, False
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    # What the loop calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to read."""
        self._wire = transport
        answering = _Answering(transport, self._close, self.loop)
        super().connection_made(answering)  # type: ignore[arg-type]
        if self._is_last:
            self.cut_off()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._is_lost = True
        self._places.leave(self)

    def data_received(self, data: bytes) -> None:
        """Read on, up to the limit of what is no body."""
        if self._is_leaving:
            return
        self._untold += len(data)
        super().data_received(data)
        if self._untold > HEAD_MAX_BYTES and not self.transport.is_closing():
            self._refusal = _TOO_LARGE
            self.send_400_response("")
        self._settle()

    def pause_writing(self) -> None:
        """The client is slow to take its answer."""
        super().pause_writing()
        self._settle()

    def resume_writing(self) -> None:
        """The client has taken nearly all of it."""
        super().resume_writing()
        self._settle()

    # What the parser calls.

    def on_headers_complete(self) -> None:
        """Let the request be answered; until all of it is there, the answer ends the connection."""
        self._untold = 0
        if len(self.url) + sum(map(len, chain.from_iterable(self.headers))) > HEAD_MAX_BYTES:
            self._refusal = _TOO_LARGE
            # The parser stops, and says that it can't be read.
            raise ValueError(_TOO_LARGE)
        super().on_headers_complete()
        # What comes after the body is no header of it.
        self.headers = []
        is_asked_to = self.cycle.keep_alive and not self.parser.should_upgrade()
        self._may_stay = is_asked_to and not self._is_let_go
        self._is_heard_out = self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._untold = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of the request is there."""
        self._untold = 0
        self._is_heard_out = True
        if not self.cycle.response_started:
            self.cycle.keep_alive = self._may_stay and not self._is_last
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with what was asked meanwhile, or wait to be asked."""
        super().on_response_complete()
        if self._is_last:
            self.transport.close()
        self._settle()

    def send_400_response(self, msg: str) -> None:
        """Refuse what can't be read; where another answer is due first, only the end is left."""
        del msg
        if self.cycle is not None and not self.cycle.response_complete:
            if self._is_heard_out or self.pipeline or self.cycle.response_started:
                self.cut_off()
                return
            # What was to answer sees its client as gone: the request has no end.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        head = f"HTTP/1.1 {self._refusal}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        self._is_heard_out = False
        self.transport.write(head.encode())
        self.transport.close()

    def _close(self) -> None:
        """Close, but not on a client that still sends: it would never see its answer."""
        if self._wire is None or self._wire.is_closing():
            return
        if self._is_heard_out or self._is_last:
            self._wire.close()
        elif not self._is_leaving:
            self._is_leaving = True
            if self._wire.can_write_eof():
                self._wire.write_eof()
            self.flow.resume_reading()
        self._settle()

    def _settle(self) -> None:
        if not self._is_lost:
            self._places.move(self, self._stage())

    def _stage(self) -> Stage:
        if self.transport.is_closing():
            return Stage.LEAVING
        if self.flow.write_paused:
            return Stage.TAKING
        if self.cycle is not None and not self.cycle.response_complete:
            # Of several that were asked at once, one is being answered.
            return Stage.ASKED if self._is_heard_out or self.pipeline else Stage.SENDING
        return Stage.SILENT if self.cycle is None or self._untold else Stage.IDLE


class _Answering:
    """The transport as uvicorn sees it: `close` is ours, and has happened once it is called.

    The head of an answer is sent with its body where that comes at once, which saves a call of the
    system.
    """

    def __init__(
        self, wire: asyncio.Transport, close: Callable[[], None], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._wire = wire
        # Else a circle keeps the connection, with the body that nobody read, until Python looks.
        self._close = weakref.WeakMethod(close)
        self._loop = loop
        self._held = b""
        self._is_closed = False
        self.get_extra_info = wire.get_extra_info
        self.pause_reading = wire.pause_reading
        self.resume_reading = wire.resume_reading

    def write(self, given: bytes | memoryview) -> None:
        if self._held or len(given) > HEAD_MAX_BYTES:
            self._flush(given)
        else:
            self._held = bytes(given)
            self._loop.call_soon(self._flush)

    def is_closing(self) -> bool:
        return self._is_closed or self._wire.is_closing()

    def close(self) -> None:
        self._is_closed = True
        self._flush()
        if (close := self._close()) is not None:
            close()

    def _flush(self, more: bytes | memoryview = b"") -> None:
        given, self._held = self._held + more if self._held else more, b""
        # uvloop takes offence when the connection was cut off meanwhile.
        if given and not self._wire.is_closing():
            self._wire.write(given)
