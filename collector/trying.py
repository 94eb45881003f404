"""What a station makes of one message, without storing it: for what shows or checks a mapping."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from collector.mapping import Mapping
from collector.model import Fault, Message
from collector.rows import row_of


@dataclass(frozen=True, slots=True)
class Made:
    """Records, the same as rows that JSON can say, and faults."""

    records: list[bytes]
    rows: list[dict[str, Any]]
    faults: list[Fault]


def made_of(
    mapping: Mapping,
    message: Message,
    captures: dict[str, str],
    received_us: int,
    *,
    max_bytes: int | None = None,
    next_seq: Callable[[], int] | None = None,
) -> Made:
    """Map a message; over `max_bytes` it is `too_large`. Numbers begin at 1 without `next_seq`."""
    size = len(message.payload)
    if max_bytes is not None and size > max_bytes:
        reason = f"{size} bytes, mqtt.message_max_bytes is {max_bytes}"
        return Made([], [], [Fault("too_large", reason)])
    records: list[bytes] = []
    faults = mapping.encode(
        message,
        captures,
        message.topic.decode(),
        received_us,
        next_seq or count(1).__next__,
        records,
    )
    return Made(records, [row_of(mapping.schema, record) for record in records], list(faults))
