"""How long something took, counted in fixed steps: cheap to note, and enough for a quantile."""

from bisect import bisect_left
from typing import Any, Final

BOUNDS_S: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    15.0,
    60.0,
)
"""From a fast disk's sync to the longest acknowledgment that is waited for on a good link."""


class Latency:
    """Counts of durations by the first bound that holds them; noted by one thread at a time.

    >>> latency = Latency()
    >>> latency.note(0.004)
    >>> latency.figures()["counts"][:4], latency.figures()["sum_s"]
    ([0, 0, 1, 0], 0.004)
    """

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._sum_s = 0.0

    def note(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(BOUNDS_S, seconds)] += 1
        self._sum_s += seconds

    def figures(self) -> dict[str, Any]:
        """Return how many there were in each step, the last without a bound, and their sum."""
        return {"counts": list(self._counts), "sum_s": self._sum_s}
