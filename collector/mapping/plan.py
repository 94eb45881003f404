"""What is known of a station's mapping before any message: the parts that `Mapping` works with."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from collector.formats import Decoder
from collector.mapping.coerce import missing
from collector.mapping.conditions import Holds
from collector.mapping.fast import FastJson, Values
from collector.mapping.known import Known
from collector.mapping.misfit import MisfitError
from collector.mapping.sources import Get, Walk
from collector.mapping.steps import Step
from collector.mapping.window import Window
from collector.tables import Column, Schema

Given = Callable[[dict[str, str], str], Any]
"""What the captures and the topic give for a column."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A column and what feeds it: a source in the message, else what its topic gives, or both.

    `path` is the source where it is a plain path, `is_stepped` whether there are steps on its value
    beside the type; `default` stands for NULL.
    """

    column: str
    nullable: bool
    convert: Step
    get: Get | None = None
    given: Given | None = None
    default: Any = None
    path: tuple[str, ...] | None = None
    is_stepped: bool = False

    def otherwise(self, given: "OfTopic", extra: Mapping[str, Any]) -> Any:
        """What stands for NULL; raises MisfitError where nothing may."""
        if self.default is not None:
            return self.default
        if self.column in given.misfits:
            raise MisfitError(*given.misfits[self.column])
        if not self.nullable and self.column not in extra:
            raise missing()
        return None


class PlainPath(NamedTuple):
    """A column and its place in the payload; a plain one has no steps on its value.

    A required one must be there, unless the topic gives it.
    """

    column: Column
    parts: tuple[str, ...]
    is_plain: bool
    is_required: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A station's mapping, compiled.

    `known` and `seq_columns` are fed by the message itself and by its record's number. `walk` gives
    the elements of `each`, `holds` says which of them are wanted. `used_keys` are the keys of an
    element that a column takes, or None when a column takes all; `rest` is the column for the
    others. With `is_whole` a payload that is a list is one record, because a path counts its
    members; with `takes_scalars` a record need be neither object nor list. With `wants_keys` an
    element of `each` that has none is a misfit.
    """

    station: str
    schema: Schema
    decoder: Decoder
    fast: FastJson | None
    feeds: tuple[Feed, ...]
    known: tuple[tuple[str, Known], ...]
    seq_columns: tuple[str, ...]
    walk: Walk | None
    holds: Holds | None
    used_keys: frozenset[str] | None
    rest: Feed | None
    window: Window | None
    is_whole: bool
    takes_scalars: bool
    wants_keys: bool
    drops_retained: bool

    def paths(self) -> Iterator[PlainPath]:
        """Yield the columns that are fed from one place in the payload each."""
        columns = {one.name: one for one in self.schema.columns}
        for feed in self.feeds:
            if feed.path:
                required = not feed.nullable and feed.default is None
                column = columns[feed.column]
                yield PlainPath(column, feed.path, not feed.is_stepped, required)


@dataclass(frozen=True, slots=True)
class OfTopic:
    """What a topic gives, by column: values, and why others can't be used.

    `one` reads a plain payload of this topic, and `late` is then all there is to add; it is None
    where that would not do.
    """

    captures: dict[str, str]
    values: dict[str, Any]
    misfits: dict[str, tuple[str, str]]
    late: tuple[tuple[str, Any], ...]
    one: Callable[[bytes], Values] | None
