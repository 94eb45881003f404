r"""MessagePack: one value.

Maps, lists, texts, byte strings, numbers, truth values and nil are themselves. The key of a map is
a text; a whole number or a truth value as key is the text of it, so that a path reaches it. A
timestamp (extension -1) is a point in time, cut to the microsecond; of any other extension the
bytes inside are given, its number is passed over.

Refused are: what is not well-formed, bytes behind the value, text that is not UTF-8, other keys and
keys that stand twice, more than 100 levels, and more than 16 MiB. NaN and Infinity are read.

>>> decode = compile(Options(), None).decode
>>> decode(b"\x82\xa4temp\xcb\x40\x35\x80\x00\x00\x00\x00\x00\x03\x92\xc0\xc3", Arrival("t", 0))
{'temp': 21.5, '3': [None, True]}
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from msgpack import ExtraData, FormatError, StackError, unpackb

from collector.formats import Decoder, FormatOptions
from collector.formats.shared.plain import DEPTH_MAX, check_size, text_key
from collector.model import Arrival, DecodeError

if TYPE_CHECKING:
    from collector.tables import Schema

# The library's own way to say it: timestamps are aware datetimes.
_DATETIME: Final = 3

MEDIA_TYPES: Final[tuple[str, ...]] = (
    "application/msgpack",
    "application/x-msgpack",
    "application/vnd.msgpack",
)


class Options(FormatOptions):
    """The format has none."""


def compile(_options: Options, _schema: "Schema | None") -> Decoder:  # noqa: A001
    """Return the decoder."""
    return Decoder(decode)


def decode(payload: bytes, _arrival: Arrival) -> object:
    """Return the value; raises DecodeError."""
    check_size(payload)
    try:
        value: object = unpackb(
            payload,
            timestamp=_DATETIME,
            strict_map_key=False,
            object_pairs_hook=_named,
            ext_hook=_inside,
        )
    except ExtraData as error:
        raise DecodeError(f"{len(error.extra)} bytes stand behind the MessagePack value") from error
    except StackError as error:
        raise DecodeError("the payload nests too deep") from error
    except FormatError as error:
        raise DecodeError("the payload is not MessagePack: a byte that begins nothing") from error
    except (ValueError, OverflowError, TypeError) as error:
        raise DecodeError(f"the payload is not MessagePack: {error}") from error
    # A level takes a byte at least.
    if len(payload) > DEPTH_MAX and _is_too_deep(value):
        raise DecodeError(f"the payload nests deeper than {DEPTH_MAX} levels")
    return value


def _named(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    keys = {key if type(key) is str else text_key(key): value for key, value in pairs}
    if len(keys) < len(pairs):
        raise DecodeError("a key of a map stands there twice")
    return keys


def _inside(_code: int, content: bytes) -> bytes:
    return content


def _is_too_deep(value: object) -> bool:
    """Whether it nests deeper than the limit, level by level, for what is deep is deep for us."""
    level: list[object] = [value]
    for _ in range(DEPTH_MAX + 1):
        level = [inner for one in level for inner in _inner(one)]
        if not level:
            return False
    return True


def _inner(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
