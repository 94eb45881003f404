"""The payload formats: one file each, found by its name in the configuration.

A format is a module with `Options`, the keys that a station may give it under the format's name,
`MEDIA_TYPES`, by which a body of HTTP says that it is of this format, and
`compile(options, schema)`, which gives a `Decoder`. What decodes is plain values (dict, list,
str, bytes, int, float, Decimal, bool, None, aware datetime, date) or `Records`; what does not
raises `collector.model.DecodeError` and nothing else, whatever the bytes. A format knows nothing of
stations and columns. A hyphen in a name is an underscore in the file's. What several formats share
is in `shared/`.
"""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from collector.formats.shared.memory import Memory
from collector.model import Arrival

if TYPE_CHECKING:
    from collector.tables import Schema

Decode = Callable[[bytes, Arrival], object]


class FormatOptions(BaseModel):
    """The options of a format; those that have none take this as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Bad:
    """A record that can't be read, among others that can: `kind` is that of its dead letter."""

    kind: str
    reason: str


class Records(list[Any]):
    """The records of a payload that may hold several, in their order.

    Each is a value, a `Bad`, or None where a record stands that gives no row: the positions count.
    """


Request = tuple[str, bytes]
"""A message for the broker: its topic and payload."""


@dataclass(frozen=True, slots=True)
class Decoder:
    """A format, ready to read payloads; not for several threads.

    `memory` is what a format keeps from one message to the next, if it does: it is saved by the
    commit of the records that were read with it. `requests` gives the messages that the format
    wants to be published since the last call. `keys` are all that a record may have at its top, if
    the format or its options fix them; none for values without keys.
    """

    decode: Decode
    memory: Memory[str] | None = None
    requests: Callable[[], list[Request]] | None = None
    keys: frozenset[str] | None = None


@cache
def names() -> tuple[str, ...]:
    """The formats there are."""
    modules = (one.name for one in pkgutil.iter_modules(__path__) if not one.ispkg)
    return tuple(sorted(name.replace("_", "-") for name in modules))


def options_of(name: str) -> type[FormatOptions]:
    """The options that a format takes; raises ValueError when there is no such format."""
    options: type[FormatOptions] = _load(name).Options
    return options


def media_types(name: str) -> tuple[str, ...]:
    """The types by which HTTP names a format; bytes that nobody names may be of any."""
    types: tuple[str, ...] = _load(name).MEDIA_TYPES
    return (*types, "application/octet-stream")


def compile(name: str, options: FormatOptions, schema: "Schema") -> Decoder:  # noqa: A001
    """Make a format ready for the payloads of a table's station.

    Raises:
        ValueError: the options don't fit each other, or the schema.
    """
    decoder: Decoder = _load(name).compile(options, schema)
    return decoder


def _load(name: str) -> ModuleType:
    known = names()
    if name not in known:
        raise ValueError(f"there is no format {name!r}; known are {', '.join(known)}")
    return import_module(f"{__name__}.{name.replace('-', '_')}")
