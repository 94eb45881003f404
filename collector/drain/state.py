"""What a drain says of itself, for status and health."""

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Self

from collector.latency import Latency


@dataclass(slots=True)
class DrainState:
    """What status and health say about a table's drain.

    `state` is one of idle, opening, streaming, waiting (the service is away) and held (the
    service said no). `stuck` says why some batches wait while others are sent. `ends` counts why
    streams ended or did not open; `sent_records` and `sent_bytes` count repeats as well.
    `last_error` is the last thing that went wrong, also when it is over.
    """

    state: str = "idle"
    reason: str = ""
    hint: str = ""
    stuck: str = ""
    last_ack_us: int = 0
    streams_opened: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    in_flight_bytes: int = 0
    window_bytes: int = 0
    sent_records: int = 0
    sent_bytes: int = 0
    ack_latency: Latency = field(default_factory=Latency)
    suspects: int = 0
    last_error: str = ""
    last_error_us: int = 0

    def note_error(self, reason: str) -> None:
        """Note what went wrong last; it stays when that is over."""
        self.last_error, self.last_error_us = reason, time.time_ns() // 1000

    def ended(self) -> Self:
        """Return what stays true of a table when all of its streams have ended: the counts."""
        return replace(
            self, state="idle", reason="", hint="", stuck="", in_flight_bytes=0, window_bytes=0
        )
