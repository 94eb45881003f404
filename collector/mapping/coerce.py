"""What fits a column: from a value of a payload to the value that protobuf takes, exactly.

One function per Delta type, built once. Each gives the value or raises `MisfitError`; none rounds,
cuts or guesses. Where the rules leave room they are read strictly: a boolean is no number and no
text.
"""

import base64
import binascii
import math
import re
from collections.abc import Callable
from datetime import datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from collector.mapping.misfit import MisfitError, bad, shown, too_large
from collector.mapping.moments import DAYS, time_column
from collector.mapping.numbers import BLANKS, NUMBER
from collector.mapping.times import iso_of
from collector.mapping.written import microseconds, variant, written
from collector.tables import Column, DeltaType

Coerce = Callable[[Any], Any]

WHOLE: Final[dict[str, tuple[int, int]]] = {
    "TINYINT": (-(1 << 7), (1 << 7) - 1),
    "SMALLINT": (-(1 << 15), (1 << 15) - 1),
    "INT": (-(1 << 31), (1 << 31) - 1),
    "BIGINT": (-(1 << 63), (1 << 63) - 1),
    # Days and microseconds.
    "DATE": DAYS,
    "TIMESTAMP": (-(1 << 63), (1 << 63) - 1),
    "TIMESTAMP_NTZ": (-(1 << 63), (1 << 63) - 1),
}
# What rounds to the largest FLOAT is one: it prints as 3.4028235e38, which is more.
REAL: Final[dict[str, float]] = {
    "FLOAT": math.nextafter(2.0**128 - 2.0**103, 0),
    "DOUBLE": 1.7976931348623157e308,
}
TEXTS: Final = frozenset({"STRING", "VARCHAR"})

_SHORT_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}")
_WORDS: Final = {"true": True, "false": False, "1": True, "0": False}
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
# A whole number of more digits is out of every range; it is not even made into an integer.
_DIGITS_MAX: Final = 19


TIMES: Final = frozenset({"DATE", "TIMESTAMP", "TIMESTAMP_NTZ"})


def coercion(delta: DeltaType, zone: tzinfo | None = None) -> Coerce:
    """The function for a type. It is never given None: that is no value, whatever the type.

    `zone` is that of times without an offset.
    """
    name = delta.name
    if name in TIMES:
        return time_column(name, whole(name), zone)
    if name in WHOLE:
        return whole(name)
    if name in REAL:
        return real(name)
    if name in TEXTS:
        return text(delta.length)
    if name == "STRUCT":
        return struct(delta.fields, zone)
    if name == "ARRAY" and delta.element is not None:
        return array(coercion(delta.element, zone))
    if name == "MAP" and delta.key is not None and delta.element is not None:
        return mapped(coercion(delta.key, zone), coercion(delta.element, zone))
    return {"BOOLEAN": boolean, "BINARY": binary, "VARIANT": variant}[name]


def whole(name: str) -> Coerce:
    """A whole number in the range of a type: also 5.0, and text that is wholly one."""
    low, high = WHOLE[name]

    def coerce(value: Any) -> int:
        if name == "BIGINT" and isinstance(value, datetime):
            value = microseconds(value)
        number = value if type(value) is int else _whole(value, name)
        if low <= number <= high:
            return number
        raise too_large(value, name)

    return coerce


def real(name: str) -> Coerce:
    """A finite number: any number, and text that is wholly one."""
    limit = REAL[name]

    def coerce(value: Any) -> float:
        if type(value) is float:
            number = value
        elif isinstance(value, int | Decimal) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:
                raise too_large(value, name) from None
        elif isinstance(value, str) and NUMBER.fullmatch(value.strip(BLANKS)):
            number = float(value)
        else:
            raise bad(value, "a number")
        if -limit <= number <= limit:
            return number
        raise bad(value, "a finite number") if math.isnan(number) else too_large(value, name)

    return coerce


def text(length: int | None) -> Coerce:
    """Text, or a number as it prints."""

    def coerce(value: Any) -> str:
        if isinstance(value, str):
            result = value
        elif isinstance(value, datetime):
            result = iso_of(microseconds(value))
        elif isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise bad(value, "text or a number")
        else:
            result = written(value)
        if length is not None and len(result) > length:
            text = f"text of {len(result)} characters is over {length}"
            raise MisfitError("bad_value", text, result)
        return result

    return coerce


