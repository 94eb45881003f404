r"""Pairs of names and values, a record per line: `temp=21.5 hum=40 name="a b"`.

UTF-8; a byte order mark is passed over. A record is a dict of texts. Between the pairs stand blanks
(space or tab), commas, semicolons or ampersands, any of them and any number, or the one character
that is the option `separator`; between name and value stands `equals`, of which the first counts.
Where blanks are no separators they may stand around names and values. A value may be quoted with
`"`, and in quotes a backslash keeps the next character from its meaning; a quote elsewhere is a
character like others. An empty value is None. Blank lines are no records and have no position.

A line costs itself when a piece of it has no `equals` or no name, a quote is not closed or is
followed by anything but a separator, or a name stands twice: which of the values is meant can't be
known. A payload of more than 100,000 records is refused.

>>> decode = compile(Options(), None).decode
>>> decode(b'temp=21.5;hum=;name="a b"\nof=b=c\n', Arrival("t", 0))
[{'temp': '21.5', 'hum': None, 'name': 'a b'}, {'of': 'b=c'}]
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Self

from pydantic import Field, model_validator

from collector.formats import Bad, Decoder, FormatOptions, Records
from collector.formats.shared.text import BLANKS, RECORDS_MAX, text_of, too_many
from collector.model import Arrival

if TYPE_CHECKING:
    from collector.tables import Schema

SEPARATORS: Final = " \t,;&"

_LINE_END: Final = re.compile(r"\r\n|\n|\r")
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)

MEDIA_TYPES: Final[tuple[str, ...]] = ("text/plain",)


class Options(FormatOptions):
    """What stands between the pairs, and between a name and its value: one character each."""

    separator: str | None = Field(None, min_length=1, max_length=1)
    equals: str = Field("=", min_length=1, max_length=1)

    @model_validator(mode="after")
    def _fit(self) -> Self:
        for name in ("separator", "equals"):
            if (getattr(self, name) or "") in ("\r", "\n", '"', "\\"):
                raise ValueError(f"{name} can't be a line end, a quote or a backslash")
        if self.equals in (self.separator or SEPARATORS):
            raise ValueError("equals can't be a separator as well")
        return self


def compile(options: Options, _schema: "Schema | None") -> Decoder:  # noqa: A001
    """Return the decoder."""
    record = _reader(options.separator or SEPARATORS, options.equals)

    def decode(payload: bytes, _arrival: Arrival) -> Records:
        records = Records()
        for line in _LINE_END.split(text_of(payload).removeprefix("\ufeff")):
            if line.strip(BLANKS):
                if len(records) == RECORDS_MAX:
                    raise too_many()
                records.append(record(line))
        return records

    return Decoder(decode)


def _reader(separators: str, equals: str) -> Callable[[str], dict[str, str | None] | Bad]:
    """The function that reads a line; it looks at each character once."""
    blanks = "".join(blank for blank in " \t" if blank not in separators)
    ends, sign = re.escape(separators), re.escape(equals)
    around = rf"[{blanks}]*+" if blanks else ""
    pair = re.compile(
        rf"([^{ends}{sign}]++){sign}{around}"
        rf'(?:"((?:[^"\\]++|\\.)*+)"{around}|(?!")([^{ends}]*+))'
        rf"(?:$|[{ends}][{ends}{blanks}]*+)"
    )

    def read(line: str) -> dict[str, str | None] | Bad:
        pairs: dict[str, str | None] = {}
        place, end = len(line) - len(line.lstrip(separators + blanks)), len(line)
        while place < end:
            match = pair.match(line, place)
            name = match[1].strip(BLANKS) if match else ""
            if match is None or not name:
                shown = line[place : place + 40]
                return Bad("undecodable", f"no name{equals}value begins at {shown!r}")
            if name in pairs:
                return Bad("undecodable", f"{name!r} stands in the line twice")
            quoted, bare = match[2], match[3]
            if quoted is None:
                value = bare.strip(BLANKS)
            else:
                value = _ESCAPED.sub(r"\1", quoted) if "\\" in quoted else quoted
            pairs[name] = value or None
            place = match.end()
        return pairs or Bad("undecodable", f"the line holds no name{equals}value")

    return read
