"""What is known of a station's mapping before any message: the parts that `Mapping` works with."""

from collections.abc import Callable
from dataclasses import dataclass

from collector.formats import Decode
from collector.mapping.coerce import Coerce
from collector.mapping.fast import FastJson
from collector.mapping.sources import Known
from collector.tables import Schema

Given = Callable[[dict[str, str], str], str | None]
"""What the captures and the topic give for a column."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A column and what feeds it: a path into the record, else what its topic gives, or both."""

    column: str
    nullable: bool
    coerce: Coerce
    path: tuple[str, ...] | None = None
    given: Given | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A station's mapping, compiled.

    `known` and `seq_columns` are fed by the message itself and by its record's number. `used_keys`
    are the top-level keys that a column takes, or None when a column takes all. With `positional` a
    payload that is a list is one record, because a path counts its members.
    """

    station: str
    schema: Schema
    decode: Decode
    fast: FastJson | None
    feeds: tuple[Feed, ...]
    known: tuple[tuple[str, Known], ...]
    seq_columns: tuple[str, ...]
    used_keys: frozenset[str] | None
    positional: bool
