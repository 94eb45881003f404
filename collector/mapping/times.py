"""Times as text and numbers to what Delta keeps: microseconds and days since 1970.

ISO 8601 is read narrowly, the same on every Python version: calendar dates with hyphens, hours and
minutes with colons, a fraction of any length of which six digits count. A pattern is read as
`strptime` does.

A wall time that occurs twice, when clocks go back, is the first of the two; one that does not
occur, when they go forward, is taken by the offset before the change. Both are what PEP 495 calls
fold 0: a device with such a time is better off an hour wrong than lost.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from collector.config.vocabulary import Zone

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_WALL_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - wall times have no zone.
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_MICROSECOND: Final = timedelta(microseconds=1)
_CACHED: Final = 1_024
# Digits of a fraction behind the sixth, which strptime does not read.
_FINER: Final = re.compile(r"(?<=[.,][0-9]{6})[0-9]+")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]"
    r"((?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]+)?)?)"
    r"(?: ?(?:([Zz])|([+-](?:0[0-9]|1[0-9]|2[0-3]))(?::?([0-5][0-9]))?))?"
)

Parse = Callable[[str], datetime | None]
"""Reads a text as a point in time, or as a wall time without a zone; None when it is neither."""


def parse_iso(text: str) -> datetime | None:
    """Read ISO 8601, with or without an offset."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    day, clock, utc, hours, minutes = match.groups()
    # Fifteen characters are hh:mm:ss.ffffff; finer digits are cut off.
    moment = f"{day}T{clock[:15].replace(',', '.')}"
    if utc is not None:
        moment += "+00:00"
    elif hours is not None:
        moment += f"{hours}:{minutes or '00'}"
    try:
        return datetime.fromisoformat(moment)
    except ValueError:
        return None


def parse_day(text: str) -> datetime | None:
    """Read a calendar date as its midnight, or a time."""
    if not _DATE.fullmatch(text):
        return parse_iso(text)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def pattern_parser(pattern: str, zone: Zone | None) -> Parse:
    """Return what reads a `strptime` pattern; with `%Z` at its end the zone's letters decide."""
    plain = pattern.removesuffix("%Z")
    letters = None
    if isinstance(zone, Mapping) and plain != pattern:
        # The longest first: one may end like another.
        letters = {one: zone[one] for one in sorted(zone, key=len, reverse=True)}
    has_fraction = ".%f" in plain or ",%f" in plain

    # Messages that come together often have the same time; strptime is slow.
    @lru_cache(maxsize=_CACHED)
    def parse(text: str) -> datetime | None:
        found: tzinfo | None = None
        if letters is not None:
            letter = next((one for one in letters if text.endswith(one)), None)
            if letter is None:
                return None
            found, text = letters[letter], text.removesuffix(letter)
        if has_fraction:
            text = _FINER.sub("", text)
        try:
            # The pattern has an offset, or the zone gives one.
            moment = datetime.strptime(text, plain)  # noqa: DTZ007
        except ValueError:
            return None
        return moment if found is None else moment.replace(tzinfo=found)

    return parse


def microseconds_of(moment: datetime, zone: tzinfo | None) -> int | None:
    """Microseconds since 1970 of a point in time; a wall time needs a zone, else None."""
    if moment.tzinfo is None:
        if zone is None:
            return None
        moment = moment.replace(tzinfo=zone)
    try:
        return (moment - _EPOCH) // _MICROSECOND
    except OverflowError:
        return None


def wall_microseconds_of(moment: datetime, zone: tzinfo | None) -> int | None:
    """Microseconds since 1970 on the wall's clock; a point in time needs a zone, else None."""
    if moment.tzinfo is not None:
        if zone is None:
            return None
        try:
            moment = moment.astimezone(zone).replace(tzinfo=None)
        except OverflowError:
            return None
    return (moment - _WALL_EPOCH) // _MICROSECOND


def days_of(moment: datetime, zone: tzinfo | None) -> int:
    """Days since 1970 of the date that a wall shows then; without a zone that of UTC."""
    if moment.tzinfo is not None:
        with suppress(OverflowError):
            moment = moment.astimezone(zone or UTC)
    return moment.toordinal() - _EPOCH_DAY


def moment_of(microseconds: int) -> datetime | None:
    """The point in time of microseconds since 1970; None beyond the years 1 to 9999."""
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return None


def iso_of(microseconds: int) -> str:
    """The point in time as text, in UTC with six digits."""
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
