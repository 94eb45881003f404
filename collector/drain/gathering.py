"""What comes is gathered for a moment before it is sent, unless somebody waits for it.

A call costs the same for one record as for a thousand. Who waits for Zerobus waits for the call and
for its acknowledgment: from the one to the other nothing is gathered, so that both are met at once.
"""

import threading


class Gathering:
    """The pauses of one drain, used by its thread; `hurry` may be called from any."""

    pause_s = 0.05

    def __init__(self) -> None:
        self._hurry = threading.Event()
        self._until = 0.0
        self._awaited = -1
        self._is_hurried = False

    def begin(self) -> None:
        """Forget offsets: they restart with the next stream."""
        self._awaited = -1

    def hurry(self) -> None:
        """Say that somebody waits for what was just stored."""
        self._hurry.set()

    def wait(self, now: float) -> bool:
        """Wait for more to come, if there is time for it; False when it is time to send."""
        self._is_hurried = self._hurry.is_set()
        self._hurry.clear()
        if self._is_hurried or self._awaited >= 0 or now >= self._until:
            return False
        # Not to be woken by each commit and each ack meanwhile.
        if self._hurry.wait(self._until - now):
            self._until = now
        return True

    def sent(self, offset: int, now: float) -> None:
        """Note a call: what comes next is gathered."""
        self._until = now + self.pause_s
        if self._is_hurried:
            self._awaited, self._is_hurried = offset, False

    def acknowledged(self, offset: int) -> None:
        """Note an acknowledgment: whoever waited for it has heard of it."""
        if offset >= self._awaited:
            self._awaited = -1
