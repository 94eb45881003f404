"""The local socket: commands that change something reach the daemon here, since it alone may write.

A stream socket `control.sock` in the runtime directory, mode 0600. A request is one line of JSON;
the answer is a line for each step of progress and one with `done`, or with `error` and `hint`. One
operation runs at a time. A client that goes away stops its operation between two transactions.
"""

import contextlib
import json
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from collector.errors import CollectorError
from collector.operations import Scene, perform
from collector.status import SOCKET

_log = logging.getLogger(__name__)

REQUEST_MAX_BYTES: Final = 4 * 1024 * 1024
_PATH_MAX_BYTES: Final = 107
_REQUEST_TIMEOUT_S: Final = 5.0
_CLIENTS_MAX: Final = 8
_STOP_S: Final = 3.0


class _ClientGoneError(Exception):
    """Nobody reads the answer any more."""


class ControlSocket:
    """Answers commands until it is stopped; the spool must be open for all of that time."""

    def __init__(self, folder: Path, scene: Callable[[], Scene]) -> None:
        self.path = folder / SOCKET
        self._scene = scene
        self._busy = threading.Lock()
        self._busy_with = ""
        self._stopping = threading.Event()
        self._clients: set[threading.Thread] = set()
        self._listener: socket.socket | None = None

    def start(self) -> None:
        """Listen; when that can't be, the daemon runs without, and says so."""
        if len(os.fsencode(self.path)) > _PATH_MAX_BYTES:
            _log.error(
                "%s: too long for a socket: commands that change the spool need a shorter"
                " runtime_dir, or the daemon stopped",
                self.path,
            )
            return
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            # Whoever made it is gone: the lock of the spool is ours.
            self.path.unlink(missing_ok=True)
            listener.bind(os.fspath(self.path))
            self.path.chmod(0o600)
            listener.listen(_CLIENTS_MAX)
        except OSError as error:
            listener.close()
            _log.error("%s: no commands can be taken: %s", self.path, error)
            return
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), name="control", daemon=True).start()

    def stop(self) -> None:
        """Take no more commands, and end the one that runs between two transactions."""
        self._stopping.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self.path.unlink(missing_ok=True)
        deadline = time.monotonic() + _STOP_S
        for client in list(self._clients):
            client.join(max(0.0, deadline - time.monotonic()))

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                if self._stopping.wait(0.1):
                    return
                continue
            if len(self._clients) >= _CLIENTS_MAX:
                connection.close()
                continue
            client = threading.Thread(
                target=self._serve, args=(connection,), name="control client", daemon=True
            )
            self._clients.add(client)
            client.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.settimeout(_REQUEST_TIMEOUT_S)
                self._answer(connection)
        except (OSError, _ClientGoneError) as error:
            _log.info("a command went away: %s", error)
        finally:
            self._clients.discard(threading.current_thread())

    def _answer(self, connection: socket.socket) -> None:
        def say(line: dict[str, Any]) -> None:
            try:
                connection.sendall(json.dumps(line).encode() + b"\n")
            except OSError as error:
                raise _ClientGoneError from error

        try:
            request = _read(connection)
            with self._alone(request):
                _log.warning("%s asks: %s", _peer(connection), request.get("operation"))
                summary = self._perform(request, say)
            say({"done": summary})
        except CollectorError as error:
            message, hint = (*error.args, "")[0], error.hint
            say({"error": message, "hint": hint, "exit_code": error.exit_code})
        except _ClientGoneError:
            _log.info("a command went away: what it did until then is done")
        except Exception as error:  # noqa: BLE001 - An operation must not end the daemon.
            _log.exception("a command failed")
            say({"error": f"{type(error).__name__}: {error}", "hint": "The log has more."})

    def _perform(self, request: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> Any:
        operation = perform(self._scene(), request)
        try:
            while not self._stopping.is_set():
                say({"progress": next(operation)})
        except StopIteration as end:
            return end.value
        finally:
            operation.close()
        raise CollectorError("the collector is stopping", "What was done until now is done.")

    @contextlib.contextmanager
    def _alone(self, request: dict[str, Any]) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise CollectorError(f"the collector is busy with {self._busy_with}", "Try again.")
        try:
            self._busy_with = str(request.get("operation"))
            yield
        finally:
            self._busy.release()


def _read(connection: socket.socket) -> dict[str, Any]:
    """Return the request; raises CollectorError when it is none."""
    received = b""
    while not received.endswith(b"\n"):
        chunk = connection.recv(65_536)
        if not chunk or len(received) > REQUEST_MAX_BYTES:
            break
        received += chunk
    try:
        request = json.loads(received)
    except ValueError:
        request = None
    if not isinstance(request, dict) or len(received) > REQUEST_MAX_BYTES:
        raise CollectorError("this is no request", "Use the commands of `collector`.")
    return request


def _peer(connection: socket.socket) -> str:
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", raw)
    return f"process {pid} of user {uid}"
