r"""CBOR (RFC 8949): one item, no sequence of several.

Maps, lists, texts, byte strings, numbers and truth values are themselves, undefined is None. The
key of a map is a text; a whole number or a truth value as key is the text of it, so that a path
reaches it. Tags 0 and 1 are points in time, to the microsecond and cut there; 2 and 3 are whole
numbers of at most `BIGNUM_BYTES_MAX` bytes; 4 and 5 are Decimals, exactly, with an exponent of at
most `EXPONENT_MAX`; any other tag (a set, a UUID, an array of one type) is passed over for the
value inside.

Refused are: what is not well-formed, bytes behind the item, text that is not UTF-8, other keys and
keys that stand twice, simple values that stand for nothing, references to shared values (tags 25
and 29), more than 100 levels, tags included, and more than 16 MiB. NaN and Infinity are read.

>>> decode = compile(Options(), None).decode
>>> decode(b"\xa2\x64temp\xf9\x4d\x60\x03\x82\xf7\xf5", Arrival("t", 0))
{'temp': 21.5, '3': [None, True]}
"""

from decimal import Context, Decimal, Inexact
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from cbor2 import CBORDecodeError, CBORDecoder, CBORTag, undefined

from collector.formats import Decoder, FormatOptions
from collector.formats.shared.plain import (
    DEPTH_MAX,
    check_size,
    moment_of_seconds,
    moment_of_text,
    text_key,
)
from collector.model import Arrival, DecodeError

if TYPE_CHECKING:
    from collector.tables import Schema

BIGNUM_BYTES_MAX: Final = 1_024
EXPONENT_MAX: Final = 2_000

_PLAIN: Final = frozenset({str, int, float, bool, bytes, type(None)})
# All tags that cbor2 makes something of by itself; what they mean is said here.
_KNOWN: Final = (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261)
_KNOWN_TOO: Final = (1004, 43000, 43001, 55799)
_REFERENCES: Final = (25, 29)
# Room for a mantissa of BIGNUM_BYTES_MAX and a power of two of EXPONENT_MAX, digit by digit.
_EXACT: Final = Context(prec=8_000, traps=[Inexact])

MEDIA_TYPES: Final[tuple[str, ...]] = ("application/cbor",)


class Options(FormatOptions):
    """The format has none."""


def compile(_options: Options, _schema: "Schema | None") -> Decoder:  # noqa: A001
    """Return the decoder."""
    return Decoder(decode)


def decode(payload: bytes, _arrival: Arrival) -> object:
    """Return the value; raises DecodeError."""
    check_size(payload)
    stream = BytesIO(payload)
    try:
        item = CBORDecoder(
            stream, semantic_decoders=_TAGS, max_depth=DEPTH_MAX, allow_duplicate_keys=False
        ).decode()
    except (CBORDecodeError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise DecodeError(f"the payload is not CBOR: {error}") from error
    if stream.tell() != len(payload):
        raise DecodeError(f"{len(payload) - stream.tell()} bytes stand behind the CBOR item")
    return item if type(item) in _PLAIN else _plain(item)


def _plain(item: Any) -> object:
    kind = type(item)
    if kind in _PLAIN:
        return item
    if kind is dict:
        keys = {text_key(key): _plain(inner) for key, inner in item.items()}
        if len(keys) < len(item):
            raise DecodeError("a key of a map stands there twice, as a number and as text")
        return keys
    if kind is list:
        return [_plain(inner) for inner in item]
    if kind is CBORTag:
        return _untagged(item.tag, item.value)
    if item is undefined:
        return None
    raise DecodeError(f"a {kind.__name__} stands in the payload: it is no plain value")


def _untagged(tag: int, value: Any) -> object:
    """What a tag says of the value inside."""
    if tag in _REFERENCES:
        raise DecodeError("references to shared values are not read")
    inner = _plain(value)
    if tag == 0 and isinstance(inner, str):
        return moment_of_text(inner)
    if tag == 1 and isinstance(inner, int | float | Decimal) and not isinstance(inner, bool):
        return moment_of_seconds(inner)
    if tag in (2, 3) and isinstance(inner, bytes):
        return _bignum(inner, is_negative=tag == 3)
    if tag in (4, 5) and isinstance(inner, list) and [type(one) for one in inner] == [int, int]:
        return _decimal(*inner, is_binary=tag == 5)
    if tag <= 5:
        raise DecodeError(f"tag {tag} does not fit the value inside")
    return inner


def _bignum(digits: bytes, *, is_negative: bool) -> int:
    if len(digits) > BIGNUM_BYTES_MAX:
        raise DecodeError(f"a whole number has more than {BIGNUM_BYTES_MAX} bytes")
    number = int.from_bytes(digits)
    return -1 - number if is_negative else number


def _decimal(exponent: int, mantissa: int, *, is_binary: bool) -> Decimal:
    """Mantissa times ten, or two, to the power of the exponent."""
    if abs(exponent) > EXPONENT_MAX:
        raise DecodeError(f"the exponent of a number is beyond {EXPONENT_MAX}")
    if not is_binary:
        return Decimal(mantissa).scaleb(exponent, _EXACT)
    if exponent >= 0:
        return Decimal(mantissa << exponent)
    return Decimal(mantissa * 5**-exponent).scaleb(exponent, _EXACT)


def _tagged(tag: int, value: Any, _immutable: bool) -> CBORTag:
    return CBORTag(tag, value)


_TAGS: Final = {tag: partial(_tagged, tag) for tag in (*_KNOWN, *_KNOWN_TOO)}
