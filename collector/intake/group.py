"""What one commit will store: gathered message by message, turned into batches once."""

import traceback
from collections import Counter
from collections.abc import Sequence
from typing import Final

from collector.errors import SpoolError
from collector.formats import Request
from collector.intake.records import StationRecords
from collector.model import (
    DeadLetter,
    Fault,
    Message,
    flags_of,
)
from collector.router import Resolution
from collector.spool import Group

_TRACEBACK_CHARS: Final = 4_000


class Pending:
    """The messages since the last commit, mapped; nothing of them is acknowledged."""

    def __init__(self, stations: Sequence[StationRecords], message_max_bytes: int) -> None:
        self._stations = stations
        self._message_max_bytes = message_max_bytes
        self._touched: set[int] = set()
        self._asking = [
            index for index, one in enumerate(stations) if one.mapping.decoder.requests is not None
        ]
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
        self.lost = 0

    def __bool__(self) -> bool:
        return self.messages > 0 or self.lost > 0

    def add(self, message: Message, resolution: Resolution, received_us: int) -> None:
        """Map one message for every station that it fits.

        Whatever goes wrong in a mapping is a dead letter of that message: an error in it must not
        become a crash loop by redelivery (decision 12).
        """
        made = failed = 0
        topic = resolution.topic
        dropped = 0
        for offer in resolution.offers:
            station = self._stations[offer.station]
            if message.retain and station.mapping.drops_retained:
                dropped += 1
                continue
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
                faults = [*faults, *self._unsendable(station, mark, faults)]
            if faults:
                self.bury(message, topic, received_us, faults, station)
                failed += 1
            if len(records) > mark:
                station.messages += 1
                made += 1
            elif not faults:
                station.without_rows += 1
        if not made:
            self._outcome(message, resolution, failed, is_dropped=dropped == len(resolution.offers))

    def ignore(self, reason: str) -> None:
        """Count a message that gives neither record nor dead letter."""
        self._not_recorded += 1
        self._counts["", "ignored:" + reason] += 1

    def _outcome(
        self, message: Message, resolution: Resolution, failed: int, *, is_dropped: bool
    ) -> None:
        """Count a message without a record: dead-lettered before ignored."""
        if failed:
            self._not_recorded += 1
            self._counts["", "dead_lettered"] += 1
        elif not resolution.offers:
            self.ignore("unrouted")
        elif is_dropped:
            self.ignore("retained")
        else:
            self.ignore("empty" if not message.payload else "no_rows")

    def bury(
        self,
        message: Message,
        topic: str,
        received_us: int,
        faults: Sequence[Fault],
        station: StationRecords | None = None,
    ) -> None:
        """Make dead letters of faults; a mapping gives a bounded number of one message."""
        name, table = (station.mapping.station, station.table) if station else ("", "")
        flags = flags_of(message)
        self._dead_letters += [
            DeadLetter(
                fault,
                topic,
                message.payload,
                received_us,
                name,
                table,
                flags=flags,
                properties=message.properties,
            )
            for fault in faults
        ]
        if station:
            for fault in faults:
                self._counts[station.scope, "dead:" + fault.kind] += 1

    def undecodable_topic(self, message: Message, received_us: int) -> None:
        """Bury a message whose topic is not UTF-8: no station can be found for it."""
        topic = message.topic.decode(errors="backslashreplace")
        self.bury(message, topic, received_us, [Fault("undecodable", "topic is not UTF-8")])
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
            if station.memory is not None:
                name = station.mapping.station
                group.memories |= {(name, k): value for k, value in station.memory.fresh.items()}
            station.count(counts)
        counts["", "received"] += self.messages + self.lost
        counts["", "recorded"] += self.messages - self._not_recorded
        counts["", "unprotected"] += self.unprotected + self.lost
        counts["", "ignored:full"] += self.lost
        return group

    def _unsendable(
        self, station: StationRecords, mark: int, faults: Sequence[Fault]
    ) -> Sequence[Fault]:
        limit = self._message_max_bytes
        if len(station.records) == mark + 1 and len(station.records[mark]) <= limit:
            return ()
        return station.take_too_large(mark, limit, faults)

    def give_back(self, now: float) -> None:
        """Forget everything; messages of QoS 0 among it don't come again and are counted."""
        lost = self.lost + self.unprotected
        for index in self._touched:
            if (memory := self._stations[index].memory) is not None:
                memory.give_back()
        self._clear()
        self.lost, self.since = lost, now

    def follow(self, lost: int, since: float) -> None:
        """Take over what another gave back and still has to count."""
        self.lost, self.since = lost, since

    def stored(self) -> None:
        """Begin the next group: this one is stored."""
        for index in self._touched:
            if (memory := self._stations[index].memory) is not None:
                memory.stored()
        self._clear()

    def requests(self) -> list[Request]:
        """Return the messages that formats want to be published, such as a plea for a birth."""
        wanted: list[Request] = []
        for index in self._asking:
            if (requests := self._stations[index].mapping.decoder.requests) is not None:
                wanted += requests()
        return wanted

    def _clear(self) -> None:
        """Forget everything: it is stored, or the broker will deliver it again."""
        for index in self._touched:
            self._stations[index].clear()
        self._touched.clear()
        self._dead_letters, self._counts = [], Counter()
        self._begin()
