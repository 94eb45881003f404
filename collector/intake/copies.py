"""Which of several copies of a message is a repeat (decision 8).

A broker with MQTT 5 sends one copy for each filter that a message fits, and stamps each with that
filter's identifier. No single one of them can be relied on: mosquitto 2.0 queues just one, by
whichever filter it meets first, between its own restart and the reconnect of a client. So the
first copy that comes is taken, and one by another filter is its repeat.

Copies of equal messages are told apart by counting: the n-th copy by one filter belongs to the
n-th message, so that it is new exactly when no other filter has brought n copies yet.
"""

import hashlib
from typing import Final

from collector.model import Message

TRACKED_MAX: Final = 10_000
"""Messages whose copies have not all come; beyond, the oldest is forgotten: its next copy is taken
for a message, which is a duplicate and no loss."""


class Copies:
    """Counts copies by (message, filters); to be forgotten with each connection."""

    def __init__(self) -> None:
        self._counts: dict[bytes, dict[tuple[int, ...], int]] = {}

    def is_repeat(self, message: Message, expected: int) -> bool:
        """Say whether another filter has brought this message; `expected` copies come of each."""
        key = hashlib.blake2b(message.payload, digest_size=16).digest() + message.topic
        counts = self._counts.pop(key, None) or {}
        taken = max(counts.values(), default=0)
        number = counts[message.identifiers] = counts.get(message.identifiers, 0) + 1
        if len(counts) < expected or len(set(counts.values())) > 1:
            self._counts[key] = counts
            if len(self._counts) > TRACKED_MAX:
                del self._counts[next(iter(self._counts))]
        return number <= taken

    def forget(self) -> None:
        """Start over: what a new connection brings again comes by all of its filters."""
        self._counts.clear()
