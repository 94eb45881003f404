"""How long to wait before the next try: jittered, exponential, with a cap.

The owner of a retry decides whether to try again; this only says when.
"""

import random
import time
from collections.abc import Callable
from typing import Final

from tenacity import RetryCallState, Retrying, wait_exponential

_JITTER: Final = 0.25


class Backoff:
    """Delays that double from `first` to `cap` seconds, each shortened by up to a quarter.

    Also at the cap, so that those whom one outage has stopped don't come back at one time.

    `settled` ends the series; a caller reports it only after a stable while, so that a peer
    which accepts and drops at once is not hammered.
    """

    def __init__(
        self, first: float, cap: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._cap = cap
        self._first = first
        self._state = RetryCallState(Retrying(), None, (), {})
        self._state.attempt_number = 0
        self._due = 0.0

    @property
    def tries(self) -> int:
        """Failures since the last success that lasted."""
        return self._state.attempt_number

    def failed(self, cap: float | None = None) -> float:
        """Count a failure; returns the seconds until the next try is due."""
        self._state.attempt_number += 1
        wait = wait_exponential(multiplier=self._first, max=cap or self._cap)
        share = 1 - random.uniform(0, _JITTER)  # noqa: S311 - no secret.
        delay = float(wait(self._state)) * share
        self._due = self._clock() + delay
        return delay

    def settled(self) -> None:
        """Start over with the first delay."""
        self._state.attempt_number = 0
        self._due = 0.0

    def remaining(self) -> float:
        """Seconds until the next try is due; 0 when it is."""
        return max(0.0, self._due - self._clock())
