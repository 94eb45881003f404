"""How much is done at once with the writer's lock in hand, when there is much to do.

A step takes about 30 ms, the sync of its commit included, whatever the disk: the intake stands
still meanwhile.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_STEP_S: Final = 0.03
BREATH_S: Final = 0.002
"""The lock is not fair: between two steps whoever waits for it gets it."""


class Steps:
    """The size of the next step, learned from the time that the last one took."""

    def __init__(self, least: int, most: int) -> None:
        self.size = least
        self._least = least
        self._most = most

    @contextmanager
    def one(self) -> Iterator[None]:
        """Take one step, and let others in behind it."""
        began = time.monotonic()
        yield
        took_s = max(time.monotonic() - began, 1e-6)
        fitting = int(self.size * min(_STEP_S / took_s, 2.0))
        self.size = max(self._least, min(fitting, self._most))
        time.sleep(BREATH_S)
