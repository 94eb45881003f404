"""What a table may have that Zerobus can't take, and what can be done about it."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from collector.tables.types import KEYS, SCALARS, Column, DeltaType

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_SCALAR_NAMES: Final = frozenset(name for names in SCALARS.values() for name in names)

_DECIMAL: Final = (
    "make it a STRING, which keeps every digit, or a DOUBLE, and cast it in a view;"
    " docs/tables.md has an example"
)
_INTERVAL: Final = "make it a BIGINT in a unit of your choice, or a STRING"
_NESTED: Final = "make it a VARIANT, which takes any JSON, or an ARRAY of STRUCT"
_OTHER: Final = "make it a STRING or a VARIANT"


def untakable(columns: Iterable[Column], within: str = "") -> Iterator[tuple[str, str]]:
    """Columns and members that Zerobus can't take: the path of each, and why and what to do."""
    for column in columns:
        path = f"{within}{column.name}"
        if not _PLAIN.fullmatch(column.name):
            yield path, "is no name that Zerobus takes: ASCII letters, digits and underscores"
        yield from _type(path, column.delta)


def _type(path: str, delta: DeltaType) -> Iterator[tuple[str, str]]:
    if delta.name == "STRUCT":
        if not delta.fields:
            yield path, "is an empty STRUCT: give it a member"
        yield from untakable(delta.fields, f"{path}.")
    elif delta.name == "ARRAY" and delta.element is not None:
        if delta.element.name in {"ARRAY", "MAP"}:
            yield path, f"is {delta}: an ARRAY of {delta.element.name} can't be sent; {_NESTED}"
        else:
            yield from _type(path, delta.element)
    elif delta.name == "MAP" and delta.key is not None and delta.element is not None:
        if delta.key.name not in KEYS or delta.element.name not in _SCALAR_NAMES:
            text = "a MAP goes from a whole number, STRING or BOOLEAN to a plain type"
            yield path, f"is {delta}: {text}; {_NESTED}"
    elif delta.name not in _SCALAR_NAMES:
        yield path, f"is {delta}, which Zerobus does not take: {_way_out(delta.name)}"


def _way_out(name: str) -> str:
    if name.startswith("DECIMAL"):
        return _DECIMAL
    return _INTERVAL if name.startswith("INTERVAL") else _OTHER
