"""What is in flight on one stream: offset → batches. Another stream's offset means nothing here."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from collector.model import Batch


class Part(NamedTuple):
    """The first `size` records of a batch; `whole` when that is all of it."""

    batch: int
    size: int
    whole: bool


@dataclass(slots=True)
class Call:
    """The records of one call."""

    records: list[bytes]
    parts: list[Part]
    fingerprint: bytes
    size_bytes: int
    sent_at: float = 0.0


class Ledger:
    """The calls of one stream that are not acknowledged, in the order of their offsets."""

    def __init__(self) -> None:
        self._calls: deque[tuple[int, Call]] = deque()
        self.in_flight_bytes = 0

    def __len__(self) -> int:
        return len(self._calls)

    def sent(self, offset: int, call: Call) -> None:
        """Note a call that got `offset`."""
        self._calls.append((offset, call))
        self.in_flight_bytes += call.size_bytes

    def acknowledged(self, offset: int) -> list[Call]:
        """Take the calls up to `offset`, which are durable now."""
        done: list[Call] = []
        while self._calls and self._calls[0][0] <= offset:
            call = self._calls.popleft()[1]
            self.in_flight_bytes -= call.size_bytes
            done.append(call)
        return done

    def first(self) -> Call | None:
        """Return the oldest call in flight."""
        return self._calls[0][1] if self._calls else None

    def batches(self) -> list[int]:
        """Return the batches in flight, in the order in which they were sent."""
        return [part.batch for _, call in self._calls for part in call.parts]


def compose(batches: Iterable[Batch], max_records: int, max_bytes: int) -> Call | None:
    """Make a call of the front of `batches`, which all have one schema.

    Takes whole batches while they fit, and of the first one a part when `max_records` is less.
    """
    call: Call | None = None
    for batch in batches:
        if call is None:
            count = min(len(batch.records), max_records)
            whole = count == len(batch.records)
            call = Call(
                records=batch.records[:count],
                parts=[Part(batch.id, count, whole)],
                size_bytes=batch.size_bytes,
                fingerprint=batch.fingerprint,
            )
            continue
        last_is_whole = call.parts[-1].whole
        room = max_records - len(call.records)
        if (
            not last_is_whole
            or room <= 0
            or batch.fingerprint != call.fingerprint
            or call.size_bytes + batch.size_bytes > max_bytes
        ):
            break
        count = min(len(batch.records), room)
        call.records.extend(batch.records[:count])
        call.parts.append(Part(batch.id, count, count == len(batch.records)))
        call.size_bytes += batch.size_bytes
    return call
