"""Words that mean yes and no, words that mean nothing, numbers that mean no value."""

from collections.abc import Collection, Sequence
from decimal import Decimal
from statistics import median
from typing import Any, Final

_PAIRS: Final = (
    ("on", "off"), ("yes", "no"), ("open", "closed"), ("online", "offline"), ("up", "down"),
    ("enabled", "disabled"), ("active", "inactive"), ("running", "stopped"), ("locked", "unlocked"),
    ("connected", "disconnected"), ("occupied", "clear"), ("occupied", "free"), ("wet", "dry"),
    ("detected", "clear"), ("present", "absent"), ("ok", "fault"), ("alive", "dead"), ("an", "aus"),
    ("ja", "nein"), ("true", "false"), ("open", "close"), ("high", "low"), ("run", "stop"),
)  # fmt: skip
_CLEAR: Final = frozenset({"on", "off", "yes", "no", "online", "offline", "true", "false"})
_NOTHING: Final = frozenset(
    {
        "", "-", "--", "---", "n/a", "na", "nan", "null", "nil", "none", "unknown", "unavailable",
        "undefined", "error", "err", "invalid", "?", "inf", "-inf", "fault", "no data", "nodata",
    }
)  # fmt: skip
_NO_VALUE: Final = frozenset(
    {
        -999, -9999, -99999, 999, 9999, 99999, 999999, -127, 85, 65535, 32767, -32768, 6553.5,
        3276.7, -3276.8, 655.35, 327.67, -327.68, 2147483647, -2147483648, 4294967295, -999.9,
        999.9, -99.9, 99.99, -99, -88.8, -273.15, -1000, 1e20, -1e20,
    }
)  # fmt: skip
_OF_PROBES: Final = frozenset({85, -127, -273.15})
APART: Final = 3
"""A number that means no value is so many times further from the others than they are spread."""
OTHERS_MIN: Final = 3
"""It takes so many other values to say that a number stands apart."""


def pair_of(words: Collection[str]) -> dict[str, bool] | None:
    """The words of a pair with their meaning, in the case that was heard; None when they are none.

    Some words say which pair they belong to while the other has not been heard.

    >>> pair_of(["ON"]), pair_of(["Open", "Closed"]), pair_of(["open"]), pair_of(["on", "auto"])
    ({'ON': True, 'OFF': False}, {'Open': True, 'Closed': False}, None, None)
    """
    lowered = {word.lower() for word in words}
    for yes, no in _PAIRS:
        if lowered <= {yes, no} and (len(lowered) == 2 or lowered <= _CLEAR):
            cases = [_case_of(word) for word in words]
            meant = {case(word): word == yes for word in (yes, no) for case in cases}
            # What was heard is among them, whatever its case.
            return meant | {word: word.lower() == yes for word in words}
    return None


def _case_of(word: str) -> Any:
    if word.isupper():
        return str.upper
    return str.capitalize if word[:1].isupper() else str.lower


def is_blank(text: str) -> bool:
    """Whether a text is no word at all, or says by convention that there is none."""
    return text.lower() in {"n/a", "null", "nan"} or (bool(text) and not text.strip("-"))


def is_nothing(text: str) -> bool:
    """Whether a word stands where a value should and means that there is none."""
    return text.strip().lower() in _NOTHING


def sentinels(
    numbers: Sequence[int | float | Decimal], *, is_temperature: bool = True
) -> list[int | float | Decimal]:
    """The numbers that look like a sign for no value and stand apart from all others.

    Some mean that only where a temperature is measured.

    >>> sentinels([21.5, 22.0, -127, 21.7]), sentinels([80, 85, 90, 70]), sentinels([999, 999])
    ([-127], [], [])
    """
    signs = _NO_VALUE if is_temperature else _NO_VALUE - _OF_PROBES
    odd = sorted({_whole(number) for number in numbers if number in signs or _is_stuck(number)})
    others = [float(number) for number in numbers if number not in odd]
    if not odd or len(others) < OTHERS_MIN:
        return []
    low, high = min(others), max(others)
    room = max(APART * (high - low), abs(median(others)) * 0.5, 10)
    return [one for one in odd if not low - room <= float(one) <= high + room]


def _whole(number: float | Decimal) -> int | float | Decimal:
    return int(number) if number == int(number) else number


def _is_stuck(number: float | Decimal) -> bool:
    """Whether it is one digit nine over and over, as -9999.0 or 99.9."""
    digits = str(abs(number)).replace(".", "").rstrip("0").lstrip("0")
    return len(digits) >= 3 and set(digits) == {"9"}
