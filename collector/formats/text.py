r"""A bare text: the payload is the value.

UTF-8, strictly, of at most 16 MiB. Blanks and line ends around it are taken away (" \t\r\n" and
nothing else: a byte order mark stays); what is left may be empty.

>>> decode = compile(Options(), None).decode
>>> decode(b" 21.5\r\n", Arrival("t", 0))
'21.5'
"""

from typing import TYPE_CHECKING, Final

from collector.formats import Decoder, FormatOptions
from collector.formats.shared.text import BLANKS, text_of
from collector.model import Arrival

if TYPE_CHECKING:
    from collector.tables import Schema

MEDIA_TYPES: Final[tuple[str, ...]] = ("text/plain",)


class Options(FormatOptions):
    """The format has none."""


def compile(_options: Options, _schema: "Schema | None") -> Decoder:  # noqa: A001
    """Return the decoder."""
    return Decoder(decode, keys=frozenset())


def decode(payload: bytes, _arrival: Arrival) -> str:
    """Return the text."""
    return text_of(payload).strip(BLANKS)
