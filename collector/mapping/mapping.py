"""A station's mapping at work: the fast way, the slow way, and what both add to a record.

The order of a message: what is known without its payload (captures and the like, kept per topic),
then its records by the fast way; if that does not give them all, the slow way looks at each record
by itself and says what is wrong with those that don't fit.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from collector.formats.json import SHORT_MAX
from collector.mapping.coerce import missing
from collector.mapping.fast import OBJECT, Refused, Values, is_doubtful
from collector.mapping.misfit import MisfitError, shown
from collector.mapping.plan import Plan
from collector.mapping.sources import follow
from collector.model import DecodeError, Fault, Message

FAULTS_MAX: Final = 100
"""Faults that one message gives; the last stands for the rest of them.

Each becomes a dead letter with the whole payload, so that a list of many bad records in one message
could otherwise fill the spool.
"""
TOPICS_MAX: Final = 10_000
TOPIC_SIZE_MAX: Final = 1_024
"""What a topic gives is kept for so many topics, and for none that is longer."""

_NO_FAULTS: Final[tuple[Fault, ...]] = ()


@dataclass(frozen=True, slots=True)
class _Given:
    """What a topic gives, by column: values, and why others can't be used.

    `one` reads a plain payload of this topic, and `late` is then all there is to add; it is None
    where that would not do.
    """

    captures: dict[str, str]
    values: dict[str, Any]
    misfits: dict[str, tuple[str, str]]
    late: tuple[tuple[str, Any], ...]
    one: Callable[[bytes], Values] | None


class Mapping:
    """Turns the messages of one station into records; not for several threads."""

    def __init__(self, plan: Plan) -> None:
        self.station = plan.station
        self.schema = plan.schema
        self.wants_seq = bool(plan.seq_columns)
        self.unknown_keys = 0
        self._plan = plan
        self._fast = plan.fast
        self._new = plan.schema.message
        self._given: dict[str, _Given] = {}

    def __repr__(self) -> str:
        way = "fast" if self._fast else "slow"
        return f"Mapping({self.station}, {len(self._plan.feeds)} columns fed, {way})"

    def encode(
        self,
        message: Message,
        offer_captures: dict[str, str],
        topic: str,
        received_us: int,
        next_seq: Callable[[], int],
        records: list[bytes],
    ) -> Sequence[Fault]:
        """Append the message's records and return its faults.

        `next_seq` is called once per record, in order, and only if `wants_seq`. A message without a
        payload gives nothing. Whatever the payload, nothing is raised.
        """
        payload = message.payload
        if not payload:
            return _NO_FAULTS
        given = self._given.get(topic)
        if given is None or given.captures is not offer_captures:
            given = self._remember(topic, offer_captures)
        # Most messages leave here, after two microseconds in all: each question counts.
        if given.one is not None and payload[0] == OBJECT and len(payload) <= SHORT_MAX:
            try:
                row, unknown, _ = given.one(payload)
            except Refused:
                return self._look_closer(payload, given, given.values, next_seq, records)
            if not unknown or not is_doubtful(payload):
                for name, value in given.late:
                    if row.get(name) is None:
                        row[name] = value
                if unknown:
                    self.unknown_keys += len(unknown)
                records.append(self._new(**row).SerializeToString())
                return _NO_FAULTS
        extra = given.values
        if self._plan.known:
            extra = extra | {name: known(message, received_us) for name, known in self._plan.known}
        rows = None if self._fast is None or given.misfits else self._fast.read(payload)
        if rows is None:
            return self._look_closer(payload, given, extra, next_seq, records)
        for row, unknown, _ in rows:
            if unknown:
                self.unknown_keys += len(unknown)
            if extra or self.wants_seq:
                self._complete(row, extra, next_seq)
            records.append(self._new(**row).SerializeToString())
        return _NO_FAULTS

    def _look_closer(
        self,
        payload: bytes,
        given: _Given,
        extra: dict[str, Any],
        next_seq: Callable[[], int],
        records: list[bytes],
    ) -> Sequence[Fault]:
        """Judge each record by itself: those that fit are appended, the others explained."""
        try:
            found = self._plan.decode(payload)
            positions = _positions(found, whole=self._plan.positional)
        except DecodeError as error:
            return (Fault("undecodable", str(error)),)
        faults: list[Fault] = []
        more = 0
        for position, record in positions:
            try:
                row = self._row(record, given, extra)
            except MisfitError as misfit:
                if len(faults) < FAULTS_MAX:
                    faults.append(Fault(misfit.kind, str(misfit), misfit.column, position))
                else:
                    more += 1
            else:
                self._complete(row, extra, next_seq)
                records.append(self._new(**row).SerializeToString())
        if more:
            last = faults[-1]
            reason = f"{last.reason} (this stands for {more} more records of the message as well)"
            faults[-1] = replace(last, reason=reason)
        return faults

    def _row(self, record: Any, given: _Given, extra: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(record, dict) and not self._plan.positional:
            raise MisfitError("undecodable", f"{shown(record)} is not an object")
        row: dict[str, Any] = {}
        for feed in self._plan.feeds:
            value = None if feed.path is None else follow(feed.path, record)
            try:
                if value is not None:
                    row[feed.column] = feed.coerce(value)
                elif feed.column in given.misfits:
                    raise MisfitError(*given.misfits[feed.column])  # noqa: TRY301
                elif not feed.nullable and feed.column not in extra:
                    raise missing()
            except MisfitError as misfit:
                raise misfit.of(feed.column) from None
        if isinstance(record, dict) and self._plan.used_keys is not None:
            self.unknown_keys += len(record.keys() - self._plan.used_keys)
        return row

    def _complete(
        self, row: dict[str, Any], extra: dict[str, Any], next_seq: Callable[[], int]
    ) -> None:
        """Add what the payload does not give, and the number of the record."""
        for name, value in extra.items():
            if row.get(name) is None:
                row[name] = value
        if self.wants_seq:
            row.update(dict.fromkeys(self._plan.seq_columns, next_seq()))

    def _remember(self, topic: str, captures: dict[str, str]) -> _Given:
        """Read what the topic itself gives, once for all its messages."""
        values: dict[str, Any] = {}
        misfits: dict[str, tuple[str, str]] = {}
        for feed in self._plan.feeds:
            if feed.given is None:
                continue
            value = feed.given(captures, topic)
            try:
                if value is not None:
                    values[feed.column] = feed.coerce(value)
                elif not feed.nullable:
                    raise missing()
            except MisfitError as misfit:
                misfits[feed.column] = (misfit.kind, str(misfit))
        simple = not (misfits or self._plan.known or self.wants_seq)
        one = self._fast.one if self._fast and simple else None
        given = _Given(captures, values, misfits, tuple(values.items()), one)
        if len(self._given) >= TOPICS_MAX:
            self._given.clear()
        if len(topic) <= TOPIC_SIZE_MAX:
            self._given[topic] = given
        return given


def _positions(found: Any, *, whole: bool) -> Iterable[tuple[int | None, Any]]:
    """The records of a payload, with their places when there may be several."""
    if isinstance(found, dict) or (whole and isinstance(found, list)):
        return ((None, found),)
    if isinstance(found, list):
        return enumerate(found)
    raise DecodeError(f"the payload is {shown(found)}: neither an object nor a list of objects")
