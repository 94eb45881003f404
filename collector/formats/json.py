r"""JSON text, read strictly: what a careful reader would doubt is refused.

UTF-8 without a byte order mark, no NaN or Infinity, no half of a surrogate pair, at most
`DEPTH_MAX` levels and `SIZE_MAX` bytes. Of equal keys in one object the last counts. A whole number
is exact; a number with a point or an exponent is a float, from 2^53 on a Decimal, so that no digit
of it is lost before its column is known.

>>> decode = compile({})
>>> decode(b'{"temp": 21.5, "count": 9007199254740993, "tags": ["a", null]}')
{'temp': 21.5, 'count': 9007199254740993, 'tags': ['a', None]}
"""

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Final, NoReturn

from collector.model import DecodeError

DEPTH_MAX: Final = 100
SHORT_MAX: Final = 2 * DEPTH_MAX
"""A payload that is no longer can't nest too deep and be complete."""
SIZE_MAX: Final = 16 * 1024 * 1024

_EXACT: Final = 2.0**53
_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
# Escapes one after the other: a whole pair, half a pair, anything else.
_HALF_PAIR: Final = re.compile(
    r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<half>u[dD][89a-fA-F])|.)", re.DOTALL
)


def compile(options: Mapping[str, object]) -> Callable[[bytes], object]:  # noqa: A001
    """The decoder; the format has no options."""
    if options:
        raise ValueError(f"the format json has no options, so not {', '.join(options)}")
    return _decode


def is_too_deep(payload: bytes) -> bool:
    """Whether the payload nests deeper than `DEPTH_MAX`; cheap for one that can't."""
    if len(payload) <= SHORT_MAX or payload.count(b"[") + payload.count(b"{") <= DEPTH_MAX:
        return False
    if b"\\" in payload:
        payload = payload.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Every other part between quotes is a string, whose brackets don't count.
    outside = b"".join(payload.split(b'"')[::2])
    brackets = outside.translate(_BRACKETS, _NO_BRACKETS)
    for _ in range(DEPTH_MAX):
        # Each round takes away the innermost level.
        outer = brackets.replace(b"[]", b"")
        if len(outer) == len(brackets):
            break
        brackets = outer
    # What is left of a short text has no partner: that is for the parser to say.
    return len(brackets) > DEPTH_MAX or (bool(brackets) and b"[]" in brackets)


def _decode(payload: bytes) -> object:
    if len(payload) > SIZE_MAX:
        raise DecodeError(f"the payload is larger than {SIZE_MAX} bytes")
    if is_too_deep(payload):
        raise DecodeError(f"the JSON text nests deeper than {DEPTH_MAX} levels")
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"the payload is not UTF-8 text: byte {error.start} is wrong") from error
    try:
        values: object = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise DecodeError(f"the payload is not JSON: {error.msg} at {place}") from error
    except RecursionError as error:
        raise DecodeError("the JSON text nests too deep") from error
    except ValueError as error:
        raise DecodeError("the JSON text holds a number of over 4300 digits") from error
    if ("\\ud" in text or "\\uD" in text) and any(
        match["half"] for match in _HALF_PAIR.finditer(text)
    ):
        raise DecodeError("the JSON text holds half of a surrogate pair")
    return values


def _number(text: str) -> float | Decimal:
    number = float(text)
    if -_EXACT < number < _EXACT:
        return number
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("Infinity")


def _refuse(word: str) -> NoReturn:
    raise DecodeError(f"the payload is not JSON: {word} is no number")


_DECODER: Final = json.JSONDecoder(parse_float=_number, parse_constant=_refuse)
