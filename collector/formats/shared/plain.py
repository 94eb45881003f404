"""What the binary formats share: limits, keys as paths name them, points in time."""

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Context, Decimal
from typing import Any, Final

from collector.model import DecodeError

DEPTH_MAX: Final = 100
SIZE_MAX: Final = 16 * 1024 * 1024

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Beyond the year 9999, and near enough to be made into a whole number.
_SECONDS_MAX: Final = 10**12
_CUT: Final = Context(prec=40, rounding=ROUND_DOWN)
_RFC_3339: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]((?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])"
    r"(?:\.([0-9]{1,6})[0-9]*)?(?:([Zz])|([+-](?:[01][0-9]|2[0-3]):[0-5][0-9]))"
)


def check_size(payload: bytes) -> None:
    """Raise DecodeError for a payload that is too large."""
    if len(payload) > SIZE_MAX:
        raise DecodeError(f"the payload is larger than {SIZE_MAX} bytes")


def text_key(key: Any) -> str:
    """The key of a map as the text by which a path reaches it; raises DecodeError."""
    if type(key) is str:
        return key
    if type(key) is bool:
        return "true" if key else "false"
    if type(key) is int:
        return str(key)
    raise DecodeError("a key of a map is neither text, a whole number nor a truth value")


def moment_of_seconds(seconds: float | Decimal) -> datetime:
    """The point in time so many seconds after 1970 began; finer digits than six are cut off.

    >>> moment_of_seconds(1741000000.25).isoformat()
    '2025-03-03T11:06:40.250000+00:00'
    """
    exact = Decimal(seconds) if isinstance(seconds, int) else Decimal(str(seconds))
    # A NaN is not smaller either, and compares without a signal when it is a quiet one.
    if exact.is_nan() or not abs(exact) < _SECONDS_MAX:
        raise DecodeError("a number of seconds is no point in time")
    try:
        return _EPOCH + timedelta(microseconds=int(exact.scaleb(6, _CUT)))
    except OverflowError as error:
        raise DecodeError("a point in time is beyond the years 1 to 9999") from error


def moment_of_text(text: str) -> datetime:
    """The point in time that an RFC 3339 text names; finer digits than six are cut off.

    >>> moment_of_text("2025-03-03T11:06:41.5000009Z").isoformat()
    '2025-03-03T11:06:41.500000+00:00'
    """
    match = _RFC_3339.fullmatch(text)
    if match is None:
        raise DecodeError("a text is no RFC 3339 date and time with an offset")
    day, clock, fraction, _, offset = match.groups()
    try:
        moment = datetime.fromisoformat(
            f"{day}T{clock}.{(fraction or '').ljust(6, '0')}{offset or '+00:00'}"
        )
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise DecodeError("a text names a date and time that there is not") from error
