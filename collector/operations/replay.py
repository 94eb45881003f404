"""Dead letters, tried again with the configuration as it is now.

A letter of a message is mapped for its own station, since others may have recorded the message; a
letter of a record (refused, expired) goes back into its table under its own number. One transaction
deletes letters and stores what became of them, so that a replay that is interrupted loses nothing
and makes nothing twice. What still fails stays, with the reason that it has by now.
"""

import time
import traceback
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from collector.errors import SpoolError
from collector.intake.records import StationRecords, cuts
from collector.model import Fault, Message, NewBatch
from collector.plan import Plan
from collector.spool import Spool
from collector.spool.selection import Selection
from collector.tables import Schema, encode_anew

_AT_ONCE: Final = 200
_OVERSIZE: Final = 16
_TRACEBACK_CHARS: Final = 4_000


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter with what its replay needs; `seq` is None for one of a message."""

    id: int
    received_us: int
    station: str
    table: str
    topic: str
    kind: str
    position: int | None
    more: str
    seq: int | None
    fingerprint: bytes
    flags: int
    properties: bytes
    payload: bytes

    @property
    def wanted(self) -> frozenset[int] | None:
        """The positions of the payload that it stands for; None for all of it."""
        if self.position is None:
            return None
        return frozenset({self.position, *map(int, filter(None, self.more.split(",")))})

    @property
    def message(self) -> Message:
        """The message as the broker delivered it."""
        return Message(
            self.topic.encode(),
            self.payload,
            qos=self.flags & 3,
            retain=bool(self.flags & 4),
            dup=bool(self.flags & 8),
            properties=self.properties,
        )


@dataclass(slots=True)
class _Chunk:
    """What becomes of some letters, in one transaction."""

    done: list[int] = field(default_factory=list)
    failing: dict[int, Fault] = field(default_factory=dict)
    batches: list[NewBatch] = field(default_factory=list)
    # Records that go back under their own numbers: by table, station and fingerprint.
    back: dict[tuple[str, str, bytes], list[tuple[int, bytes]]] = field(default_factory=dict)


class _GoneError(Exception):
    """A letter made room for others since it was read: the chunk is read again."""


class Replay:
    """Replays letters with one plan; `station` is tried instead of the letters' own."""

    def __init__(self, spool: Spool, plan: Plan, *, station: str = "") -> None:
        self._spool = spool
        self._plan = plan
        self._schemas = plan.schemas
        self._instead = station
        self._max_bytes = plan.config.mqtt.message_max_bytes
        self._stations: dict[str, tuple[int, StationRecords]] = {
            one.name: (index, StationRecords(mapping, one.table, spool))
            for index, (one, mapping) in enumerate(
                zip(plan.config.stations, plan.mappings, strict=True)
            )
        }
        if station and station not in self._stations:
            raise SpoolError(
                f"there is no station {station}", f"Known are {', '.join(self._stations)}."
            )
        self._older: dict[bytes, Schema] = {}
        self._skipped: Counter[str] = Counter()
        self._failing: Counter[str] = Counter()

    def run(
        self, selection: Selection, *, dry_run: bool = False
    ) -> Generator[dict[str, Any], None, dict[str, Any]]:
        """Replay what is selected and was there before this moment.

        Raises:
            SpoolFullError: there is no room for more; what was replayed until then is stored.
        """
        newest, position = self._spool.reader.last_letter(), 0
        looked_at = replayed = records = 0
        if not dry_run:
            for schema in self._schemas.values():
                self._spool.add_schema(schema.fingerprint, schema.stored)
        while rows := self._spool.reader.letters(selection, position, _AT_ONCE):
            letters = [one for row in rows if (one := Letter(*row)).id <= newest]
            if not letters:
                break
            counted = (self._skipped.copy(), self._failing.copy())
            chunk = self._try(letters)
            if not dry_run:
                try:
                    self._store(chunk)
                except _GoneError:
                    self._skipped, self._failing = counted
                    continue
            position = letters[-1].id
            looked_at += len(letters)
            replayed += len(chunk.done)
            records += sum(len(batch.records) for batch in chunk.batches)
            yield {"letters": looked_at, "replayed": replayed}
        return {
            "letters": looked_at,
            "replayed": replayed,
            "records": records,
            "failing": dict(self._failing),
            "skipped": dict(self._skipped),
            "dry_run": dry_run,
        }

    def _store(self, chunk: _Chunk) -> None:
        self._spool.room.check()
        with self._spool.transaction() as rows:
            if rows.delete_letters(chunk.done, "dead_replayed") != len(chunk.done):
                raise _GoneError
            for batch in chunk.batches:
                rows.insert(batch, counted="replayed")
            for letter, fault in chunk.failing.items():
                rows.replace_fault(letter, fault)
            self._spool.keep_numbers(rows)
        self._spool.stored({batch.table for batch in chunk.batches}, ())

    # -- what becomes of a letter --------------------------------------------------------------

    def _try(self, letters: Sequence[Letter]) -> _Chunk:
        chunk = _Chunk()
        now_us = time.time_ns() // 1000
        for letter in letters:
            if letter.seq is not None:
                faults = self._put_back(letter, chunk)
            elif reason := self._why_not(letter):
                self._skipped[reason] += 1
                continue
            else:
                faults = self._map(letter)
            if faults:
                fault = _joined(faults)
                self._failing[fault.kind] += 1
                chunk.failing[letter.id] = fault
            else:
                chunk.done.append(letter.id)
        chunk.batches = list(_batches_of(chunk.back, now_us))
        for _, station in self._stations.values():
            chunk.batches += station.batches(now_us)
            station.clear()
        return chunk

    def _why_not(self, letter: Letter) -> str:
        """Say why the message of a letter can't be mapped again, or nothing."""
        if letter.kind == "dropped":
            return "a summary of what was dropped, without a message"
        if letter.flags & _OVERSIZE:
            return "only the beginning of its message is kept"
        name = self._instead or letter.station
        if not name:
            return "no station took its message"
        if name not in self._stations:
            return f"the configuration has no station {name}: --as names another"
        if self._captures(letter, name) is None:
            return f"the filters of {name} do not take its topic any more"
        return ""

    def _captures(self, letter: Letter, name: str) -> dict[str, str] | None:
        return self._plan.captures(self._stations[name][0], letter.topic)

    def _map(self, letter: Letter) -> Sequence[Fault]:
        """Map a message; a letter that still fails in part keeps the records that fail."""
        name = self._instead or letter.station
        station, captures = self._stations[name][1], self._captures(letter, name)
        assert captures is not None  # noqa: S101 - _why_not has seen to it.
        message, mark = letter.message, len(station.records)
        arguments = (
            message, captures, letter.topic, letter.received_us, station.next_seq, station.records,
        )  # fmt: skip
        try:
            faults = list(station.mapping.replay(*arguments, letter.wanted))
        except SpoolError:
            raise
        except Exception:  # noqa: BLE001 - As in the intake: a mapping bug is the letter's fault.
            del station.records[mark:]
            return [Fault("internal", traceback.format_exc()[-_TRACEBACK_CHARS:])]
        return [*faults, *station.take_too_large(mark, self._max_bytes, faults, letter.wanted)]

    def _put_back(self, letter: Letter, chunk: _Chunk) -> Sequence[Fault]:
        """Give a record its number and its place in the spool again; its age starts anew."""
        assert letter.seq is not None  # noqa: S101 - asked by the caller.
        schema, body = self._schemas.get(letter.table), letter.payload
        fingerprint = letter.fingerprint
        if schema is not None and schema.fingerprint != fingerprint:
            try:
                body = encode_anew(body, self._schema(fingerprint), schema)
            except ValueError as error:
                return [Fault("schema", str(error))]
            fingerprint = schema.fingerprint
        key = (letter.table, letter.station, fingerprint)
        chunk.back.setdefault(key, []).append((letter.seq, body))
        return ()

    def _schema(self, fingerprint: bytes) -> Schema:
        known = self._older.get(fingerprint)
        if known is None:
            known = Schema.from_stored(self._spool.reader.schema(fingerprint))
            self._older[fingerprint] = known
        return known


def _batches_of(
    back: dict[tuple[str, str, bytes], list[tuple[int, bytes]]], received_us: int
) -> Iterator[NewBatch]:
    for key, numbered in back.items():
        numbered.sort()
        records = [body for _, body in numbered]
        for start, stop in cuts(records):
            seqs = [seq for seq, _ in numbered[start:stop]]
            yield NewBatch(*key, seqs, received_us, records[start:stop])


def _joined(faults: Iterable[Fault]) -> Fault:
    """The faults of one letter as one: the first, which stands for the others."""
    first, *others = faults
    if any(one.position is None for one in (first, *others)):
        # It stands for the whole message, and so nothing of it may be left out.
        return first if first.position is None else replace(first, position=None, more=())
    places = [place for one in others for place in (one.position, *one.more) if place is not None]
    more = tuple(sorted({*first.more, *places}))
    if not places:
        return first
    reason = f"{first.reason} (this stands for {len(more)} more records of the message as well)"
    return Fault(first.kind, reason, first.field, first.position, more)
