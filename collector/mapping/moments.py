"""Values to the columns that hold a point in time, a wall time or a date.

Without the word `time`, ISO 8601 text of the column's own kind and the number that Delta keeps for
it fit. With it, the value is what the word says, and the column takes of it what it holds.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, tzinfo
from typing import Any, Final

from collector.config.vocabulary import EPOCHS, Zone
from collector.mapping.misfit import bad, too_large
from collector.mapping.numbers import BLANKS, ratio
from collector.mapping.times import (
    Parse,
    days_of,
    iso_of,
    microseconds_of,
    moment_of,
    parse_day,
    parse_iso,
    pattern_parser,
    wall_microseconds_of,
)

Coerce = Callable[[Any], Any]

BIGINT: Final = (-(1 << 63), (1 << 63) - 1)
DAYS: Final = (-719_162, 2_932_896)
"""A date ends where a calendar of four-digit years does."""

_WANTED: Final = {
    "DATE": "a date such as 2025-03-03",
    "TIMESTAMP": "a time with Z or an offset, such as 2025-03-03T11:06:40Z",
    "TIMESTAMP_NTZ": "a time without an offset, such as 2025-03-03T11:06:40",
}
TIMED: Final = frozenset({"DATE", "TIMESTAMP", "TIMESTAMP_NTZ", "STRING", "BIGINT"})
"""The types that may take what `time` makes; text is ISO 8601 in UTC, BIGINT microseconds."""


def time_column(name: str, whole: Callable[[Any], int], zone: tzinfo | None) -> Coerce:
    """A DATE, TIMESTAMP or TIMESTAMP_NTZ without the word `time`."""
    parse = _parse_date if name == "DATE" else parse_iso
    wanted = _WANTED[name]
    finish, finish_moment = _finish(name, zone), moment_column(name, zone)

    def coerce(value: Any) -> int:
        if isinstance(value, str):
            moment = parse(value.strip(BLANKS))
            result = None if moment is None else finish(moment)
        elif isinstance(value, date):
            result = finish_moment(value)
        else:
            return whole(value)
        if result is None:
            raise bad(value, wanted)
        return int(result)

    return coerce


def moment_column(name: str, zone: tzinfo | None) -> Callable[[date], Any]:
    """What a column keeps of a point in time; None when it has no offset and the column no zone.

    Without a zone the wall is that of UTC.
    """
    finish, finish_aware = _finish(name, zone), _finish(name, zone or UTC)

    def keep(value: date) -> Any:
        moment = _midnight(value)
        return (finish if moment.tzinfo is None else finish_aware)(moment)

    return keep


def timed(name: str, word: str, zone: Zone | None) -> Coerce:
    """A column whose value is what the word `time` says."""
    place = zone if isinstance(zone, tzinfo) else None
    keep = moment_column(name, place)
    read = reading(word, zone, is_plain=name in ("TIMESTAMP", "BIGINT"))

    def coerce(value: Any) -> Any:
        moment = read(value)
        if isinstance(moment, int):
            return moment
        result = keep(moment)
        if result is None:
            raise bad(value, "complete: it has no offset, and the column no zone")
        return result

    return coerce


def reading(word: str, zone: Zone | None, *, is_plain: bool = False) -> Callable[[Any], Any]:
    """What reads a value by the word `time`, as a moment; `is_plain` allows microseconds instead.

    A value that is a time by itself, as CBOR and MessagePack have it, stays.
    """
    read: Callable[[Any], datetime | int | None]
    if word in EPOCHS:
        read, wanted = _epoch(word, is_plain=is_plain), "a time"
    else:
        parse: Parse = parse_day if word == "iso" else pattern_parser(word, zone)
        read, wanted = _text(parse), "a time" if word == "iso" else f"a time like {word}"

    def moment_of_value(value: Any) -> Any:
        moment = _midnight(value) if isinstance(value, date) else read(value)
        if moment is None:
            raise bad(value, wanted)
        return moment

    return moment_of_value


def zoned(zone: Zone | None) -> Callable[[datetime], datetime]:
    """What gives wall times their zone, if there is one."""
    place = zone if isinstance(zone, tzinfo) else None
    return lambda moment: moment.replace(tzinfo=moment.tzinfo or place)


def _text(parse: Parse) -> Callable[[Any], datetime | None]:
    def read(value: Any) -> datetime | None:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value) if abs(value) < BIGINT[1] else ""
        return parse(value.strip(BLANKS)) if isinstance(value, str) else None

    return read


def _epoch(word: str, *, is_plain: bool) -> Callable[[Any], datetime | int]:
    """What reads a number of seconds and the like; finer digits than microseconds are cut off."""
    factor = EPOCHS[word]
    times, over = factor.numerator, factor.denominator

    def read(value: Any) -> datetime | int:
        above, below = (value, 1) if type(value) is int else ratio(value)
        microseconds = int(above * times // (below * over))
        if not BIGINT[0] <= microseconds <= BIGINT[1]:
            raise too_large(value, "TIMESTAMP")
        if is_plain:
            return microseconds
        moment = moment_of(microseconds)
        if moment is None:
            raise too_large(value, "a calendar")
        return moment

    return read


def _finish(name: str, zone: tzinfo | None) -> Callable[[datetime], Any]:
    """From a moment to what the column keeps; None when it can't be said."""
    if name == "DATE":
        return lambda moment: days_of(moment, zone)
    if name == "TIMESTAMP_NTZ":
        return lambda moment: wall_microseconds_of(moment, zone)
    if name == "STRING":
        return lambda moment: _iso(microseconds_of(moment, zone))
    return lambda moment: microseconds_of(moment, zone)


def _iso(microseconds: int | None) -> str | None:
    return None if microseconds is None else iso_of(microseconds)


def _parse_date(text: str) -> datetime | None:
    return parse_day(text) if len(text) == len("2025-03-03") else None


def _midnight(value: date) -> datetime:
    return value if isinstance(value, datetime) else datetime.combine(value, time())
