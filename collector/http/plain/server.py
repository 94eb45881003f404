"""A small server for vital signs: one thread that accepts, one for each connection, few of them.

A port that is taken must not keep the collector from its work: it goes on without, says so, and
tries again.
"""

import contextlib
import errno
import logging
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from collector.config import Metrics
from collector.http.hosts import family_of
from collector.http.plain.places import Places
from collector.http.plain.request import Request
from collector.http.vitals import VitalSigns

_log = logging.getLogger(__name__)

TRY_AGAIN_S: Final = 5.0
_STOP_S: Final = 2.0


class Server:
    """Serves vital signs from `start` to `stop`; may be started again, with other options.

    `problem` says why nobody can ask at the moment, or is empty.
    """

    def __init__(self) -> None:
        self.problem = ""
        self._stopping = threading.Event()
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._places = Places()

    def start(self, options: Metrics, signs: VitalSigns) -> None:
        """Listen, or go on trying to."""
        self.problem = ""
        if options.listen == "off":
            return
        self._stopping = threading.Event()
        arguments = (options, signs, self._stopping)
        self._thread = threading.Thread(
            target=self._serve, args=arguments, name="http", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Take no more requests; those that are being answered end by themselves."""
        self._stopping.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
        if self._thread is not None:
            self._thread.join(_STOP_S)

    def _serve(self, options: Metrics, signs: VitalSigns, stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                with _listening(options) as self._listener:
                    if self.problem:
                        _log.info("%s: figures and health can be asked for", options.listen)
                    self.problem = ""
                    self._accept(self._listener, options, signs, stopping)
            except OSError as error:
                self._say(options, error)
                stopping.wait(TRY_AGAIN_S)

    def _say(self, options: Metrics, error: OSError) -> None:
        problem = (
            f"metrics.listen: {options.listen}: {error.strerror or error}:"
            " if another collector has it, give this one another, or `off`"
        )
        if problem != self.problem:
            _log.error("%s; trying again every %.0f s", problem, TRY_AGAIN_S)
        self.problem = problem

    def _accept(
        self,
        listener: socket.socket,
        options: Metrics,
        signs: VitalSigns,
        stopping: threading.Event,
    ) -> None:
        token = options.token.get_secret_value() if options.token else ""
        while not stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                # Ended by `stop`; else there are no descriptors, which passes.
                stopping.wait(0.1)
                continue
            if self._places.take(connection):
                self._begin(connection, signs, token)
            else:
                connection.close()

    def _begin(self, connection: socket.socket, signs: VitalSigns, token: str) -> None:
        arguments = (connection, signs, token)
        client = threading.Thread(
            target=self._answer, args=arguments, name="http client", daemon=True
        )
        try:
            client.start()
        except RuntimeError as error:
            # At the limit of tasks, which passes.
            _log.warning("%s: a client is turned away: %s", threading.current_thread().name, error)
            self._places.leave(connection)
            connection.close()

    def _answer(self, connection: socket.socket, signs: VitalSigns, token: str) -> None:
        try:
            with connection:
                try:
                    Request(connection, signs, token, self._places.has_asked)
                finally:
                    self._places.leave(connection)
        except OSError as error:
            _log.debug("a client went away: %s", error)
        except Exception:  # noqa: BLE001 - A request must not end the daemon.
            _log.exception("a request failed")


@contextlib.contextmanager
def _listening(options: Metrics) -> Iterator[socket.socket]:
    if (path := options.socket) is not None:
        listener = _bind_unix(path)
    else:
        # With SO_REUSEADDR, so that a restart need not wait.
        listener = socket.create_server(options.address, family=family_of(options.address[0]))
    try:
        yield listener
    finally:
        listener.close()
        if path is not None:
            path.unlink(missing_ok=True)


def _bind_unix(path: Path) -> socket.socket:
    """Listen on a socket that the collector's group may use; one that nobody serves is replaced."""
    if _is_served(path):
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    if path.is_socket():
        path.unlink()
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(os.fspath(path))
        path.chmod(0o660)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1.0)
        try:
            client.connect(os.fspath(path))
        except OSError:
            return False
    return True