def boolean(value: Any) -> bool:
    """true, false, 0 and 1, as such or as words."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        found = _WORDS.get(value.strip(BLANKS).lower())
        if found is not None:
            return found
    elif isinstance(value, int | float | Decimal) and value in (0, 1):
        return value == 1
    raise bad(value, "true, false, 0 or 1")


def binary(value: Any) -> bytes:
    """Bytes as such, or as base64 text of either alphabet, padded or not."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str) and value.isascii():
        encoded = value.strip(BLANKS).encode().translate(_URL_SAFE)
        padding = b"" if encoded.endswith(b"=") else b"=" * (-len(encoded) % 4)
        try:
            return base64.b64decode(encoded + padding, validate=True)
        except binascii.Error:
            pass
    raise bad(value, "base64 text")


def struct(fields: tuple[Column, ...], zone: tzinfo | None) -> Coerce:
    """An object with the members of a STRUCT; keys without a member are ignored."""
    members = [(one.name, one.nullable, coercion(one.delta, zone)) for one in fields]

    def coerce(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise bad(value, "an object")
        result = {}
        for name, nullable, inner in members:
            member = value.get(name)
            if member is not None:
                result[name] = _inside(f".{name}", inner, member)
            elif not nullable:
                raise missing().inside(f".{name}")
        return result

    return coerce


def array(element: Coerce, *, lenient: bool = False) -> Coerce:
    """A list of values of one type; protobuf's lists hold no NULL.

    With `lenient`, members without a value and those that don't fit are left out.
    """

    def fits(one: Any) -> Any:
        try:
            return None if one is None else element(one)
        except MisfitError:
            return None

    def coerce(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise bad(value, "a list")
        if lenient:
            return [found for one in value if (found := fits(one)) is not None]
        return [_inside(f"[{index}]", element, one) for index, one in enumerate(value)]

    return coerce


def mapped(key: Coerce, element: Coerce) -> Coerce:
    """An object whose keys and values each have one type."""

    def coerce(value: Any) -> dict[Any, Any]:
        if not isinstance(value, dict):
            raise bad(value, "an object")
        result = {}
        for name, one in value.items():
            step = f"[{shown(name)}]"
            found = _inside(step, key, name)
            if found in result:
                raise bad(name, "a key of its own: another is the same").inside(step)
            result[found] = _inside(step, element, one)
        return result

    return coerce


def missing() -> MisfitError:
    """Nothing stands where something must."""
    return MisfitError("missing_required", "there is no value, and it must not be NULL")


def _inside(step: str, coerce: Coerce, value: Any) -> Any:
    if value is None:
        raise MisfitError("bad_value", "null can't stand in a list or a map").inside(step)
    try:
        result = coerce(value)
    except MisfitError as misfit:
        raise misfit.inside(step) from None
    if result is None:
        raise bad(value, "a value: it is NULL, which can't stand in a list or a map").inside(step)
    return result


def _whole(value: Any, name: str) -> int:
    """The whole number that a value is, by way of its digits and never of a float's."""
    if isinstance(value, str):
        stripped = value.strip(BLANKS)
        if _SHORT_WHOLE.fullmatch(stripped):
            return int(stripped)
        if not NUMBER.fullmatch(stripped):
            raise bad(value, "a whole number")
        try:
            number = Decimal(stripped)
        except InvalidOperation:
            # The exponent itself is beyond what a Decimal holds.
            raise too_large(value, name) from None
        return _whole_decimal(value, number, name)
    if isinstance(value, Decimal):
        return _whole_decimal(value, value, name)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise bad(value, "a whole number")


def _whole_decimal(value: Any, number: Decimal, name: str) -> int:
    if not number:
        return 0
    if not number.is_finite() or number.adjusted() >= _DIGITS_MAX:
        raise too_large(value, name)
    result = int(number)
    if result != number:
        raise bad(value, "a whole number")
    return result
