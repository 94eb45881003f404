"""Values as text: numbers as they print, times as ISO 8601, and anything as JSON."""

import base64
import json
import math
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from collector.formats.shared.numbers import DIGITS_MAX
from collector.mapping.misfit import MisfitError, bad, shown
from collector.mapping.times import iso_of, microseconds_of


def variant(value: Any) -> str:
    """Any value, as compact JSON text; a number keeps the digits that were sent."""
    try:
        text = _ENCODER.encode(value)
    except (ValueError, TypeError, RecursionError):
        raise MisfitError("bad_value", f"{shown(value)} can't be written as JSON", value) from None
    if _MARK in text:
        text = text.replace(f'"{_MARK}', "").replace(f'{_MARK}"', "")
    return text


def written(value: float | Decimal) -> str:
    """A number as it prints; raises MisfitError for one that is none."""
    if isinstance(value, int) and value.bit_length() > 14_000:
        raise MisfitError("out_of_range", f"{shown(value)} is too long for text", value)
    if isinstance(value, int) or math.isfinite(value):
        return str(value)
    raise bad(value, "a finite number")


def microseconds(moment: datetime) -> int:
    """A point in time in microseconds since 1970; raises MisfitError for a wall time."""
    found = microseconds_of(moment, None)
    if found is None:
        raise bad(moment, "a point in time: it has no offset")
    return found


def _as_json(value: Any) -> float | str:
    """What JSON has no word for; a number whose digits a float would lose, as a marked text."""
    if isinstance(value, datetime):
        return iso_of(microseconds(value)) if value.tzinfo else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if not isinstance(value, Decimal):
        raise TypeError
    number = float(value)
    is_exact = not math.isfinite(number) or len(value.as_tuple().digits) <= DIGITS_MAX
    return number if is_exact else f"{_MARK}{value}{_MARK}"


# Half of a surrogate pair stands in no text that a format gives.
_MARK: Final = "\ud800"
_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_as_json
)
