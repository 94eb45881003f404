"""A station's mapping at work: the fast way, the slow way, and what both add to a record.

The order of a message: what is known without its payload (captures and the like, kept per topic),
then its records by the fast way; if that does not give them all, the slow way looks at each record
by itself and says what is wrong with those that don't fit.
"""

from collections.abc import Callable, Container, Sequence
from typing import Any, Final

from collector.formats import Bad
from collector.formats.json import SHORT_MAX
from collector.mapping.coerce import missing
from collector.mapping.elements import Elements
from collector.mapping.fast import OBJECT, Refused, Values, is_doubtful
from collector.mapping.faults import FAULTS_MAX, Faults
from collector.mapping.misfit import MisfitError, bad
from collector.mapping.plan import OfTopic, Plan
from collector.mapping.sources import Context, Frame
from collector.model import Arrival, DecodeError, Fault, Message

TOPICS_MAX: Final = 10_000
TOPIC_SIZE_MAX: Final = 1_024
"""What a topic gives is kept for so many topics, and for none that is longer."""

_EMPTY: Final[dict[str, Any]] = {}
_NO_FAULTS: Final[tuple[Fault, ...]] = ()


class Mapping:
    """Turns the messages of one station into records; not for several threads."""

    def __init__(self, plan: Plan) -> None:
        self.station = plan.station
        self.schema = plan.schema
        self.wants_seq = bool(plan.seq_columns)
        self.unknown_keys = 0
        self.decoder = plan.decoder
        self.drops_retained = plan.drops_retained
        self.faults_max = FAULTS_MAX
        self.paths = plan.paths
        self._plan = plan
        self._elements = Elements(
            plan.walk, is_whole=plan.is_whole, takes_scalars=plan.takes_scalars
        )
        self._required = frozenset(feed.column for feed in plan.feeds if not feed.nullable)
        self._fast = plan.fast
        self._new = plan.schema.message
        self._given: dict[str, OfTopic] = {}
        # Unpacked once: the loop over them is what a message costs by the slow way.
        self._feeds = [
            (feed.column, feed.get or _nothing, feed.convert, feed) for feed in plan.feeds
        ]

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
                context = Context(message, offer_captures, topic, received_us)
                return self._look_closer(context, given, given.values, next_seq, records)
            if not unknown or not is_doubtful(payload):
                for name, value in given.late:
                    if row.get(name) is None:
                        row[name] = value
                if unknown:
                    self.unknown_keys += len(unknown)
                records.append(self._new(**row).SerializeToString())
                return _NO_FAULTS
        extra = self._extra(given, message, received_us)
        rows = None if self._fast is None or given.misfits else self._fast.read(payload)
        if rows is None or not self._is_inside(rows, received_us):
            context = Context(message, offer_captures, topic, received_us)
            return self._look_closer(context, given, extra, next_seq, records)
        for row, unknown, _ in rows:
            if unknown:
                self.unknown_keys += len(unknown)
            if extra or self.wants_seq:
                self._complete(row, extra, next_seq)
            records.append(self._new(**row).SerializeToString())
        return _NO_FAULTS

    def replay(
        self,
        message: Message,
        offer_captures: dict[str, str],
        topic: str,
        received_us: int,
        next_seq: Callable[[], int],
        records: list[bytes],
        wanted: Container[int] | None,
    ) -> Sequence[Fault]:
        """Do as `encode` for a dead letter that is replayed: its records at some positions, or all.

        A message that comes late changes nothing that a format remembers.
        """
        if not message.payload:
            return _NO_FAULTS
        given = self._remember(topic, offer_captures)
        extra = self._extra(given, message, received_us)
        context = Context(message, offer_captures, topic, received_us, is_replay=True)
        return self._look_closer(context, given, extra, next_seq, records, wanted)

    def _is_inside(self, rows: Sequence[Values], received_us: int) -> bool:
        """Whether no time of the records makes a dead letter of one."""
        window = self._plan.window
        if window is None:
            return True
        mark = window.outside
        try:
            for row, _, _ in rows:
                window.check(row, received_us, self._required)
        except MisfitError:
            window.outside = mark
            return False
        return True

    @property
    def outside_window(self) -> int:
        """How many times lay outside of the station's `time_window` since the last `forget`."""
        return self._plan.window.outside if self._plan.window else 0

    @property
    def counted(self) -> tuple[int, int]:
        """What was counted since the last `forget`; set again where a message is taken back."""
        return self.unknown_keys, self.outside_window

    @counted.setter
    def counted(self, counts: tuple[int, int]) -> None:
        self.unknown_keys = counts[0]
        if self._plan.window:
            self._plan.window.outside = counts[1]

    def trust_clock(self) -> None:
        """Judge times against their arrival whatever this box's own clock says."""
        if self._plan.window:
            self._plan.window.is_trusted = lambda: True

    def forget(self) -> None:
        """Begin counting anew."""
        self.unknown_keys = 0
        if self._plan.window:
            self._plan.window.outside = 0

    def _extra(self, given: OfTopic, message: Message, received_us: int) -> dict[str, Any]:
        if not self._plan.known:
            return given.values
        known = {name: known(message, received_us) for name, known in self._plan.known}
        return given.values | known

    def _look_closer(
        self,
        context: Context,
        given: OfTopic,
        extra: dict[str, Any],
        next_seq: Callable[[], int],
        records: list[bytes],
        wanted: Container[int] | None = None,
    ) -> Sequence[Fault]:
        """Judge each record by itself: those that fit are appended, the others explained."""
        message = context.message
        arrival = Arrival(
            context.topic, context.received_us, message.dup, not message.qos, context.is_replay
        )
        faults = Faults(self.faults_max)
        try:
            frames = self._elements.of(context, self._plan.decoder.decode(message.payload, arrival))
            for position, frame in frames:
                if wanted is not None and (position or 0) not in wanted:
                    continue
                try:
                    row = self._row(frame, given, extra, context.received_us)
                except MisfitError as misfit:
                    fault = Fault(
                        misfit.kind, str(misfit), misfit.column, position, value=misfit.value
                    )
                    faults.add(fault)
                    continue
                if row is not None:
                    self._complete(row, extra, next_seq)
                    records.append(self._new(**row).SerializeToString())
        except DecodeError as error:
            return (Fault("undecodable", str(error)),)
        return faults.bounded()

    def _row(
        self, frame: Frame | Bad, given: OfTopic, extra: dict[str, Any], received_us: int
    ) -> dict[str, Any] | None:
        """The values of a record; None when it is not wanted."""
        plan = self._plan
        if isinstance(frame, Bad):
            raise MisfitError(frame.kind, frame.reason)
        if plan.holds is not None and not plan.holds(frame):
            return None
        if plan.wants_keys and not isinstance(frame.element, dict | list | None):
            raise bad(frame.element, "an object: columns have paths inside it")
        row: dict[str, Any] = {}
        column = ""
        try:
            for column, get, convert, feed in self._feeds:
                value = get(frame)
                if value is not None:
                    value = convert(value)
                if value is None:
                    value = feed.otherwise(given, extra)
                if value is not None:
                    row[column] = value
        except MisfitError as misfit:
            raise misfit.of(column) from None
        if plan.used_keys is not None:
            element = frame.element if isinstance(frame.element, dict) else _EMPTY
            self._take_rest(element, plan.used_keys, row)
        if plan.window is not None:
            plan.window.check(row, received_us, self._required)
        return row

    def _take_rest(
        self, element: dict[str, Any], used_keys: frozenset[str], row: dict[str, Any]
    ) -> None:
        """Keep or count the keys that no column takes."""
        plan = self._plan
        unknown = element.keys() - used_keys
        if plan.rest is None:
            self.unknown_keys += len(unknown)
        elif unknown:
            others = {key: value for key, value in element.items() if key in unknown}
            try:
                row[plan.rest.column] = plan.rest.convert(others)
            except MisfitError as misfit:
                raise misfit.of(plan.rest.column) from None
        elif not plan.rest.nullable:
            raise missing().of(plan.rest.column)

    def _complete(
        self, row: dict[str, Any], extra: dict[str, Any], next_seq: Callable[[], int]
    ) -> None:
        """Add what the payload does not give, and the number of the record."""
        for name, value in extra.items():
            if row.get(name) is None:
                row[name] = value
        if self.wants_seq:
            row.update(dict.fromkeys(self._plan.seq_columns, next_seq()))

    def _remember(self, topic: str, captures: dict[str, str]) -> OfTopic:
        """Read what the topic itself gives, once for all its messages."""
        values: dict[str, Any] = {}
        misfits: dict[str, tuple[str, str]] = {}
        for feed in self._plan.feeds:
            if feed.given is None:
                continue
            value = feed.given(captures, topic)
            try:
                if value is not None:
                    value = feed.convert(value)
                if value is not None or (value := feed.default) is not None:
                    values[feed.column] = value
                elif not feed.nullable:
                    raise missing()
            except MisfitError as misfit:
                misfits[feed.column] = (misfit.kind, str(misfit))
        simple = not (misfits or self._plan.known or self.wants_seq or self._plan.window)
        one = self._fast.one if self._fast and simple else None
        given = OfTopic(captures, values, misfits, tuple(values.items()), one)
        if len(self._given) >= TOPICS_MAX:
            self._given.clear()
        if len(topic) <= TOPIC_SIZE_MAX:
            self._given[topic] = given
        return given


def _nothing(_: Frame) -> None:
    return None
