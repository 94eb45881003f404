"""The records of a station between two commits, and the batches that they become."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate

from collector.mapping import Mapping
from collector.model import BATCH_MAX_BYTES, BATCH_MAX_RECORDS, Fault, NewBatch
from collector.spool import Spool


class StationRecords:
    """The records of one station that wait for the commit."""

    def __init__(self, mapping: Mapping, table: str, spool: Spool) -> None:
        self.mapping = mapping
        self.table = table
        self.scope = "station:" + mapping.station
        self.memory = mapping.decoder.memory
        if self.memory is not None:
            self.memory.restore(spool.reader.memories(mapping.station))
        self.records: list[bytes] = []
        self.messages = 0
        self.without_rows = 0
        self._spool = spool
        self._seqs: list[int] = []

    def next_seq(self) -> int:
        """Return the number of the record that is being encoded.

        A record that fails, or is taken back, leaves its number to the next one.
        """
        at = len(self.records)
        if at == len(self._seqs):
            self._seqs.append(self._spool.reserve())
        return self._seqs[at]

    def take_too_large(
        self,
        mark: int,
        max_bytes: int,
        faults: Sequence[Fault] = (),
        wanted: Iterable[int] | None = None,
    ) -> list[Fault]:
        """Take records behind `mark` that no stream may carry back; returns a fault for each.

        They are those of one message: of all its positions, or the `wanted` ones, but those that
        `faults` have named already. One key can fill several columns, so that a record may be
        larger than its message.
        """
        made = self.records[mark:]
        too_large = [at for at, record in enumerate(made) if len(record) > max_bytes]
        if not too_large:
            return []
        named = {place for one in faults for place in (one.position, *one.more)}
        places = [at for at in (sorted(wanted) if wanted else range(len(made) + len(named)))
                  if at not in named]  # fmt: skip
        is_all = wanted is None and len(made) == 1 and not named
        for at in reversed(too_large):
            del self.records[mark + at]
            # Its number stands in the record: those behind it keep theirs.
            del self._seqs[mark + at : mark + at + 1]
        text = f"its record has {{}} bytes, over mqtt.message_max_bytes {max_bytes}"
        return [
            Fault("too_large", text.format(len(made[at])), "", None if is_all else places[at])
            for at in too_large
        ]

    def batches(self, received_us: int) -> list[NewBatch]:
        """Turn the records into batches."""
        records = self.records
        numbers: Sequence[int] = self._seqs[: len(records)]
        if not self.mapping.wants_seq:
            first = self._spool.reserve(len(records)) if records else 0
            numbers = range(first, first + len(records))
        return [
            NewBatch(
                self.table,
                self.mapping.station,
                self.mapping.schema.fingerprint,
                numbers[start:stop],
                received_us,
                records[start:stop],
            )
            for start, stop in cuts(records)
        ]

    def count(self, counts: Counter[tuple[str, str]]) -> None:
        """Add what the station has brought since the last commit."""
        counts[self.scope, "messages"] += self.messages
        counts[self.scope, "without_rows"] += self.without_rows
        counts[self.scope, "records"] += len(self.records)
        counts[self.scope, "unknown_keys"] += self.mapping.unknown_keys
        counts[self.scope, "outside_window"] += self.mapping.outside_window

    def clear(self) -> None:
        """Begin the next group."""
        self.records = []
        self.messages = self.without_rows = 0
        self.mapping.forget()
        self._seqs = []


def cuts(records: Sequence[bytes]) -> list[tuple[int, int]]:
    """Cut records into batches of at most BATCH_MAX_RECORDS and BATCH_MAX_BYTES.

    >>> cuts([b"x" * 100_000] * 5)
    [(0, 2), (2, 4), (4, 5)]
    """
    count = len(records)
    ends = list(accumulate(map(len, records), initial=0))
    if count <= BATCH_MAX_RECORDS and ends[-1] <= BATCH_MAX_BYTES:
        return [(0, count)] if count else []
    cuts: list[tuple[int, int]] = []
    start = 0
    while start < count:
        stop = start + 1
        limit = min(count, start + BATCH_MAX_RECORDS)
        while stop < limit and ends[stop + 1] - ends[start] <= BATCH_MAX_BYTES:
            stop += 1
        cuts.append((start, stop))
        start = stop
    return cuts
