"""Times, by how they are written and by what they can plausibly be."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from collector.mapping.times import parse_day, parse_iso, pattern_parser

_PATTERNS: Final = (
    "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M",
    "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M",
    "%d-%m-%Y %H:%M:%S", "%Y%m%dT%H%M%S", "%Y%m%d%H%M%S", "%a %b %d %H:%M:%S %Y",
)  # fmt: skip
_DAYS: Final = ("%d.%m.%Y", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y")
# A station reads a text by the same code.
_PARSERS: Final = {one: pattern_parser(one, None) for one in (*_PATTERNS, *_DAYS)}
_CLOCKS: Final = re.compile(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?")
_ISO_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NAMED: Final = re.compile(
    r"(^|[_\W])(ts|t|time|times?tamp|date|datetime|epoch|utc|at|when|since|until|clock)([_\W]|$)"
    r"|(time|stamp|[a-z]At|Ts|Time)$|_(ms|us|ns)$"
)
_UNITS: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_WORDS: Final = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_FROM: Final = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())
_UNTIL: Final = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())
_NEAR_S: Final = 86_400
"""A number whose name says nothing is a time when it lies so near to its arrival."""
_COUNTED: Final = re.compile(
    r"(^|_)(id|num|nr|no|number|count|counter|cnt|total|sum|seq|bytes|rx|tx|k?wh|meter)($|_)"
    r"|(Id|Num|Count|Counter|Total|Bytes)$"
)
"""Names of what is counted: no times, and their odd values are values."""
_DAY_FIRST_FROM: Final = 13


@dataclass(frozen=True, slots=True)
class Written:
    """How texts say a time: `delta` is the type, `word` that of `time`, empty when none is needed.

    `noun` is what a field of such texts is called; `is_clock` means a time of day alone.
    """

    delta: str
    word: str
    noun: str

    @property
    def is_clock(self) -> bool:
        """Whether it is a time of the day alone."""
        return self.noun == "clock"


def pattern_of(texts: Sequence[str]) -> Written | None:
    """Say how all of the texts write a time; None when they do not.

    >>> pattern_of(["03.03.2025"])
    Written(delta='DATE', word='%d.%m.%Y', noun='date')
    """
    if not texts:
        return None
    if all(_ISO_DAY.fullmatch(text) and parse_day(text) for text in texts):
        return Written("DATE", "iso", "date")
    moments = [parse_iso(text) for text in texts]
    if all(moments):
        offsets = {moment is not None and moment.tzinfo is not None for moment in moments}
        if len(offsets) == 1:
            return Written("TIMESTAMP" if True in offsets else "TIMESTAMP_NTZ", "iso", "time")
        return None
    if all(_CLOCKS.fullmatch(text) for text in texts):
        return Written("STRING", "", "clock")
    for delta, noun, patterns in (("TIMESTAMP_NTZ", "time", _PATTERNS), ("DATE", "date", _DAYS)):
        fitting = [one for one in patterns if all(map(_PARSERS[one], texts))]
        # A day and a month that could change places are not told apart by guessing.
        if len(fitting) == 1:
            return Written(delta, fitting[0], noun)
    return None


def epoch_unit(name: str, numbers: Sequence[int | float | Decimal], received_us: int) -> str:
    """The unit in which all numbers are plausible times; empty when they are none.

    Zero stands for a clock that was not set yet, if other numbers are times.
    """
    known = [number for number in numbers if number]
    if not known:
        return ""
    arrival = received_us / 1e6
    for unit, per_second in _UNITS.items():
        seconds = [float(number) / per_second for number in (min(known), max(known))]
        if not all(_FROM <= one <= _UNTIL for one in seconds):
            continue
        near = all(abs(one - arrival) <= _NEAR_S for one in seconds)
        if _NAMED.search(name) or (near and not is_counted(name)):
            return unit
    return ""


def is_counted(name: str) -> bool:
    """Whether a name is that of a count.

    >>> is_counted("total_wh"), is_counted("bytesTotal"), is_counted("temp")
    (True, True, False)
    """
    return _COUNTED.search(name) is not None


def per_second(unit: str) -> int:
    """How many of a unit a second has."""
    return _UNITS[unit]


def unit_words(unit: str) -> str:
    """The unit in full."""
    return _WORDS[unit]


def ahead_of_utc(texts: Sequence[str], arrivals_us: Sequence[int], pattern: str) -> str:
    """How far wall times were ahead of UTC when they arrived, in words; empty when that varies."""
    differences: list[float] = []
    for text, arrival in zip(texts, arrivals_us, strict=True):
        # A wall time has no zone: that is what is looked for.
        read = parse_iso if pattern == "iso" else _PARSERS[pattern]
        moment = read(text)
        if moment is None:
            return ""
        came = datetime(1970, 1, 1) + timedelta(microseconds=arrival)  # noqa: DTZ001
        differences.append((moment - came).total_seconds() / 900)
    quarters = {round(one) for one in differences}
    if len(quarters) != 1 or any(abs(one - round(one)) > 0.2 for one in differences):
        return ""
    hours, quarter = divmod(abs(quarters.pop()), 4)
    if hours > 14:
        return ""
    sign = "+" if differences[0] > -0.5 else "-"
    return f"{sign}{hours:02}:{quarter * 15:02}"
