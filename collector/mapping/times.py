"""ISO 8601 text to the numbers that Delta keeps: microseconds and days since 1970.

A narrow reading of the standard, the same on every Python version: calendar dates with hyphens,
hours and minutes with colons, a fraction of any length of which six digits count.
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_MICROSECOND: Final = timedelta(microseconds=1)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]"
    r"((?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]+)?)?)"
    r"(?: ?(?:([Zz])|([+-](?:0[0-9]|1[0-9]|2[0-3]))(?::?([0-5][0-9]))?))?"
)


def microseconds_of(text: str, *, zoned: bool) -> int | None:
    """Microseconds since 1970 of a point in time, or of a wall time; None when it is neither.

    `zoned` wants Z or an offset; without it the text must have neither, as it would be lost.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    day, clock, utc, hours, minutes = match.groups()
    if (utc is not None or hours is not None) != zoned:
        return None
    offset = f"{hours}:{minutes or '00'}" if hours else "+00:00"
    # Fifteen characters are hh:mm:ss.ffffff; finer digits are cut off.
    moment = f"{day}T{clock[:15].replace(',', '.')}{offset}"
    try:
        return (datetime.fromisoformat(moment) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return None


def days_of(text: str) -> int | None:
    """Days since 1970 of a calendar date; None when it is none."""
    if not _DATE.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text).toordinal() - _EPOCH_DAY
    except ValueError:
        return None


def iso_of(microseconds: int) -> str:
    """The point in time as text, in UTC with six digits."""
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
