"""What a drain says of itself, for status and health."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class DrainState:
    """What status and health say about a table's drain.

    `state` is one of idle, opening, streaming, waiting (the service is away) and held (the
    service said no). `stuck` says why some batches wait while others are sent.
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
    suspects: int = 0
