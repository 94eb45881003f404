"""How many bytes may be in flight: little on a slow link, much on a fast one (decision 13)."""

from typing import Final

FIRST_BYTES: Final = 256 * 1024
FLOOR_BYTES: Final = 16 * 1024
_FAST_S: Final = 5.0
_SLOW_S: Final = 15.0
_ACK_TIMEOUT_MAX_S: Final = 600.0


class Window:
    """Grows while a full window is acknowledged fast; shrinks when the link can't carry it.

    At the floor it is the acknowledgment timeout that grows instead, with each reopen.
    """

    def __init__(self, max_bytes: int, ack_timeout_s: float) -> None:
        self._max_bytes = max_bytes
        self._first_ack_timeout_s = ack_timeout_s
        self.ack_timeout_s = ack_timeout_s
        self.bytes = min(FIRST_BYTES, max_bytes)
        self._full: tuple[int, float] | None = None
        self._shrunk_at = 0.0

    def filled(self, offset: int, now: float) -> None:
        """Note that the window was full when the call `offset` was the last one sent."""
        if self._full is None:
            self._full = (offset, now)

    def acknowledged(self, offset: int, latency_s: float, now: float) -> None:
        """Learn from an acknowledgment up to `offset`, whose call was sent `latency_s` ago."""
        if latency_s > _SLOW_S:
            # Once for all that was in flight: the next calls show what the halving did.
            if now - latency_s >= self._shrunk_at:
                self._shrunk_at = now
                self.shrink()
            return
        self.ack_timeout_s = self._first_ack_timeout_s
        if self._full is not None and offset >= self._full[0]:
            if now - self._full[1] <= _FAST_S:
                self.bytes = min(2 * self.bytes, self._max_bytes)
            self._full = None

    def shrink(self) -> None:
        """Halve the window; one batch may be in flight however small it is."""
        self.bytes = max(self.bytes // 2, FLOOR_BYTES)
        self._full = None

    def timed_out(self, floor_bytes: int) -> None:
        """Answer an acknowledgment timeout; `floor_bytes` is the size of one batch."""
        if self.bytes <= floor_bytes:
            self.ack_timeout_s = min(2 * self.ack_timeout_s, _ACK_TIMEOUT_MAX_S)
        self.shrink()

    def reopened(self) -> None:
        """Forget offsets: they restart with the next stream."""
        self._full = None
