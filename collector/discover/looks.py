"""How a level of a topic or a key of an object looks: a word that means something, or an id."""

import re
from collections.abc import Iterable
from typing import Final

_DIGITS: Final = re.compile(r"[0-9]")
_VERSION: Final = re.compile(r"v?[0-9]+(\.[0-9]+)+|v[0-9]{1,2}", re.IGNORECASE)
# A digit between letters stands for a word: zigbee2mqtt, fan4you.
_PLAY: Final = re.compile(r"[a-z]+[24][a-z]+", re.IGNORECASE)
_SUBSTANCES: Final = frozenset(
    {"co2", "pm1", "pm25", "pm10", "pm4", "no2", "o3", "so2", "h2", "h2o", "nh3", "ch4", "o2"}
)
_HEX: Final = re.compile(r"(0x)?[0-9a-f]{6,}|[0-9a-f]{2}([:-][0-9a-f]{2}){3,}", re.IGNORECASE)
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_RUNS: Final = re.compile(r"[0-9A-Za-z]+")
_LONG_ID: Final = re.compile(r"[0-9A-Za-z]+([-_:.][0-9A-Za-z]+)*")


def is_id(text: str) -> bool:
    """Whether a level of a topic names one thing of many.

    >>> [is_id(text) for text in ("line3", "7", "a81758fffe0312ab", "zigbee2mqtt", "co2", "v1")]
    [True, True, True, False, False, False]
    """
    if _UUID.fullmatch(text) or _has_hex(text):
        return True
    if not _DIGITS.search(text) or text.lower() in _SUBSTANCES:
        return False
    return not (_VERSION.fullmatch(text) or _PLAY.fullmatch(text))


def is_strong_id(text: str) -> bool:
    """Whether a key can hardly be the name of a field: digits alone, hex, a UUID, a serial number.

    >>> [is_strong_id(text) for text in ("28-0316a2793bff", "17", "t1", "node_12", "1-0:1.8.0")]
    [True, True, False, False, False]
    """
    if text.isdigit() or _UUID.fullmatch(text) or _has_hex(text):
        return True
    runs = _RUNS.findall(text) if _LONG_ID.fullmatch(text) else []
    return any(len(run) >= 6 and len(_DIGITS.findall(run)) >= 3 for run in runs)


def is_serial(text: str) -> bool:
    """Whether a text is an id, and a long one.

    >>> is_serial("35001234567890"), is_serial("7"), is_serial("plant7")
    (True, False, False)
    """
    return len(text) >= 6 and is_strong_id(text)


def is_varying(values: Iterable[str]) -> bool:
    """Whether most of some levels name one thing of many."""
    looks = [is_id(value) for value in values]
    return sum(looks) * 2 > len(looks)


def _has_hex(text: str) -> bool:
    """Hex digits, among them at least one digit: `facade` is a word."""
    return _HEX.fullmatch(text) is not None and _DIGITS.search(text) is not None
