"""Signs of life of a loop: when it has to be heard of again (the watchdog asks)."""

import math
import time


class Beat:
    """A loop says before each step how long it may take; used by one thread, read by others.

    >>> beat = Beat()
    >>> beat.is_late(0.0)
    False
    >>> beat.expect(0.0)
    >>> beat.is_late(time.monotonic() + 1.0)
    True
    """

    def __init__(self) -> None:
        self._due = math.inf
        self.at = time.monotonic()

    def expect(self, within_s: float) -> None:
        """Promise the next sign of life within so many seconds."""
        self.at = time.monotonic()
        self._due = self.at + within_s

    def is_late(self, now: float) -> bool:
        """Whether the loop stands still."""
        return now > self._due
