"""How fast the spool grows: the forecast of when it is full rests on this."""

from collections import deque
from typing import Final

GROWTH_OVER_S: Final = 120.0
"""Long enough to outlast a burst, short enough that an outage shows within minutes."""
_KNOWN_AFTER_S: Final = 10.0
_SEEN_MAX: Final = 256


class Growth:
    """Bytes per second over the last two minutes, of sizes that are noted once a second."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque(maxlen=_SEEN_MAX)

    def per_s(self, now: float, used_bytes: int) -> float | None:
        """Note a size and return the growth; None until it was watched for ten seconds.

        >>> growth = Growth()
        >>> [growth.per_s(now, size) for now, size in ((0, 0), (60, 6_000), (200, 34_000))]
        [None, 100.0, 200.0]
        """
        self._seen.append((now, used_bytes))
        while len(self._seen) > 2 and self._seen[1][0] <= now - GROWTH_OVER_S:
            self._seen.popleft()
        since, before = self._seen[0]
        if now - since < _KNOWN_AFTER_S:
            return None
        return round((used_bytes - before) / (now - since), 1)
