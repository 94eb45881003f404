"""Who is let in over HTTP: the port, the handshake of TLS, a place for each; and how all go.

The door stays open while its options change, so that nobody who comes at that moment is refused.
"""

import asyncio
import logging
import socket
import ssl
import time
from functools import partial
from typing import Any, Final

from collector.config import Http
from collector.http.asgi import App
from collector.http.hosts import family_of
from collector.http.serving.connection import Connection, Shared
from collector.http.serving.connections import Connections, Deadlines, places_of
from collector.http.serving.counts import Counts

_log = logging.getLogger(__name__)

_BACKLOG: Final = 1_024
_AT_ONCE: Final = 1 / 8
"""The share of the places that is given in one go: whoever has one is heard before it is lost."""
_KERNEL_BYTES: Final = 128 * 1024
"""Else the kernel keeps megabytes for each who does not take an answer."""
_NO_DESCRIPTORS_S: Final = 1.0
TLS_END_S: Final = 1.0
CANCEL_S: Final = 0.5
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


class CertificateError(OSError):
    """A file of TLS can't be used; it may be on its way to be renewed."""


class Door:
    """Lets clients in from `serve` to `close`; for one loop."""

    def __init__(self, deadlines: Deadlines, counts: Counts) -> None:
        self._loop = asyncio.get_running_loop()
        self._head_s = deadlines.head_s
        # The clock of the loop stands still while many come, and would not tell who was first.
        self._connections = Connections(deadlines, counts, time.monotonic)
        self._shared = Shared(self._connections)
        self._listen = ""
        self._listener: socket.socket | None = None
        self._tls: dict[str, Any] = {}
        self._entering: set[asyncio.Task[Any]] = set()

    @property
    def is_open(self) -> bool:
        """Whether anybody can come in."""
        return self._listener is not None

    def serve(self, options: Http, app: App) -> bool:
        """Serve by these options; who is there goes with its next answer, and may come again.

        While `listen` stays the same nobody finds the door closed. Returns whether it was opened.

        Raises:
            OSError: it can't be yet. With files that TLS can't use all goes on as it was.
        """
        tls = _tls_options(options, self._head_s)
        self._tls, self._shared.app = tls, app
        for client in self._connections.everyone():
            client.let_go()
        is_elsewhere = options.listen != self._listen
        if is_elsewhere:
            self.close()
            self._listener, self._listen = _listening(options), options.listen
        self._connections.most = _places(options)
        self._open()
        return is_elsewhere

    def close(self) -> None:
        """Let nobody in any more."""
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
        self._listener, self._listen = None, ""

    def look(self) -> None:
        """End what is too late; to be called every second."""
        self._shared.tell_time()
        self._connections.cut_off_the_late()

    async def see_off(self, stop_s: float) -> None:
        """End all connections: what is being answered has a moment, and then is cancelled."""
        self._last_request()
        if await self._is_empty_within(stop_s):
            return
        self._last_request()
        for task in self._shared.state.tasks:
            task.cancel()
        await self._is_empty_within(CANCEL_S)
        for client in self._connections.everyone():
            client.cut_off()
        await self._is_empty_within(CANCEL_S)

    def _last_request(self) -> None:
        for client in self._connections.everyone():
            client.shutdown()

    async def _is_empty_within(self, seconds: float) -> bool:
        """Wait until nobody is connected; at least until who can go at once has gone."""
        deadline = self._loop.time() + seconds
        while True:
            await asyncio.sleep(0.01)
            self._connections.cut_off_the_late()
            if not len(self._connections) and not self._shared.state.tasks:
                return True
            if self._loop.time() > deadline:
                return False

    def _open(self) -> None:
        if self._listener is not None:
            self._loop.add_reader(self._listener, self._accept, self._listener)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(max(1, int(self._connections.most * _AT_ONCE))):
            try:
                sock, _ = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # No descriptors, which passes.
                _log.warning("http: no client can be let in: %s", error.strerror)
                self._loop.remove_reader(listener)
                self._loop.call_later(_NO_DESCRIPTORS_S, self._open)
                return
            self._let_in(sock)

    def _let_in(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        if not self._connections.make_room():
            self._turn_away(sock)
            return
        connection = Connection(self._shared, sock, self._loop)
        entering = self._loop.create_task(
            self._loop.connect_accepted_socket(lambda: connection, sock, **self._tls)
        )
        self._entering.add(entering)
        entering.add_done_callback(partial(self._is_in, connection, sock))

    def _is_in(self, connection: Connection, sock: socket.socket, task: asyncio.Task[Any]) -> None:
        self._entering.discard(task)
        if task.cancelled() or task.exception() is not None:
            # Such as a handshake that failed, or never came.
            self._connections.leave(connection)
            sock.close()

    def _turn_away(self, sock: socket.socket) -> None:
        with sock:
            if not self._tls:
                try:
                    sock.send(_FULL)
                except OSError as error:
                    _log.debug("a client went away: %s", error)


def _listening(options: Http) -> socket.socket:
    family = family_of(options.address[0])
    # With SO_REUSEADDR, so that a restart need not wait.
    listener = socket.create_server(options.address, family=family, backlog=_BACKLOG)
    listener.setblocking(False)
    # Those who are let in inherit it.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KERNEL_BYTES)
    return listener


def _tls_options(options: Http, head_s: float) -> dict[str, Any]:
    """Return what `connect_accepted_socket` is told of TLS: nothing without it."""
    if options.cert_file is None:
        return {}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(options.cert_file, options.key_file)
        if options.client_ca_file is not None:
            context.load_verify_locations(options.client_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:
        files = (options.cert_file, options.key_file, options.client_ca_file)
        names = ", ".join(str(one) for one in files if one is not None)
        raise CertificateError(f"{names}: {error.strerror or error}") from error
    return {
        "ssl": context,
        "ssl_handshake_timeout": head_s,
        "ssl_shutdown_timeout": TLS_END_S,
    }


def _places(options: Http) -> int:
    """Return for how many there is a place."""
    wanted: int = options.connections_max
    places = places_of(wanted)
    if places < wanted:
        _log.warning(
            "http.connections_max: %d: %d are let in, half of the files that may be open:"
            " raise LimitNOFILE= of the unit",
            wanted,
            places,
        )
    return places
