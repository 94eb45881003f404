"""The wish to end, told by a signal handler."""

import os
import select


class Ending:
    """An event that a signal handler may set; it lasts as long as the process.

    `threading.Event` is not one: a handler runs in the main thread between two of its
    instructions, and when that thread is just inside `wait`, `set` waits for ever for the lock
    that `wait` holds. `SimpleQueue.get` with a timeout hung as well, with Python 3.11. A byte in
    a pipe stays there, whenever it comes.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._read_end, self._write_end = os.pipe()

    def is_set(self) -> bool:
        """Whether `set` was called."""
        return self._is_set

    def set(self) -> None:
        """Ask for the end; from a handler or from any thread."""
        if not self._is_set:
            self._is_set = True
            os.write(self._write_end, b"\0")

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, or as many seconds; returns whether it is set."""
        select.select([self._read_end], [], [], timeout)
        return self._is_set
