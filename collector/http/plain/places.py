"""Who may be served at one time: few, and whoever asks nothing makes room for the next.

Anybody who can connect can begin a request and never end it, without any token. So that nobody
keeps others out in this way, the oldest of those gives its place away when all are taken.
"""

import contextlib
import socket
import threading
from typing import Final

CONNECTIONS_MAX: Final = 16
# Those that were cut off still have a thread for a moment.
_THREADS_MAX: Final = 2 * CONNECTIONS_MAX


class Places:
    """The connections that are served; used by the threads of a server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._silent: dict[socket.socket, None] = {}

    def take(self, connection: socket.socket) -> bool:
        """Give a place to a connection, if need be that of one which has asked nothing yet."""
        with self._lock:
            if len(self._open) >= CONNECTIONS_MAX and not self._cut_off_the_oldest():
                return False
            self._open.add(connection)
            self._silent[connection] = None
            return True

    def has_asked(self, connection: socket.socket) -> None:
        """Note that the head of its request is there: it keeps its place until it is answered."""
        with self._lock:
            self._silent.pop(connection, None)

    def leave(self, connection: socket.socket) -> None:
        """Give the place back; before the connection is closed."""
        with self._lock:
            self._open.discard(connection)
            self._silent.pop(connection, None)

    def _cut_off_the_oldest(self) -> bool:
        if not self._silent or len(self._open) >= _THREADS_MAX:
            return False
        oldest = next(iter(self._silent))
        del self._silent[oldest]
        with contextlib.suppress(OSError):
            oldest.shutdown(socket.SHUT_RDWR)
        return True
