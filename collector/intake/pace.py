"""When a commit is due, and how long to gather before the next read (decisions 9 and 10).

Decides only; it neither waits nor commits.
"""

from typing import Final

_LEARN_WITHIN_S: Final = 0.02
_ASK_ANEW_S: Final = 60.0
_BUSY_PAUSE_S: Final = 0.005
_SMALL_WINDOW: Final = 256
_SOCKET_IS_BEHIND_BYTES: Final = 64 * 1024


class Pace:
    """Knows the window that the broker really grants, and whether the line is busy.

    Brokers grant less than was asked for and don't say so: mosquitto 20 under MQTT 3.1.1. The
    window is learned: n messages were unacknowledged and nothing had come for half of the
    interval, and at least n came right after their PUBACKs.
    """

    def __init__(self, receive_maximum: int, commit_interval: float, commit_max_bytes: int) -> None:
        self._receive_maximum = receive_maximum
        self._interval = commit_interval
        self._commit_max_bytes = commit_max_bytes
        self.window = receive_maximum
        self._asked_at = 0.0
        self._last_arrival = 0.0
        self._supposed = 0
        self._acknowledged_at = 0.0
        self._arrived_since = 0
        self._busy = False

    def connected(self, now: float) -> None:
        """Start over: another connection may have another window."""
        self.window = self._receive_maximum
        self._asked_at = now
        self._supposed = 0

    def arrived(self, count: int, unacknowledged: int, now: float) -> None:
        """Note messages that came, and how many are unacknowledged now."""
        self._last_arrival = now
        self.window = min(max(self.window, unacknowledged), self._receive_maximum)
        if self._supposed and now - self._acknowledged_at <= _LEARN_WITHIN_S:
            self._arrived_since += count
            if self._arrived_since >= self._supposed:
                self.window, self._supposed = self._supposed, 0
        else:
            self._supposed = 0
        if now - self._asked_at > _ASK_ANEW_S:
            self.window, self._asked_at = self._receive_maximum, now

    def is_due(self, unacknowledged: int, size_bytes: int, since: float, now: float) -> bool:
        """Say whether a group that began at `since` is to be committed now."""
        if self.is_full(unacknowledged, size_bytes):
            self._busy = True
        elif now - since >= self._interval:
            self._busy = False
        else:
            return False
        return True

    def is_full(self, unacknowledged: int, size_bytes: int) -> bool:
        """Say whether a commit is due without regard to the time: half of the window is used."""
        return 2 * unacknowledged >= self.window or size_bytes >= self._commit_max_bytes

    def committed(self, unacknowledged: int, now: float) -> None:
        """Note that PUBACKs for `unacknowledged` messages were sent."""
        quiet = now - self._last_arrival >= self._interval / 2
        may_learn = quiet and 0 < unacknowledged < self.window
        self._supposed = unacknowledged if may_learn else 0
        self._acknowledged_at, self._arrived_since = now, 0

    def pause(self, read_bytes: int, until_due: float) -> float:
        """Return the seconds to gather before the next read, after one of `read_bytes`.

        A reader that keeps up gets a few messages per wake-up; gathering costs no throughput and
        spares most of the CPU: 285 s per million messages at 2 ms, 40 at 50 ms, at 1,000/s.
        """
        if self._supposed or read_bytes == 0 or read_bytes >= _SOCKET_IS_BEHIND_BYTES:
            return 0.0
        if self._busy:
            return min(_BUSY_PAUSE_S, until_due) if self.window > _SMALL_WINDOW else 0.0
        return max(0.0, min(self._interval / 2, until_due))
