"""What one commit will store: gathered message by message, turned into batches once."""

import traceback
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from collector.errors import SpoolError
from collector.mapping import Mapping
from collector.model import BATCH_MAX_BYTES, BATCH_MAX_RECORDS, DeadLetter, Fault, Message, NewBatch
from collector.router import Resolution
from collector.spool import Group, Spool

_TRACEBACK_CHARS: Final = 4_000


class StationRecords:
    """The records of one station that wait for the commit."""

    def __init__(self, mapping: Mapping, table: str, spool: Spool) -> None:
        self.mapping = mapping
        self.table = table
        self.scope = "station:" + mapping.station
        self.records: list[bytes] = []
        self.messages = 0
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

    def take_too_large(self, mark: int, max_bytes: int) -> list[int]:
        """Take records behind `mark` that are over a limit back; returns their sizes."""
        sizes = [(at, len(self.records[at])) for at in range(mark, len(self.records))]
        too_large = [(at, size) for at, size in sizes if size > max_bytes]
        for at, _ in reversed(too_large):
            del self.records[at]
            # Its number stands in the record: those behind it keep theirs.
            del self._seqs[at : at + 1]
        return [size for _, size in too_large]

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
            for start, stop in _cuts(records)
        ]

    def clear(self) -> None:
        """Begin the next group."""
        self.records = []
        self.messages = 0
        self.mapping.unknown_keys = 0
        self._seqs = []


class Pending:
    """The messages since the last commit, mapped; nothing of them is acknowledged."""

    def __init__(self, stations: Sequence[StationRecords], message_max_bytes: int) -> None:
        self._stations = stations
        self._message_max_bytes = message_max_bytes
        self._touched: set[int] = set()
        self._dead_letters: list[DeadLetter] = []
        self._counts: Counter[tuple[str, str]] = Counter()
        self._begin()

    def _begin(self) -> None:
        self.packet_ids: list[int] = []
        self.size_bytes = 0
        self.messages = 0
        self.since = 0.0
        self.received_us = 0
        self.unprotected = 0
        self._not_recorded = 0
        self._lost = 0

    def __bool__(self) -> bool:
        return self.messages > 0 or self._lost > 0

    def add(self, message: Message, resolution: Resolution, received_us: int) -> None:
        """Map one message for every station that it fits.

        Whatever goes wrong in a mapping is a dead letter of that message: an error in it must not
        become a crash loop by redelivery (decision 12).
        """
        made = failed = 0
        topic = resolution.topic
        for offer in resolution.offers:
            station = self._stations[offer.station]
            records = station.records
            mark = len(records)
            try:
                faults = (
                    station.mapping.encode(
                        message, offer.captures, topic, received_us, station.next_seq, records
                    )
                    if not message.oversize
                    else (self._too_large(message),)
                )
            except SpoolError:
                # No number could be reserved: that is no fault of the message.
                self._touched.add(offer.station)
                raise
            except Exception:  # noqa: BLE001 - decision 12.
                del records[mark:]
                faults = (Fault("internal", traceback.format_exc()[-_TRACEBACK_CHARS:]),)
            self._touched.add(offer.station)
            if len(records) > mark:
                faults = [*faults, *self._unsendable(station, mark)]
            if faults:
                self.bury(message.payload, topic, received_us, faults, station)
                failed += 1
            if len(records) > mark:
                station.messages += 1
                made += 1
        if not made:
            self._outcome(message, resolution, failed)

    def ignore(self, reason: str) -> None:
        """Count a message that gives neither record nor dead letter."""
        self._not_recorded += 1
        self._counts["", "ignored:" + reason] += 1

    def _outcome(self, message: Message, resolution: Resolution, failed: int) -> None:
        """Count a message without a record: dead-lettered before ignored."""
        if failed:
            self._not_recorded += 1
            self._counts["", "dead_lettered"] += 1
        elif not resolution.offers:
            self.ignore("unrouted")
        else:
            self.ignore("empty" if not message.payload else "no_rows")

    def bury(
        self,
        payload: bytes,
        topic: str,
        received_us: int,
        faults: Sequence[Fault],
        station: StationRecords | None = None,
    ) -> None:
        """Make dead letters of faults; a mapping gives a bounded number of one message."""
        name, table = (station.mapping.station, station.table) if station else ("", "")
        self._dead_letters += [
            DeadLetter(fault, topic, payload, received_us, name, table) for fault in faults
        ]
        if station:
            for fault in faults:
                self._counts[station.scope, "dead:" + fault.kind] += 1

    def undecodable_topic(self, message: Message, received_us: int) -> None:
        """Bury a message whose topic is not UTF-8: no station can be found for it."""
        topic = message.topic.decode(errors="backslashreplace")
        self.bury(message.payload, topic, received_us, [Fault("undecodable", "topic is not UTF-8")])
        self._not_recorded += 1
        self._counts["", "dead_lettered"] += 1

    def _too_large(self, message: Message) -> Fault:
        return Fault(
            "too_large",
            f"{message.oversize} bytes, mqtt.message_max_bytes is {self._message_max_bytes};"
            f" the first {len(message.payload)} are kept",
        )

    def group(self, retained: dict[bytes, bytes] | None = None) -> Group:
        """Return what the commit is to store; may be called again when the commit failed."""
        group = Group(
            dead_letters=list(self._dead_letters),
            counts=self._counts.copy(),
            retained=retained or {},
        )
        counts = group.counts
        for index in self._touched:
            station = self._stations[index]
            group.batches += station.batches(self.received_us)
            counts[station.scope, "messages"] += station.messages
            counts[station.scope, "records"] += len(station.records)
            counts[station.scope, "unknown_keys"] += station.mapping.unknown_keys
        counts["", "received"] += self.messages + self._lost
        counts["", "recorded"] += self.messages - self._not_recorded
        counts["", "unprotected"] += self.unprotected + self._lost
        counts["", "ignored:full"] += self._lost
        return group

    def _unsendable(self, station: StationRecords, mark: int) -> list[Fault]:
        """Take records back that no stream may carry: one key can fill several columns."""
        limit = self._message_max_bytes
        if len(station.records) == mark + 1 and len(station.records[mark]) <= limit:
            return []
        return [
            Fault("too_large", f"its record has {size} bytes, over mqtt.message_max_bytes {limit}")
            for size in station.take_too_large(mark, limit)
        ]

    def give_back(self, now: float) -> None:
        """Forget everything; messages of QoS 0 among it don't come again and are counted."""
        lost = self._lost + self.unprotected
        self.clear()
        self._lost, self.since = lost, now

    def clear(self) -> None:
        """Forget everything: it is stored, or the broker will deliver it again."""
        for index in self._touched:
            self._stations[index].clear()
        self._touched.clear()
        self._dead_letters, self._counts = [], Counter()
        self._begin()


def _cuts(records: Sequence[bytes]) -> list[tuple[int, int]]:
    """Cut records into batches of at most BATCH_MAX_RECORDS and BATCH_MAX_BYTES.

    >>> _cuts([b"x" * 100_000] * 5)
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
