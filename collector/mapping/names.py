"""The names that follow `$` in a station: captures, what is known of messages and of elements."""

from difflib import get_close_matches
from typing import Any, Final

from collector.config.vocabulary import Words
from collector.mapping.coerce import coercion
from collector.mapping.conversion import Defaults
from collector.mapping.known import KNOWN, NAMES, PROPERTY, TYPES, Known, text_known
from collector.mapping.misfit import MisfitError
from collector.mapping.moments import moment_column
from collector.mapping.plan import Given
from collector.mapping.sources import Get, outer
from collector.mapping.times import moment_of
from collector.model import Message
from collector.tables import Column, DeltaType

NESTED: Final = ("ARRAY", "MAP", "STRUCT")
STEPS: Final = (
    "match", "bytes", "unpack", "null_if", "map", "time", "zone", "scale", "offset", "decimal",
    "fields", "lenient",
)  # fmt: skip
"""The words of steps."""


class SourceError(ValueError):
    """A line of `columns` that can't be; `hint` says what to do."""

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


class Names:
    """What the names of a station mean; `known` and `seq_columns` are columns without a feed.

    `depth` is how many elements a `..` may lead out of: none without `each`.
    """

    def __init__(
        self, captures: frozenset[str], gateway: str, defaults: Defaults, *, depth: int
    ) -> None:
        self.captures = captures
        self.depth = depth
        self.known: list[tuple[str, Known]] = []
        self.seq_columns: list[str] = []
        self._gateway = gateway
        self._defaults = defaults

    def is_known(self, column: Column, words: Words, name: str) -> bool:
        """Whether the column is fed by the message itself, by a value of its own type."""
        if name in NAMES and name in self.captures:
            text = f"${name} has a meaning of its own: call the captured level something else"
            raise SourceError(text)
        if name not in TYPES:
            return False
        if column.delta.name not in TYPES[name]:
            types = ", ".join(TYPES[name])
            raise SourceError(f"${name} can't become {column.delta}", f"it fits {types}")
        own = {"zone"} if name == "received" and column.delta.name != "TIMESTAMP" else set()
        if steps := [one for one in (*STEPS, "default") if words.says(one) and one not in own]:
            raise SourceError(f"${name} is of the column's type already: {steps[0]} has no effect")
        if name == "seq":
            self.seq_columns.append(column.name)
        elif name == "received" and column.delta.name in ("DATE", "TIMESTAMP_NTZ"):
            self.known.append((column.name, self._received(column, words)))
        else:
            self.known.append((column.name, KNOWN[name][column.delta.name]))
        return True

    def _received(self, column: Column, words: Words) -> Known:
        """The wall's date or time when a message arrived, by the zone of the column."""
        keep = moment_column(column.delta.name, self._defaults.place(words))

        def received(_message: Message, received_us: int) -> Any:
            moment = moment_of(received_us)
            return None if moment is None else keep(moment)

        return received

    def given(self, delta: DeltaType, name: str) -> Given | None:
        """What the topic gives by this name; None when something else does."""
        if name in self.captures:
            if delta.name in NESTED:
                raise SourceError(f"${name} is text and can't become {delta}")
            return capture(name)
        if name == "topic":
            return lambda _, topic: topic
        if name == "gateway":
            try:
                coercion(delta)(self._gateway)
            except MisfitError as misfit:
                text = f"the name of the gateway, {self._gateway}: {misfit}"
                raise SourceError(text) from None
            return lambda _captures, _topic: self._gateway
        return None

    def getter(self, name: str, up: int = 0) -> Get:
        """What reads a name among other sources."""
        if name in self.captures and name not in NAMES:
            return lambda frame: frame.context.captures.get(name)
        if name in ("key", "index"):
            if not self.depth:
                raise SourceError(f"${name} is of an element: the station has no `each`")
            self.check_up(up + 1)
            if name == "key":
                return lambda frame: outer(frame, up).key
            return lambda frame: outer(frame, up).index
        if name == "topic":
            return lambda frame: frame.context.topic
        if name == "gateway":
            return lambda _: self._gateway
        if name == "received":
            return lambda frame: moment_of(frame.context.received_us)
        if name == "seq":
            raise SourceError("$seq can only be a column of its own")
        known = text_known(name) or (KNOWN[name].get("BOOLEAN") or KNOWN[name].get("BIGINT")
                                     if name in KNOWN else None)  # fmt: skip
        if known is None:
            raise self._uncaptured(name)
        read = known
        return lambda frame: read(frame.context.message, frame.context.received_us)

    def _uncaptured(self, name: str) -> SourceError:
        known = sorted({*self.captures, *NAMES, PROPERTY + "NAME"})
        near = get_close_matches(name, known, 1)
        hint = f"did you mean ${near[0]}?" if near else f"there are ${', $'.join(known)}"
        return SourceError(f"${name} is not captured by every topic filter of the station", hint)

    def check_up(self, up: int) -> None:
        """Raise SourceError where `..` leads out of the message."""
        if not self.depth:
            raise SourceError(".. leads out of an element: the station has no `each`")
        if up > self.depth:
            raise SourceError(f".. leads out of the message: `each` is {self.depth} levels deep")


def capture(name: str) -> Given:
    """What reads a captured level of the topic."""
    return lambda captures, _: captures.get(name)
