r"""Bytes as they are: frames of a device that nothing else reads, for `unpack` and BINARY columns.

The payload is the value, of at most 16 MiB.

>>> decode = compile(Options(), None).decode
>>> decode(bytes.fromhex("01 67 00 e1"), Arrival("t", 0))
b'\x01g\x00\xe1'
"""

from typing import TYPE_CHECKING, Final

from collector.formats import Decoder, FormatOptions
from collector.formats.shared.plain import check_size
from collector.model import Arrival

if TYPE_CHECKING:
    from collector.tables import Schema

MEDIA_TYPES: Final[tuple[str, ...]] = ()


class Options(FormatOptions):
    """The format has none."""


def compile(_options: Options, _schema: "Schema | None") -> Decoder:  # noqa: A001
    """Return the decoder."""
    return Decoder(decode, keys=frozenset())


def decode(payload: bytes, _arrival: Arrival) -> bytes:
    """Return the payload."""
    check_size(payload)
    return payload
