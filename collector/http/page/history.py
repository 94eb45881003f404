"""The last hour of the line, in memory: records received and delivered, and the backlog.

Times are steps of five seconds of the monotonic clock, so that a clock that is set moves nothing.
A step in which nothing was noted is missing: the page shows a gap.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from itertools import takewhile
from typing import Final

STEP_S: Final = 5
STEPS_MAX: Final = 720
_RECEIVED: Final = ("made", "replayed", "salvaged")

Point = tuple[int, int, int, int]
"""A step, the records received in it, those delivered, and the largest backlog, in records."""


class History:
    """Noted by the main thread, read by others; begins with the first note."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._points: deque[Point] = deque(maxlen=STEPS_MAX)
        self._step = 0
        self._backlog = 0
        self._totals: tuple[int, int] | None = None
        self._before = (0, 0)

    def note(self, now: float, counters: Mapping[tuple[str, str], int]) -> None:
        """Note the counters of the spool at a time of the monotonic clock."""
        received, delivered, backlog = _sums(counters)
        step = int(now // STEP_S)
        if self._totals is None:
            self._step, self._before = step, (received, delivered)
        elif step != self._step:
            self._end_step(step)
        self._totals = (received, delivered)
        self._backlog = max(self._backlog, backlog)

    def _end_step(self, step: int) -> None:
        """What came since the last note counts for the step that begins."""
        assert self._totals is not None  # noqa: S101 - a step ends behind a note.
        gained = [max(0, now - then) for now, then in zip(self._totals, self._before, strict=True)]
        with self._lock:
            self._points.append((self._step, gained[0], gained[1], self._backlog))
        self._step, self._before, self._backlog = step, self._totals, 0

    def since(self, step: int) -> list[Point]:
        """Return the points behind a step, the oldest first; those that are over."""
        with self._lock:
            newest_first = takewhile(lambda point: point[0] > step, reversed(self._points))
            return list(newest_first)[::-1]


def as_json(points: list[Point]) -> str:
    """Return points with what is needed to place them in time: the step that is now, and when."""
    now = {"step": int(time.monotonic() // STEP_S), "at_us": time.time_ns() // 1000}
    return json.dumps({"step_s": STEP_S, "steps": STEPS_MAX, "now": now, "points": points})


def _sums(counters: Mapping[tuple[str, str], int]) -> tuple[int, int, int]:
    """Add up the tables: records that came into the spool, that were delivered, that wait."""
    received = delivered = backlog = 0
    for (scope, name), value in counters.items():
        if not scope.startswith("table:"):
            continue
        if name in _RECEIVED:
            received += value
        elif name == "delivered":
            delivered += value
        elif name == "spooled":
            backlog += value
    return received, delivered, backlog
