"""Text with a record per line: line protocol, pairs of names and values, separated fields."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any, Final

from collector.discover.moments import pattern_of
from collector.formats import Bad, Records
from collector.mapping.numbers import NUMBER

_NAME: Final = re.compile(r"[^\W\d][\w .\-/%°\[\]]{0,40}")
_COMMA_NUMBER: Final = re.compile(r"[+-]?[0-9]+,[0-9]+")
_SEPARATORS: Final = (";", "\t", "|", ",", " ")
_FIELD_MAX: Final = 64
_WIDTH_MAX: Final = 200


def pair_options() -> Iterator[dict[str, Any]]:
    """The ways to write pairs, the usual one first."""
    yield {}
    for equals, separators in (("=", "&,;|"), (":", ",;| ")):
        for separator in separators:
            yield {"separator": separator, "equals": equals}


def is_influx(records: Records) -> bool:
    """Whether all records are points; a measurement with = in it is a pair instead."""
    return bool(records) and all(
        isinstance(one, dict) and "=" not in str(one.get("measurement")) for one in records
    )


def is_pairs(records: Records, least: int) -> bool:
    """Whether all records have names that look like names, so many at least."""
    return bool(records) and all(
        not isinstance(one, Bad) and len(one) >= least and all(map(_NAME.fullmatch, one))
        for one in records
    )


@dataclass(frozen=True, slots=True)
class Separated:
    """Lines with fields: what stands between them, and what they are called."""

    separator: str
    width: int
    good: int
    lines: int
    names: tuple[str, ...]
    header: bool

    def options(self) -> dict[str, Any]:
        """The options of the format."""
        options: dict[str, Any] = {} if self.separator == "," else {"separator": self.separator}
        return options | ({"header": True} if self.header else {"columns": self.names})


def separated(texts: Sequence[str], enough: float) -> Separated | None:
    """Say how lines are separated; None when they are not."""
    if all(_COMMA_NUMBER.fullmatch(text.strip()) for text in texts):
        return None  # One number with a decimal comma.
    for separator in _SEPARATORS:
        payloads = [_rows(text, separator) for text in texts]
        rows = [row for payload in payloads for row in payload]
        if not rows:
            continue
        width, good = Counter(map(len, rows)).most_common(1)[0]
        fitting = [row for row in rows if len(row) == width]
        if not 2 <= width <= _WIDTH_MAX or good < enough * len(rows):
            continue
        header = _header(payloads)
        if header:
            fitting = [row for row in fitting if row != list(header)]
        if _is_table(fitting, separator):
            names = header or _names(fitting, width)
            return Separated(separator, width, good, len(rows), names, bool(header))
    return None


def _rows(text: str, separator: str) -> list[list[str]]:
    try:
        read = csv.reader(StringIO(text, newline=""), delimiter=separator)
        return [row for row in read if any(field.strip() for field in row)]
    except csv.Error:
        return []


def _is_table(rows: Sequence[Sequence[str]], separator: str) -> bool:
    """Whether fields are short and some of them numbers: prose has commas and blanks too."""
    if not rows or any(len(field) > _FIELD_MAX for row in rows for field in row):
        return False
    numbers = [sum(_is_number(field) for field in row) for row in rows]
    if separator == " ":
        return all(count == len(row) for count, row in zip(numbers, rows, strict=True))
    return sum(map(bool, numbers)) * 2 >= len(rows)


def _is_number(field: str) -> bool:
    text = field.strip()
    return NUMBER.fullmatch(text) is not None or _COMMA_NUMBER.fullmatch(text) is not None


def _header(payloads: Sequence[Sequence[Sequence[str]]]) -> tuple[str, ...]:
    """The names in the first line of each payload; none when they are not the same names."""
    firsts = {tuple(payload[0]) for payload in payloads if payload}
    first = next(iter(firsts), ())
    if len(firsts) != 1 or all(len(payload) < 2 for payload in payloads):
        return ()
    is_header = all(map(_NAME.fullmatch, first)) and len(set(first)) == len(first)
    return first if is_header else ()


def _names(rows: Sequence[Sequence[str]], width: int) -> tuple[str, ...]:
    """What fields without a header are called: by what stands in them, or by their place."""
    names: list[str] = []
    for place in range(width):
        found = pattern_of([row[place].strip() for row in rows[:50] if row[place].strip()])
        name = found.noun if found else ""
        names.append(name if name and name not in names else f"field_{place + 1}")
    return tuple(names)
