r"""JSON text, read strictly: what a careful reader would doubt is refused.

UTF-8 without a byte order mark, no NaN or Infinity, no half of a surrogate pair, at most
`DEPTH_MAX` levels and `SIZE_MAX` bytes. Of equal keys in one object the last counts. A whole number
is exact; a number with a point or an exponent is a float, or a Decimal where a float would lose
digits: from 2^53 on, and with more than 15 of them.

>>> decode = compile(Options(), None).decode
>>> decode(b'{"temp": 21.5, "count": 9007199254740993, "tags": ["a", null]}', Arrival("t", 0))
{'temp': 21.5, 'count': 9007199254740993, 'tags': ['a', None]}
"""

import json
import re
from typing import TYPE_CHECKING, Final, NoReturn

from collector.formats import Decoder, FormatOptions
from collector.formats.shared.numbers import fraction_of
from collector.formats.shared.text import SIZE_MAX, text_of
from collector.model import Arrival, DecodeError

if TYPE_CHECKING:
    from collector.tables import Schema

DEPTH_MAX: Final = 100
SHORT_MAX: Final = 2 * DEPTH_MAX
"""A payload that is no longer can't nest too deep and be complete."""

_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
# Escapes one after the other: a whole pair, half a pair, anything else.
_HALF_PAIR: Final = re.compile(
    r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<half>u[dD][89a-fA-F])|.)", re.DOTALL
)

MEDIA_TYPES: Final[tuple[str, ...]] = ("application/json",)


class Options(FormatOptions):
    """The format has none."""


def compile(_options: Options, _schema: "Schema | None") -> Decoder:  # noqa: A001
    """Return the decoder."""
    return Decoder(decode)


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


def decode(payload: bytes, _arrival: Arrival | None = None) -> object:
    """Return the value that a JSON text stands for."""
    if len(payload) <= SIZE_MAX and is_too_deep(payload):
        raise DecodeError(f"the JSON text nests deeper than {DEPTH_MAX} levels")
    text = text_of(payload)
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


def _refuse(word: str) -> NoReturn:
    raise DecodeError(f"the payload is not JSON: {word} is no number")


_DECODER: Final = json.JSONDecoder(parse_float=fraction_of, parse_constant=_refuse)
