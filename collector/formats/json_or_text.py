r"""JSON, or a bare word on the same topic.

What `json` reads is its value; anything else is a text, as `text` reads it. But what begins with a
brace or a bracket and is no JSON is refused: a careful reader takes no object that was cut off for
a word.

>>> decode = compile(Options(), None).decode
>>> decode(b'{"state": "online"}', Arrival("t", 0)), decode(b"offline\n", Arrival("t", 0))
({'state': 'online'}, 'offline')
"""

from typing import TYPE_CHECKING, Final

from collector.formats import Decoder, FormatOptions
from collector.formats import json as json_format
from collector.formats.shared.text import BLANKS, text_of
from collector.model import Arrival, DecodeError

if TYPE_CHECKING:
    from collector.tables import Schema

# What a JSON text may begin with; a word that begins otherwise is not even tried.
_JSON: Final = frozenset(b'{["-0123456789tfn' + BLANKS.encode())

MEDIA_TYPES: Final[tuple[str, ...]] = ("application/json", "text/plain")


class Options(FormatOptions):
    """The format has none."""


def compile(_options: Options, _schema: "Schema | None") -> Decoder:  # noqa: A001
    """Return the decoder."""
    return Decoder(decode)


def decode(payload: bytes, _arrival: Arrival) -> object:
    """Return the value of the JSON text, or the text."""
    if payload and payload[0] in _JSON:
        try:
            return json_format.decode(payload)
        except DecodeError:
            if payload.lstrip(BLANKS.encode()).startswith((b"{", b"[")):
                raise
    return text_of(payload).strip(BLANKS)
