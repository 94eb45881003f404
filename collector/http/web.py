"""The server of the station over HTTP: a thread with a loop of its own, within limits.

It serves one ASGI app. A port that is taken, or a certificate that can't be read, must not keep the
collector from its work: it goes on without, says so, and tries again.
"""

import asyncio
import logging
import os
import resource
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from collector.config import Http
from collector.http.asgi import App
from collector.http.connection import Connection, Shared, loop_factory
from collector.http.connections import Connections, Deadlines
from collector.http.counts import Counts

_log = logging.getLogger(__name__)

_BACKLOG: Final = 1_024
_AT_ONCE: Final = 1 / 8
"""The share of the places that is given in one go: whoever has one is heard before it is lost."""
_KERNEL_BYTES: Final = 128 * 1024
"""Else the kernel keeps megabytes for each who does not take an answer."""
_NO_DESCRIPTORS_S: Final = 1.0
_TLS_END_S: Final = 1.0
_CANCEL_S: Final = 0.5
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


class WebServer:
    """Serves an app from `start` to `stop`; may be started again, with other options.

    `problem` says why nobody can ask at the moment, or is empty. `loop` is there from `start` to
    `stop`.
    """

    deadlines = Deadlines()
    stop_s = 3.0
    try_again_s = 5.0

    def __init__(self, counts: Counts) -> None:
        self.problem = ""
        self.loop: asyncio.AbstractEventLoop | None = None
        self._counts = counts
        self._thread: threading.Thread | None = None
        self._stopping = asyncio.Event()

    def start(self, options: Http, app: App) -> None:
        """Listen, or go on trying to."""
        self.problem = ""
        self._stopping = asyncio.Event()
        runner = asyncio.Runner(loop_factory=loop_factory())
        self.loop = runner.get_loop()
        self._thread = threading.Thread(
            target=self._run, args=(runner, options, app), name="web", daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError as error:
            # At the limit of tasks.
            self._thread, self.loop = None, None
            runner.close()
            self._say(f"http: no thread can be started: {error}: reload when there is room")

    def stop(self) -> None:
        """Take no more requests, end what waits or streams, and give the rest a moment."""
        if self._thread is None or self.loop is None:
            return
        self.loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(self.stop_s + 2 * _CANCEL_S + _TLS_END_S)
        if self._thread.is_alive():
            _log.warning("http: a request does not end: its thread is left behind")
        self._thread, self.loop = None, None

    def _run(self, runner: asyncio.Runner, options: Http, app: App) -> None:
        try:
            with runner:
                runner.get_loop().set_exception_handler(_complain)
                runner.run(self._serve(options, app))
        except Exception:  # noqa: BLE001 - The line goes on without it.
            self.problem = "http: the server has failed; the log says how"
            _log.exception("http: the server has failed")

    async def _serve(self, options: Http, app: App) -> None:
        while not self._stopping.is_set():
            try:
                with _listening(options) as listener:
                    door = _Door(options, app, listener, self.deadlines, self._counts)
                    if self.problem:
                        _log.info("%s: the station over HTTP can be asked", options.listen)
                    self.problem = ""
                    await door.keep_open(self._stopping)
                await door.see_off(self.stop_s)
            except OSError as error:
                self._say(f"{_where(options, error)}; trying again every {self.try_again_s:.0f} s")
                await _wait(self._stopping, self.try_again_s)

    def _say(self, problem: str) -> None:
        if problem != self.problem:
            _log.error("%s", problem)
        self.problem = problem


class _Door:
    """Lets clients in, as many as there are places for."""

    def __init__(
        self,
        options: Http,
        app: App,
        listener: socket.socket,
        deadlines: Deadlines,
        counts: Counts,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._look_s = deadlines.look_s
        self._tls = _tls_options(options, deadlines.head_s)
        places = _places(options)
        self._at_once = max(1, int(places * _AT_ONCE))
        self._connections = Connections(places, deadlines, counts, self._loop.time)
        self._shared = Shared(app, self._connections)
        self._entering: set[asyncio.Task[Any]] = set()

    async def keep_open(self, stopping: asyncio.Event) -> None:
        """Let clients in until it is time to stop."""
        self._open()
        try:
            while not stopping.is_set():
                self._shared.tell_time()
                self._connections.cut_off_the_late()
                await _wait(stopping, self._look_s)
        finally:
            self._loop.remove_reader(self._listener)

    async def see_off(self, stop_s: float) -> None:
        """End all connections: what is being answered has a moment, and then is cancelled."""
        self._last_request()
        if await self._is_empty_within(stop_s):
            return
        self._last_request()
        for task in self._shared.state.tasks:
            task.cancel()
        await self._is_empty_within(_CANCEL_S)
        for client in self._connections.everyone():
            client.cut_off()
        await self._is_empty_within(_CANCEL_S)

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
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(self._at_once):
            try:
                sock, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # No descriptors, which passes.
                _log.warning("http: no client can be let in: %s", error.strerror)
                self._loop.remove_reader(self._listener)
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


@contextmanager
def _listening(options: Http) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in options.address[0] else socket.AF_INET
    # With SO_REUSEADDR, so that a restart need not wait.
    with socket.create_server(options.address, family=family, backlog=_BACKLOG) as listener:
        listener.setblocking(False)
        # Those who are let in inherit it.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KERNEL_BYTES)
        yield listener


def _where(options: Http, error: OSError) -> str:
    if isinstance(error, _CertificateError):
        return f"http.cert_file: {error}"
    what = os.strerror(error.errno) if error.errno else str(error)
    return (
        f"http.listen: {options.listen}: {what}: if another program has it, give this one another"
    )


class _CertificateError(OSError):
    """A file of TLS can't be used; it may be on its way to be renewed."""


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
        raise _CertificateError(f"{names}: {error.strerror or error}") from error
    return {
        "ssl": context,
        "ssl_handshake_timeout": head_s,
        "ssl_shutdown_timeout": _TLS_END_S,
    }


def _places(options: Http) -> int:
    """Return for how many there is a place: the spool and the broker need descriptors as well."""
    wanted: int = options.connections_max
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY or wanted <= files // 2:
        return wanted
    _log.warning(
        "http.connections_max: %d: %d are let in, half of the files that may be open:"
        " raise LimitNOFILE= of the unit",
        wanted,
        files // 2,
    )
    return files // 2


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return


def _complain(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if isinstance(error, OSError):  # The end of a connection; a failed handshake is one as well.
        _log.debug("%s: %s", context["message"], error)
    else:
        _log.error("http: %s", context["message"], exc_info=error)
