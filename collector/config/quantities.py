"""Durations and sizes as people write them: `100ms`, `1.5s`, `7d`, `512 KiB`, `2GiB`.

Reads and writes text only; which bounds a key has is said where the key is declared. Numbers are
computed as decimals, so that `0.1s` and `100ms` are the same value.
"""

import re
from decimal import Decimal
from typing import Final

DURATION_UNITS: Final = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "min": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
SIZE_UNITS: Final = {
    "B": 1,
    "kB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "TiB": 1024**4,
}

_QUANTITY = re.compile(r"\s*([0-9]{1,24}(?:\.[0-9]{1,9})?)\s*([A-Za-z]*)\s*", re.ASCII)
_DURATIONS = DURATION_UNITS | {"m": Decimal(60), "sec": Decimal(1)}
_SIZES = {unit.lower(): factor for unit, factor in SIZE_UNITS.items()}


def parse_duration(text: str) -> float:
    """Seconds; only zero may stand without a unit, so that 100 is never taken for milliseconds.

    >>> parse_duration("100ms"), parse_duration("1.5 s"), parse_duration("7d")
    (0.1, 1.5, 604800.0)
    """
    number, unit = _split(text, "duration", "100ms, 1.5s, 10min, 2h or 7d")
    if not unit and number:
        raise ValueError(f"{text.strip()} has no unit: write {text.strip()}s or {text.strip()}ms")
    factor = _DURATIONS.get(unit or "s") or _DURATIONS.get(unit.lower())
    if factor is None:
        raise ValueError(f"{unit!r} is no unit of time: use {_listed(list(DURATION_UNITS))}")
    return float(number * factor)


def parse_size(text: str) -> int:
    """Bytes; a number without a unit is bytes. MB is a million, MiB is 1024 times 1024.

    >>> parse_size("2GiB"), parse_size("512 KiB"), parse_size("4MB"), parse_size("17")
    (2147483648, 524288, 4000000, 17)
    """
    number, unit = _split(text, "size", "64KiB, 4MB or 2GiB")
    factor = _SIZES.get(unit.lower() or "b")
    if factor is None:
        raise ValueError(f"{unit!r} is no unit of size: use {_listed(list(SIZE_UNITS))}")
    size = number * factor
    if size != int(size):
        raise ValueError(f"{text.strip()} is not a whole number of bytes")
    return int(size)


def format_duration(seconds: float) -> str:
    """A short text that `parse_duration` reads as the same duration.

    >>> format_duration(0.1), format_duration(90.0), format_duration(604800.0)
    ('100ms', '90s', '7d')
    """
    exact = Decimal(str(seconds))
    for unit, factor in reversed(DURATION_UNITS.items()):
        if exact >= factor and exact % factor == 0:
            return f"{int(exact / factor)}{unit}"
    return f"{exact / DURATION_UNITS['ms']:f}ms" if exact else "0s"


def format_size(size: int) -> str:
    """A short text that `parse_size` reads as the same size.

    >>> format_size(1048576), format_size(1000), format_size(0)
    ('1MiB', '1kB', '0B')
    """
    for unit in ("TiB", "GiB", "MiB", "KiB", "TB", "GB", "MB", "kB"):
        if size and size % SIZE_UNITS[unit] == 0:
            return f"{size // SIZE_UNITS[unit]}{unit}"
    return f"{size}B"


def _split(text: str, kind: str, examples: str) -> tuple[Decimal, str]:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no {kind}: write {examples}")
    return Decimal(match[1]), match[2]


def _listed(words: list[str]) -> str:
    return ", ".join(words[:-1]) + " or " + words[-1]
