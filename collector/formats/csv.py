r"""Separated fields, a record per line, with quotes as usual: RFC 4180.

UTF-8; a byte order mark is passed over. A record is a dict by the names in `columns`, or in the
first line of the payload with `header: true`; without names it is the list of its fields. Fields
after the last name are ignored, missing ones are absent, empty ones are None; all others are texts,
blanks included. A quoted field may hold separators, doubled quotes and line ends. Blank lines are
no records and have no position.

A line that can't be read costs itself: a quote that is not closed, text after a closing quote, NUL,
a field of over 131,072 characters. The next line is read for itself. The whole payload is refused
when that means to read it more than `REREAD_MAX` times over, when it holds more than 100,000
records, or when its header can't be read.

>>> decode = compile(Options(separator=";", columns=("channel", "temp")), None).decode
>>> decode(b'K1;21,5\r\n"K;2";\r\n', Arrival("t", 0))
[{'channel': 'K1', 'temp': '21,5'}, {'channel': 'K;2', 'temp': None}]
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any, Final, Self

from pydantic import Field, field_validator, model_validator

from collector.formats import Bad, Decoder, FormatOptions, Records
from collector.formats.shared.text import BLANKS, RECORDS_MAX, text_of, too_many
from collector.model import Arrival, DecodeError

if TYPE_CHECKING:
    from collector.tables import Schema

REREAD_MAX: Final = 4
"""A record that breaks off is read again from its second line: so often for all the text, and
`REREAD_LINES_FREE` lines beside, so that a short text never gets there.
"""
REREAD_LINES_FREE: Final = 10_000

_Names = tuple[str, ...]
_Open = Callable[[Iterator[str]], Any]

MEDIA_TYPES: Final[tuple[str, ...]] = ("text/csv", "text/plain")


class Options(FormatOptions):
    """What separates the fields, and what they are called.

    `separator` is one character, `quote` one or, for none, an empty text. `columns` names the
    fields; with `header` the first line of each payload does.
    """

    separator: str = Field(",", min_length=1, max_length=1)
    quote: str = Field('"', max_length=1)
    columns: _Names | None = Field(None, min_length=1)
    header: bool = False

    @field_validator("separator", "quote")
    @classmethod
    def _is_no_line_end(cls, character: str) -> str:
        if character in ("\r", "\n", "\0"):
            raise ValueError("it can't be a line end or NUL")
        return character

    @field_validator("columns")
    @classmethod
    def _differ(cls, columns: _Names | None) -> _Names | None:
        for name in columns or ():
            if not name:
                raise ValueError("a column needs a name")
            if (columns or ()).count(name) > 1:
                raise ValueError(f"it names {name!r} twice")
        return columns

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.separator == self.quote:
            raise ValueError("separator and quote can't be the same character")
        if self.header and self.columns is not None:
            raise ValueError("give either columns, or header: true, not both")
        return self


def compile(options: Options, _schema: "Schema | None") -> Decoder:  # noqa: A001
    """Return the decoder."""

    def open_(lines: Iterator[str]) -> Any:
        return csv.reader(
            lines,
            delimiter=options.separator,
            quotechar=options.quote or None,
            quoting=csv.QUOTE_MINIMAL if options.quote else csv.QUOTE_NONE,
            strict=True,
        )

    def decode(payload: bytes, _arrival: Arrival) -> Records:
        rows = _rows(text_of(payload).removeprefix("\ufeff"), open_)
        names = _header(rows) if options.header else options.columns
        if len(rows) > RECORDS_MAX:
            raise too_many()
        return Records(_record(row, names) for row in rows)

    # Fields behind the named ones can't be reached, and without names each has its place.
    return Decoder(decode, keys=frozenset(options.columns) if options.columns else None)


def _record(row: Any, names: _Names | None) -> object:
    if isinstance(row, Bad):
        return row
    if names is None:
        return [one or None for one in row]
    # A column of the header that has no name can't be asked for.
    return {name: one or None for name, one in zip(names, row, strict=False) if name}


def _header(rows: list[Any]) -> _Names:
    """Take the names from the first line."""
    first = rows.pop(0) if rows else []
    if isinstance(first, Bad):
        raise DecodeError(f"the header can't be read: {first.reason}")
    names = tuple(name.strip(BLANKS) for name in first)
    counts = Counter(name for name in names if name)
    for name, count in counts.items():
        if count > 1:
            raise DecodeError(f"the header names the column {name!r} twice")
    return names


def _rows(text: str, open_: _Open) -> list[Any]:
    """The fields of each record, or a `Bad` in the place of a line that can't be read."""
    if "\0" in text:
        return _each(text, open_)
    rows: list[Any] = []
    try:
        for row in open_(iter(StringIO(text, newline=""))):
            if _is_record(row):
                rows.append(row)
                if len(rows) > RECORDS_MAX + 1:
                    raise too_many()
    except csv.Error:
        return _each(text, open_)
    return rows


def _each(text: str, open_: _Open) -> list[Any]:
    """The same, and read on behind each line that can't be read."""
    lines = list(StringIO(text, newline=""))
    rows: list[Any] = []
    again = first = 0
    while first < len(lines) and len(rows) <= RECORDS_MAX:
        reader, begin = open_(_from(lines, first)), first
        try:
            for row in reader:
                end = first + reader.line_num
                if any("\0" in lines[index] for index in range(begin, end)):
                    rows.append(Bad("undecodable", "the line holds a NUL character"))
                elif _is_record(row):
                    rows.append(row)
                if len(rows) > RECORDS_MAX + 1:
                    raise too_many()
                begin = end
            break
        except csv.Error as error:
            rows.append(Bad("undecodable", f"the line is not CSV: {error}"))
            again += first + reader.line_num - (begin + 1)
            if again > REREAD_MAX * len(lines) + REREAD_LINES_FREE:
                raise DecodeError("too many lines hold a quote that is not closed") from error
            first = begin + 1
    return rows


def _is_record(row: list[str]) -> bool:
    """Whether there is anything: a blank line has no field, or one that holds blanks."""
    return len(row) > 1 or (bool(row) and (not row[0] or bool(row[0].strip(BLANKS))))


def _from(lines: Sequence[str], first: int) -> Iterator[str]:
    while first < len(lines):
        yield lines[first]
        first += 1
